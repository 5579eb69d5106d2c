"""Requests that somebody made up: mutated claims, objects, status, settings and bytes.

`HOSTILE_REQUESTS` says how many; `HOSTILE_SEED` makes others. The laws: an answer always comes, it
meets no bug, a fatal one desires nothing but what came, and no other one drops what serves.
"""

import os
import random
import time
from typing import Any

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import runner, structs
from tests import cluster, quiet
from tests.resources import scene

REQUESTS = int(os.environ.get("HOSTILE_REQUESTS", "400"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
# Never withdrawn while they are observed, whatever the rest of the request says.
SERVING = ("deployment", "pdb", "service", "serviceaccount")
SHARDS = 4

SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 1e308, 2**53, float("nan"), float("inf"), float("-inf")),
    *("", "x", "x" * 5000, "\x00", "é✓\U0001f600", "../../etc/passwd", "$(HOME)", "true", "1e9999"),
    *("[" * 5000, "{" * 5000, '{"a": ' * 900, "null", "[]", "{}", "9" * 400, "\ud7ff", "-0"),
    *("2026-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "Opaque", "100Ti", "-5Gi", "0.0000001"),
)


def worlds() -> list[cluster.Cluster]:
    """Returns claims in several states, with objects of every concern."""
    full = cluster.example("xplane-qwen-coder")
    full["spec"] |= {
        "externalSecrets": [{"name": "token", "remoteRef": "apps/llm/token"}],
        "route": {"enabled": True, "hostname": "coder"},
    }
    asleep = cluster.example("xplane-qwen-coder")
    asleep["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    swapping = scene.serving(full)
    swapping.edit(model={"repository": "Qwen/Qwen3-8B"}).reconcile()
    return [
        cluster.Cluster(full, scene.site()).reconcile(),
        scene.serving(full),
        scene.serving(asleep),
        swapping,
    ]


def hostile(value: Any, chance: random.Random) -> Any:
    """Returns a value that does not fit in its place."""
    kind = chance.randrange(6)
    if kind == 0:
        return [value] * chance.randrange(4)
    if kind == 1:
        return {chance.choice(("", "a", "name", "type")): value}
    if kind == 2:
        return [chance.choice(SCALARS) for _ in range(3)]
    if kind == 3:
        return {}
    return chance.choice(SCALARS)


def mutate(document: Any, chance: random.Random) -> None:
    """Changes one place, at a random depth."""
    at = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = chance.choice(keys)
        below = at[key]
        if isinstance(below, dict | list) and below and chance.random() < 0.85:
            at = below
            continue
        act = chance.randrange(5)
        if act == 0:
            del at[key]
        elif act == 1 and isinstance(at, list):
            at.append(below)
        elif act == 2 and isinstance(at, dict):
            at[chance.choice(("x", "", "spec", "status", "conditions"))] = below
        else:
            at[key] = hostile(below, chance)
        return


Place = tuple[str, ...]


def places(whole: fnv1.RunFunctionRequest) -> list[Place]:
    """Returns the parts of a request that are mutated: each is likely, however large it is."""
    objects = [("objects", key) for key in sorted(whole.observed.resources)]
    claim = [("claim", part) for part in ("spec", "status", "metadata")]
    return [*claim, ("settings",), *objects, *objects, ("pod",)]


def struct(req: fnv1.RunFunctionRequest, place: Place) -> Any:
    """Returns the Struct at a place."""
    match place:
        case ("claim", part):
            return req.observed.composite.resource.fields[part].struct_value
        case ("objects", key):
            return req.observed.resources[key].resource
        case _:
            name = "settings" if place == ("settings",) else "pods"
            return req.required_resources[name].items[0].resource


def request(world: cluster.Cluster) -> fnv1.RunFunctionRequest:
    """Returns the request of a world, with a pod, before anybody changes it."""
    req = fnv1.RunFunctionRequest()
    req.meta.tag = "tag"
    req.meta.capabilities.extend([fnv1.CAPABILITY_CAPABILITIES, fnv1.CAPABILITY_REQUIRED_SCHEMAS])
    fill(req.observed.composite.resource, world.claim)
    for key, item in world.objects.items():
        fill(req.observed.resources[key].resource, item)
    fill(req.required_resources["settings"].items.add().resource, world.environments[0])
    pod = {"kind": "Pod", "status": {"phase": "Pending"}}
    fill(req.required_resources["pods"].items.add().resource, pod)
    req.desired.resources["earlier"].resource.update({"kind": "ConfigMap"})
    return req


def mutated(whole: fnv1.RunFunctionRequest, chance: random.Random) -> fnv1.RunFunctionRequest:
    """Returns a request with one to four changes. What is not changed is copied as it is."""
    req = fnv1.RunFunctionRequest()
    req.CopyFrom(whole)
    changed: dict[Place, Any] = {}
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.choice(places(whole))
        if place not in changed:
            changed[place] = structs.plain(struct(whole, place))
        mutate(changed[place], chance)
    for place, value in changed.items():
        target = struct(req, place)
        target.Clear()
        fill(target, value)
    return req


def fill(struct: Any, document: dict[str, Any]) -> None:
    """Writes a map into a Struct, nulls and numbers that are none among its values."""
    for key, value in document.items():
        put(struct.fields[key], value)


def put(target: Any, value: Any) -> None:
    """Writes one value."""
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            put(target.list_value.values.add(), item)
    else:
        target.struct_value.SetInParent()
        fill(target.struct_value, value)


def garbage(data: bytes, chance: random.Random) -> bytes:
    """Returns bytes with some others, or fewer."""
    broken = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    return bytes(broken[: chance.randrange(len(broken))] if chance.random() < 0.2 else broken)


def judge(req: fnv1.RunFunctionRequest, rsp: fnv1.RunFunctionResponse, name: str) -> str | None:
    """Returns which law an answer breaks, or None."""
    fatal = [result for result in rsp.results if result.severity == fnv1.SEVERITY_FATAL]
    if fatal:
        if any(result.reason == "InternalError" for result in fatal):
            return "a bug"
        if rsp.desired != req.desired:
            return "a fatal answer desires something"
        return None if fatal[0].message and rsp.conditions else "a fatal answer without words"
    if rsp.desired.resources["earlier"] != req.desired.resources["earlier"]:
        return "what came from earlier steps is lost"
    kept = {f"{name}-{suffix}" for suffix in SERVING} & set(req.observed.resources)
    lost = kept - set(rsp.desired.resources)
    return f"lost {sorted(lost)}" if lost else None


@pytest.mark.effort
@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_request_breaks_a_law(shard: int) -> None:
    chance = random.Random(SEED * 1000 + shard)
    world = worlds()[shard]
    name = world.claim["metadata"]["name"]
    whole = request(world)
    outcomes: dict[str, int] = {}
    started = time.monotonic()
    for number in range(REQUESTS // SHARDS):
        req = mutated(whole, chance)
        log = quiet.Quiet()
        if chance.random() < 0.1:
            rsp = runner.answer(garbage(req.SerializeToString(), chance), log)
            broken = "a bug" if log.errors else None
        else:
            rsp = runner.answer(req.SerializeToString(), log)
            named = structs.plain(struct(req, ("claim", "metadata"))).get("name")
            broken = judge(req, rsp, name if named == name else "\x00")
        kind = (
            "fatal" if any(r.severity == fnv1.SEVERITY_FATAL for r in rsp.results) else "composed"
        )
        outcomes[kind] = outcomes.get(kind, 0) + 1
        assert broken is None, (broken, shard, number, [r.message for r in rsp.results])
    assert min(outcomes.get("fatal", 0), outcomes.get("composed", 0)) > 0.05 * REQUESTS / SHARDS
    seconds = time.monotonic() - started
    print(f"shard {shard}: {REQUESTS // SHARDS} requests in {seconds:.0f} s: {outcomes}")
    assert seconds < 3600
