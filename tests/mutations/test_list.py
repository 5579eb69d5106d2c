"""The list of seeded defects is whole: `python -m tests.mutations` tells what it catches."""

import ast
import functools

import pytest

from tests import cluster, mutations

MUTATIONS = {mutation.name: mutation for mutation in mutations.every()}


@pytest.mark.pitfall("green tests over a broken module")
def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTATIONS) == len(mutations.every()) >= 180


def test_every_defect_can_be_put_in() -> None:
    lost = [mutations.anchored(mutation) for mutation in MUTATIONS.values()]
    assert [why for why in lost if why is not None] == []
    for name, mutation in MUTATIONS.items():
        assert mutation.old != mutation.new, name
        ast.parse(_text(mutation.file).replace(mutation.old, mutation.new), name)


def test_the_tests_that_must_notice_a_defect_exist() -> None:
    for name, mutation in MUTATIONS.items():
        assert mutation.tests, name
        for test in mutation.tests:
            path, _, function = test.partition("::")
            assert (cluster.ROOT / path).exists(), (name, test)
            if function:
                assert f"def {function.partition('[')[0]}(" in _text(path), (name, test)


@functools.cache
def _text(path: str) -> str:
    return (cluster.ROOT / path).read_text()
