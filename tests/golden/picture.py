"""What an answer says, in a form that a person reads: whole objects, and what changed in them."""

import json
import os
import pathlib
import re
from collections import Counter
from typing import Any

import yaml

from function import canonical
from function.fleet.edge import litellm
from function.fleet.evals import questions
from function.planning import identity
from function.workloads import batches, workloads
from tests import cluster

# What names the items of a list, of which a change is told item by item.
NAMES = ("name", "alert")
# A Job's key and its name end in a hash of all that it says.
HASH = re.compile(rf"-[0-9a-f]{{{batches.HASH_LENGTH}}}$")
# What runs inside of the engine has tests of its own.
PROGRAM = f"{identity.DOMAIN}/adapters-program"
TEMPLATE = "(as the {} has it)"

Changes = dict[str, dict[str, Any]]


WIDTH = 100
FOUR = "(the four labels)"
_OURS = "app.kubernetes.io/"


def compare(path: pathlib.Path, text: str) -> None:
    """Holds a text to its golden file, or writes the file where UPDATE_GOLDEN is set."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), "no golden file: run `make golden` and review it"
    assert text == path.read_text(), f"{path} differs: review, then `make golden`"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, which nobody reads; whatever fits on a line is on one."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent(self, data: object) -> None:
        node = self.represent_data(data)
        _fold(node, 0, 0)
        self.serialize(node)


def _fold(node: yaml.Node, indent: int, before: int) -> int:
    """Puts every map and list that fits into a line on one.

    Args:
        node: What is written.
        indent: Columns before the line that it would begin, if it is not on one.
        before: Columns before it on the line that it is on.

    Returns:
        Its own length on a line.
    """
    if isinstance(node, yaml.MappingNode):
        keys = [len(key.value) + 2 for key, _ in node.value]
        values = [
            _fold(value, indent + 2, indent + 2 + width)
            for width, (_, value) in zip(keys, node.value, strict=True)
        ]
        length = sum(keys) + sum(values) + 2 * len(keys)
    elif isinstance(node, yaml.SequenceNode):
        length = sum(_fold(item, indent + 2, indent + 4) + 2 for item in node.value)
    else:
        return len(str(node.value)) + 2
    node.flow_style = indent > 0 and before + length <= WIDTH
    return length


def dump(document: object) -> str:
    """Returns a document as YAML for people."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH)


def objects(world: cluster.Cluster) -> dict[str, cluster.Object]:
    """Returns the objects of the last answer by key, of Jobs without their hash.

    The pod template is remembered in annotations as text; it is said once, in the workload. The
    four labels of the claim are said in a word, when all are there.
    """
    answer = {key: world.desired(key) for key in sorted(world.response.desired.resources)}
    engines = [item for item in answer.values() if workloads.of(item) is not None]
    for engine in engines:
        keeper = workloads.of(engine)
        assert keeper is not None
        mark, template = TEMPLATE.format(keeper.KIND), canonical.dumps(keeper.template(engine))
        claim = engine["metadata"]["annotations"][identity.CLAIM_ANNOTATION]
        for item in answer.values():
            annotations = item["metadata"].get("annotations", {})
            if annotations.get(identity.TEMPLATE_ANNOTATION) == template:
                annotations[identity.TEMPLATE_ANNOTATION] = mark
            if item is not engine and annotations.get(identity.CLAIM_ANNOTATION) == claim:
                annotations[identity.CLAIM_ANNOTATION] = mark
        pods = engine["spec"].get("template", {}).get("metadata", {}).get("annotations", {})
        if PROGRAM in pods:
            pods[PROGRAM] = "(the program)"
    name = world.claim["metadata"]["name"]
    for key, item in answer.items():
        end = HASH.search(key)
        assert end is None or item["metadata"]["name"].endswith(end[0])
        data = item.get("data", {})
        if questions.CONFIGURATION in data:
            data[questions.CONFIGURATION] = {"(json)": json.loads(data[questions.CONFIGURATION])}
        if litellm.MANAGEMENT in data:
            item["data"] = {file: {"(json)": json.loads(text)} for file, text in data.items()}
    return {HASH.sub("-<hash>", key): _with_labels(item, name) for key, item in answer.items()}


