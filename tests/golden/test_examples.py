"""What each example changes: its whole life beside that of the smallest claim for its model.

`make golden` rewrites the files; each is read in a minute. Whole objects are in the lives.
"""

import pathlib
import re

import pytest

from tests import cluster, examples
from tests.cli import command
from tests.golden import lives, picture

HERE = pathlib.Path(__file__).parent / "examples"
DOOR = "examples/front-door/providers.yaml"
REFERENCE = "examples/reference/environmentconfig.yaml"
EXAMPLES = {example.name: example for example in examples.every()}
# The same object for another operator.
COUNTERPARTS = {"prometheusrule": "vmrule", "servicemonitor": "vmservicescrape"}


def whole_life(claim: cluster.Object, environments: list[cluster.Object]) -> cluster.Object:
    """Returns each object as it was emitted last, and what the claim says at rest.

    A Job ends before a route begins: no single answer has everything.
    """
    prefix = f"{claim['metadata']['name']}-"
    emitted: dict[str, cluster.Object] = {}
    fallback = claim["spec"].get("gateway", {}).get("fallback", {})
    beside = [cluster.load(DOOR)] if "provider" in fallback else None
    for world in lives.at_work(claim, environments, beside):
        for key, item in picture.objects(world).items():
            # What a Job says is compared, not the hash of it.
            item["metadata"]["name"] = picture.HASH.sub("-<hash>", item["metadata"]["name"])
            emitted[key.removeprefix(prefix)] = item
    return {**{key: emitted[key] for key in sorted(emitted)}, "status": picture.report(world)}


def asked(claim: cluster.Object) -> dict[tuple[str, ...], object]:
    """Returns what a claim asks for beside its model, by path."""

    def leaves(value: object, at: tuple[str, ...]) -> dict[tuple[str, ...], object]:
        if not isinstance(value, dict):
            return {at: value}
        parts = [leaves(item, (*at, key)) for key, item in value.items()]
        return {path: leaf for part in parts for path, leaf in part.items()}

    wanted = leaves(claim["spec"], ())
    wanted.pop(("model", "repository"), None)
    return wanted


def simpler(example: examples.Example) -> examples.Example:
    """Returns the example that asks for most of what this one asks for, and for nothing else."""
    wanted = asked(example.claim)
    smaller = [
        other
        for other in EXAMPLES.values()
        if (theirs := asked(other.claim)).items() < wanted.items() or not theirs
    ]
    return max(smaller, key=lambda other: (len(asked(other.claim)), other.name == "smallest"))


def beside(example: examples.Example) -> cluster.Object:
    """Returns the life of the simpler example, under this one's name, model and settings.

    An example that asks for nothing shows settings: it is compared with itself on the reference
    platform.
    """
    claim = example.claim
    model = claim["spec"]["model"].get("repository", "Qwen/Qwen3-8B")
    claim["spec"] = simpler(example).claim["spec"]
    claim["spec"]["model"]["repository"] = model
    settings = example.environments if asked(example.claim) else [cluster.load(REFERENCE)]
    return whole_life(claim, settings)


def golden(example: examples.Example) -> str:
    """Returns the text of an example's golden file."""
    before, after = beside(example), whole_life(example.claim, example.environments)
    if before == after:
        names = {
            key: f"{item['kind']} {item['metadata']['name']}"
            for key, item in after.items()
            if key != "status"
        }
        document = {"objects": names, "status": after["status"]}
        return f"# {example.words}\n" + picture.dump(document)
    for ours, theirs in COUNTERPARTS.items():
        if ours in after and theirs in before:
            before[ours] = before.pop(theirs)
    sections = {
        "removed": [key for key in before if key not in after],
        "changed": {
            key: difference
            for key in after
            if key in before and (difference := picture.changes(before[key], after[key]))
        },
        "added": {key: item for key, item in after.items() if key not in before},
    }
    document = {name: part for name, part in sections.items() if part}
    return f"# {example.words}\n# Beside {simpler(example).name}:\n" + picture.dump(document)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_example_changes(name: str) -> None:
    text = golden(EXAMPLES[name])
    picture.compare(HERE / f"{name}.yaml", text)


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_command_of_an_example_renders_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cluster.ROOT)
    example = EXAMPLES[name]
    assert example.claim["metadata"]["name"] == name
    result = command.render(*example.command[1:], "--assume", "served")
    assert (result.exit_code, result.stderr) == (0, "")
    composite, *rendered = command.documents(result.stdout)
    assert composite["metadata"]["name"] == name
    keepers = {"Deployment", "LeaderWorkerSet"} & {item["kind"] for item in rendered}
    assert bool(keepers) is (name != "suspended")


def test_every_example_is_listed_with_what_it_shows() -> None:
    rows = re.findall(
        r"^\| \[([^]]+)\]\(\1\) \| (.*) \|$",
        (cluster.ROOT / "examples/README.md").read_text(),
        re.M,
    )
    shown = {path: words for path, words in rows if path.split("/")[0] in examples.FOLDERS}
    assert shown == {
        example.path.removeprefix("examples/"): example.words for example in EXAMPLES.values()
    }


@pytest.mark.pitfall("pods crash-loop at the first install, before the weights are there")
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "weights-on-volume"])
def test_no_gpu_is_asked_for_at_first(name: str) -> None:
    example = EXAMPLES[name]
    world = cluster.Cluster(example.claim, *example.environments).reconcile()
    workload = {"Deployment", "LeaderWorkerSet", "ScaledObject", "PodDisruptionBudget"}
    assert not workload & world.kinds_there()
    assert world.phase == ("Suspended" if name == "suspended" else "Pending")
