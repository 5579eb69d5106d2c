"""Three whole lives of claims: every object in full when it comes, and each change after that.

Here the objects are compared byte for byte: names with their hashes, labels, text inside
annotations. `make golden` rewrites the files.
"""

import copy
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster
from tests.golden import lives, picture

HERE = pathlib.Path(__file__).parent / "lives"


def chapters(life: Iterator[lives.Stage]) -> Iterator[dict[str, Any]]:
    """Yields what each stage brought: whole objects that came, changes of those that were there."""
    before: dict[str, cluster.Object] = {}
    status: cluster.Object = {}
    for words, world in life:
        after = {key: copy.deepcopy(item) for key, item in picture.objects(world).items()}
        report = {**picture.report(world), "ttl": f"{world.response.meta.ttl.seconds} s"}
        chapter = {
            "stage": words,
            "events": [_event(*event) for event in world.events],
            "status": picture.changes(status, report) if status else report,
            "not ready": [
                picture.HASH.sub("-<hash>", key)
                for key in sorted(world.ready)
                if not world.ready[key]
            ],
            "removed": [key for key in before if key not in after],
            "changed": {
                key: difference
                for key in after
                if key in before and (difference := picture.changes(before[key], after[key]))
            },
            "added": {key: item for key, item in after.items() if key not in before},
        }
        yield {name: part for name, part in chapter.items() if part}
        before, status = after, report


def _event(severity: int, reason: str, message: str) -> str:
    level = "warning" if severity == fnv1.SEVERITY_WARNING else "normal"
    return f"{level} {reason}: {message}"


@pytest.mark.pitfall("duplicates, shadowed names, corrupted YAML")
@pytest.mark.decision(30)
@pytest.mark.parametrize("name", lives.LIVES)
def test_a_whole_life(name: str) -> None:
    life = lives.LIVES[name]
    text = f"# {life.__doc__}\n{picture.dump(list(chapters(life())))}"
    picture.compare(HERE / f"{name}.yaml", text)


def test_no_golden_life_is_left_over() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(lives.LIVES)
