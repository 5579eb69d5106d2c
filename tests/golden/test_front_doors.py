"""What each front door of the examples becomes, beside the example claims, and what it says.

`make golden` rewrites the files.
"""

import pathlib

import pytest

from tests import cluster, examples
from tests.cli import command
from tests.fleet import scene
from tests.golden import picture

HERE = pathlib.Path(__file__).parent / "front-doors"
EXAMPLES = {
    example.name: example
    for path in sorted((cluster.ROOT / "examples/front-door").glob("*.yaml"))
    if path.stem != "environmentconfig"
    for example in [examples.read(path)]
}
MEMBERS = (
    scene.member("xplane-qwen-coder", "sql", labels={"purpose": "code"}, costs=("0.0308", "0.32")),
    scene.member("xplane-qwen3-8b", costs=("0.0335", "0.41")),
    scene.member("xplane-llamaguard3-1b", published=False),
)


def at_rest(example: examples.Example) -> cluster.Cluster:
    """Returns the cluster of a front door that has come to rest."""
    world = cluster.Cluster(example.claim, *example.environments)
    world.strangers = list(MEMBERS)
    world.converge()
    return world


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_a_front_door_becomes(name: str) -> None:
    world = at_rest(EXAMPLES[name])
    whole = {**picture.objects(world), "status": picture.report(world)}
    text = f"# {EXAMPLES[name].words}\n" + picture.dump(whole)
    picture.compare(HERE / f"{name}.yaml", text)


def test_no_golden_file_of_a_front_door_is_left_over() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_command_of_a_front_door_renders_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cluster.ROOT)
    example = EXAMPLES[name]
    result = command.render(*example.command[1:])
    assert (result.exit_code, result.stderr) == (0, "")
    door, *rendered = command.documents(result.stdout)
    assert door["kind"] == "InferenceGateway"
    assert ("Gateway" in {item["kind"] for item in rendered}) is (name != "shared-gateway")


def test_a_door_is_rendered_with_the_claims_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cluster.ROOT)
    claim = "examples/claims/xplane-qwen-coder.yaml"
    result = command.render(claim, *EXAMPLES["callers"].command[1:])
    assert result.exit_code == 0, result.stderr
    rendered = command.documents(result.stdout)
    (door,) = [item for item in rendered if item["kind"] == "InferenceGateway"]
    assert [model["name"] for model in door["status"]["models"]][:1] == ["xplane-qwen-coder"]
    (policy,) = [item for item in rendered if item["kind"] == "SecurityPolicy"]
    allowed = {
        r["name"]: r["principal"]["headers"] for r in policy["spec"]["authorization"]["rules"]
    }
    assert allowed["caller-nightly"][1]["values"] == ["xplane-qwen-coder"]


def test_every_front_door_is_listed_with_what_it_shows() -> None:
    text = (cluster.ROOT / "examples/README.md").read_text()
    for example in EXAMPLES.values():
        path = example.path.removeprefix("examples/")
        assert f"| [{path}]({path}) | {example.words} |" in text
