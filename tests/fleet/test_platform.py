"""The reference platform as one folder: nothing is wrong with it, and a model is a file of it."""

import functools
from typing import Any

from tests import cluster, documents
from tests.cli import command

FOLDER = cluster.ROOT / "examples/platform"
SETTINGS = ("examples/reference/environmentconfig.yaml", "examples/platform/settings.yaml")


def _files() -> set[str]:
    return {path.name for path in FOLDER.iterdir()}


def _documents(kind: str) -> list[cluster.Object]:
    every = [
        one for path in sorted(FOLDER.iterdir()) for one in documents.parse_all(path.read_text())
    ]
    return [one for one in every if one["kind"] == kind]


def _environment() -> tuple[cluster.Object, ...]:
    return tuple(cluster.load(path) for path in SETTINGS)


@functools.cache
def _serving(name: str, called: str) -> cluster.Object:
    """Returns a claim of the folder that serves, under a name."""
    (document,) = [one for one in _documents("InferenceService") if one["metadata"]["name"] == name]
    document["metadata"]["name"] = called
    world = cluster.Cluster(document, *_environment())
    world.kinds = {}
    world.converge()
    assert "routePublished" in world.claim["status"]["latches"], world.claim["status"]
    return world.claim


def _mentions(value: Any, word: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(item, word) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(_mentions(item, word) for item in value)
    return isinstance(value, str) and word in value


def test_what_were_forty_files_is_nine() -> None:
    (listed,) = _documents("Kustomization")
    assert {*listed["resources"], "kustomization.yaml"} == _files()
    assert len(_files()) == 9


def test_nothing_is_wrong_with_the_folder() -> None:
    arguments = ["check", str(FOLDER)]
    for path in SETTINGS:
        arguments += ["--environment", str(cluster.ROOT / path)]
    result = command.verb(*arguments)
    assert (result.exit_code, result.stdout) == (0, "no findings in 6 claims\n")


def test_the_canary_of_the_folder_is_judged() -> None:
    (canary,) = _serving("coder", "coder")["status"]["canaries"]
    assert canary["adapter"] == "coder-sql"
    assert (canary["verdict"], canary["heldPercent"]) == ("Held", 10)


def test_a_fifth_model_is_one_file_and_goes_without_a_trace() -> None:
    names = [one["metadata"]["name"] for one in _documents("InferenceService")]
    (door,) = _documents("InferenceGateway")
    world = cluster.Cluster(door, *_environment())
    world.kinds = {}
    world.strangers = [_serving(name, name) for name in names]
    world.converge()
    assert world.phase == "Serving"
    before = {key: world.desired(key) for key in world.objects}
    status = documents.copied(world.claim["status"])
    assert {one["type"] for one in status["conditions"] if one["status"] != "True"} == set()
    listed = {*names, "coder-sql", "coder-secure", "claude-haiku", "mom"}
    assert set(status["modelsSummary"].split(",")) == listed

    world.strangers = [*world.strangers, _serving("coder", "writer")]
    world.converge()
    assert "writer" in world.claim["status"]["modelsSummary"].split(",")
    assert any(_mentions(item, "writer") for item in world.objects.values())

    world.strangers = world.strangers[:-1]
    world.converge()
    assert {key: world.desired(key) for key in world.objects} == before
    assert not any(_mentions(item, "writer") for item in world.objects.values())
    assert world.claim["status"] == status