def _with_labels(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_with_labels(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    labels = {key: value.get(f"{_OURS}{key}") for key in ("name", "instance", "part-of")}
    component = value.get(f"{_OURS}component")
    if component is not None and labels == {"name": name, "instance": name, "part-of": "ai"}:
        rest = {key: item for key, item in value.items() if not key.startswith(_OURS)}
        return {FOUR: component, **rest}
    return {key: _with_labels(item, name) for key, item in value.items()}


def report(world: cluster.Cluster) -> cluster.Object:
    """Returns what the claim says of itself, conditions as a line each."""
    status = world.claim["status"]
    return {
        **{key: status[key] for key in sorted(status) if key != "conditions"},
        "conditions": {
            c["type"]: f"{c['status']} {c['reason']}: {c['message']}".removesuffix(": ")
            for c in status["conditions"]
        },
    }


def changes(old: Any, new: Any, at: str = "") -> Changes:
    """Returns the fields that differ, by path: what was there, what is there now, or both.

    Of a list without names the path ends in `[]`, and what went and came is listed.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return _of_maps(old, new, f"{at}." if at else "")
    if isinstance(old, list) and isinstance(new, list):
        return _of_lists(old, new, at)
    if old == new:
        return {}
    before, after = _document(old), _document(new)
    if before is not None and after is not None:
        return changes(before, after, f"{at}.(json)")
    return {at: {"was": old, "now": new}}


def _document(text: Any) -> Any:
    """Returns what JSON in a field says, or None where there is none."""
    try:
        return json.loads(text) if isinstance(text, str) and text[:1] in ("{", "[") else None
    except ValueError:
        return None


def _of_maps(old: dict[str, Any], new: dict[str, Any], at: str) -> Changes:
    result: Changes = {}
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            result[f"{at}{key}"] = {"was": old[key]}
        elif key not in old:
            result[f"{at}{key}"] = {"now": new[key]}
        else:
            result |= changes(old[key], new[key], f"{at}{key}")
    return result


def _of_lists(old: list[Any], new: list[Any], at: str) -> Changes:
    before, after = _named(old), _named(new)
    if before is not None and after is not None:
        return _of_named(before, after, at)
    if len(old) == len(new) == 1:
        return changes(old[0], new[0], f"{at}[0]")
    gone, came = _without(old, new), _without(new, old)
    if _without(old, gone) != _without(new, came):
        return {at: {"was": old, "now": new}}
    return (
        {f"{at}[]": canonical.prune({"was": gone or None, "now": came or None})}
        if gone or came
        else {}
    )


def _of_named(before: dict[str, Any], after: dict[str, Any], at: str) -> Changes:
    gone = [name for name in before if name not in after]
    result: Changes = {f"{at}[]": {"was": gone}} if gone else {}
    inside = {name: changes(before[name], after[name], "") for name in after if name in before}
    if len(inside) > 2 and all(change == next(iter(inside.values())) for change in inside.values()):
        inside = {"*": next(iter(inside.values()))}
    for name, change in inside.items():
        result |= {
            _joined(f"{at}[{name}]", path): difference for path, difference in change.items()
        }
    for name in (name for name in after if name not in before):
        result[f"{at}[{name}]"] = {"now": after[name]}
    stayed = [name for name in after if name in before]
    if stayed != [name for name in before if name in after]:
        result.setdefault(f"{at}[]", {})["order"] = list(after)
    return result


def _joined(at: str, path: str) -> str:
    return f"{at}{path}" if path[:1] in ("", "[", ".") else f"{at}.{path}"


def _named(items: list[Any]) -> dict[str, Any] | None:
    for field in NAMES:
        if items and all(isinstance(item, dict) and field in item for item in items):
            named = {str(item[field]): item for item in items}
            return named if len(named) == len(items) else None
    return None


def _without(items: list[Any], others: list[Any]) -> list[Any]:
    """Returns the items that the other list lacks, in order."""
    left = Counter(map(canonical.dumps, others))
    result = []
    for item in items:
        text = canonical.dumps(item)
        if left[text]:
            left[text] -= 1
        else:
            result.append(item)
    return result
