"""The list of seeded defects is whole: `python -m tests.mutations` tells what it catches."""

import ast

import pytest

from tests import cluster, mutations

MUTATIONS = {mutation.name: mutation for mutation in mutations.every()}


@pytest.mark.pitfall("green tests over a broken module")
def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTATIONS) == len(mutations.every()) >= 180


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_defect_can_be_put_in(name: str) -> None:
    mutation = MUTATIONS[name]
    assert mutations.anchored(mutation) is None
    path = cluster.ROOT / mutation.file
    ast.parse(path.read_text().replace(mutation.old, mutation.new))
    assert mutation.old != mutation.new


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_tests_that_must_notice_it_exist(name: str) -> None:
    mutation = MUTATIONS[name]
    assert mutation.tests
    for test in mutation.tests:
        path, _, function = test.partition("::")
        assert (cluster.ROOT / path).exists()
        if function:
            text = (cluster.ROOT / path).read_text()
            assert f"def {function.partition('[')[0]}(" in text, test
