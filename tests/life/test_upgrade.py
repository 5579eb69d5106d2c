"""An upgrade of the function is noticed by nothing that runs.

`tests/fixtures/at-rest.yaml` has what the last release that remembered no facts of pods left of
each example claim at rest: a digest of each object as it was applied, of each pod template and of
the status. An object that a release changes on purpose leaves that list, with a line in the
changelog; a pod template never does.
"""

import copy
import functools
import json
from typing import Any
from unittest import mock

import pytest

from function import canonical, memo
from function.capacity import catalogue
from function.planning import identity, plans, prospects
from function.workloads import caches
from tests import cluster, documents

LENGTH = 10


@functools.cache
def recorded() -> Any:
    text = (cluster.ROOT / "tests/fixtures/at-rest.yaml").read_text()
    return documents.parse(text)


# Objects that 1.1 gives another key and name, by the end of the key, with what names them.
RENAMED = {
    "cilium-netpol-download": "cilium-netpol-preload",
    "networkpolicy-download": "networkpolicy-preload",
    "service-headless": "service-pods",
    "gateway-canary-": "gateway-aiservicebackend-canary-",
}
# Claims that name no context window, or no parser of a family that has one.
FOLLOWING = ("smallest", "xplane-qwen3-8b")
NAMING = ("gateway-backend", "gateway-airoute")

CASES = [(name, profile) for name, profiles in recorded().items() for profile in profiles]


# GiB of the checkpoints that the releases before 1.1 knew; they knew nothing else of any model.
SIZES = {
    "Qwen/Qwen2.5-Coder-1.5B": 2.9,
    "Qwen/Qwen2.5-Coder-7B-Instruct": 14.2,
    "Qwen/Qwen3-8B": 15.3,
    "meta-llama/Llama-Guard-3-1B": 2.3,
}


def left(name: str, profile: str) -> cluster.Cluster:
    """Returns the claim at rest as that release left it, which is what its digests say."""
    claim = cluster.example(name)
    size = SIZES[claim["spec"]["model"]["repository"]]
    world = cluster.Cluster(claim, cluster.environment(profile))
    with (
        mock.patch.object(caches, "former", return_value=True),
        mock.patch.object(plans, "_kept", memo.Bounded(plans.MOST_BYTES)),
        mock.patch.object(catalogue, "lookup", return_value=None),
        mock.patch.object(prospects, "size_gib", return_value=size),
    ):
        world.converge()
    for kept in (world.objects, world.owned):
        for suffix in ("deployment", "pdb"):
            annotations = kept[f"{name}-{suffix}"]["metadata"]["annotations"]
            del annotations[identity.FACTS_ANNOTATION]
    conditions = world.claim["status"]["conditions"]
    conditions[:] = [c for c in conditions if c["type"] not in ("SecretsReady", "Fits")]
    for field in ("cost", "offers", "repositories"):
        world.claim["status"].pop(field, None)
    world.claim["status"]["serving"].pop("gpuClass", None)
    for kept in (world.objects, world.owned):
        former = {_former(name, key): _named_as_before(name, item) for key, item in kept.items()}
        kept.clear()
        kept.update(former)
    world.refs = set(world.objects)
    return world


def _former(name: str, key: str) -> str:
    for now, before in RENAMED.items():
        key = key.replace(f"{name}-{now}", f"{name}-{before}")
    return key


def _named_as_before(name: str, item: cluster.Object) -> cluster.Object:
    text = json.dumps(item)
    who = identity.Identity(name, "llm", {})
    names = {
        who.pods_name: f"{name}-pods",
        who.part("canary-"): f"{name}-canary-",
        who.part("download"): f"{name}-preload",
    }
    for now, before in names.items():
        text = text.replace(now, before)
    for now, before in RENAMED.items():
        text = text.replace(f"{name}-{now}", f"{name}-{before}")
    document = json.loads(text)
    assert isinstance(document, dict)
    return document


def digests(world: cluster.Cluster) -> dict[str, str]:
    name = world.claim["metadata"]["name"]
    values = {key.removeprefix(f"{name}-"): item for key, item in world.owned.items()}
    values["pod template"] = world.template
    values["status"] = {k: v for k, v in world.claim["status"].items() if k != "conditions"}
    return {key: canonical.digest(value, LENGTH) for key, value in values.items()}


@pytest.mark.decision(13)
@pytest.mark.parametrize(("name", "profile"), CASES)
def test_an_upgrade_changes_no_object_of_a_claim_at_rest(name: str, profile: str) -> None:
    """But for those that it renames: the former one stays until the new one does its work."""
    world = left(name, profile)
    before = copy.deepcopy(world.objects)
    wanted = recorded()[name][profile]
    now = digests(world)
    assert now["pod template"] == wanted["pod template"]
    assert {key: now[key] for key in wanted} == wanted
    template = copy.deepcopy(world.one("Deployment"))
    renamed = {key for key in before if _renamed(name, key)}
    world.reconcile()
    assert before.keys() <= world.objects.keys(), "nothing goes before the new one is there"
    # What follows from the model since 1.1 is a change of the platform: held, and said once.
    expected = ["PlatformChangePending"] if name in FOLLOWING else []
    assert [reason for _, reason, _ in world.events] == expected
    world.converge()
    assert world.one("Deployment") == template
    naming = {f"{name}-{suffix}" for suffix in NAMING}
    kept = before.keys() - renamed
    assert {key: world.objects[key] for key in kept - naming} == {
        key: before[key] for key in kept - naming
    }
    assert renamed.isdisjoint(world.objects), "the former ones go"
    assert len(world.objects) == len(before)
    world.reconcile()
    assert world.writes == []


def _renamed(name: str, key: str) -> bool:
    return any(key.startswith(f"{name}-{former}") for former in RENAMED.values())


def test_every_example_claim_is_recorded_on_both_profiles() -> None:
    assert [(n, p) for n in cluster.EXAMPLES for p in sorted(cluster.PROFILES)] == CASES


def test_facts_are_remembered_with_the_first_template_that_follows() -> None:
    """Until then they are read from the template: a note alone is no reason to write."""
    world = left("xplane-qwen-coder", "reference")
    deployment = world.one("Deployment")["metadata"]["annotations"]
    world.edit(scaling={"minReplicas": 1, "maxReplicas": 4}).converge()
    assert identity.FACTS_ANNOTATION not in deployment
    world.edit(drainSeconds=60).converge()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert identity.FACTS_ANNOTATION in world.one(kind)["metadata"]["annotations"]


@pytest.mark.decision(12)
@pytest.mark.parametrize(("name", "profile"), CASES)
def test_weights_that_are_verified_are_not_downloaded_by_a_newer_program(
    name: str, profile: str
) -> None:
    """The image and the Job's variables are in its name, and not in what is verified."""
    newer = copy.deepcopy(cluster.environment(profile))
    newer["data"]["inferenceService"]["preload"] = {"image": "example.com/preload:v9"}
    world = left(name, profile)
    verified = copy.deepcopy(world.claim["status"]["weights"])
    world.environments = [newer]
    world.converge()
    assert not [key for key in world.objects if "preload-job" in key]
    assert world.claim["status"]["weights"] == verified


def cache_of(world: cluster.Cluster) -> str:
    """Returns where on the volume the engine's compiled code lies."""
    (container,) = world.one("Deployment")["spec"]["template"]["spec"]["containers"]
    (mount,) = [item for item in container["volumeMounts"] if item["mountPath"] == "/cache"]
    return str(mount["subPath"])


def test_compiled_code_lies_apart_by_namespace_and_claim() -> None:
    """No claim's directory is another's or holds it, of two releases and namespaces."""
    places = [cache_of(left("smallest", "reference"))]
    for namespace in ("llm", "smallest"):
        claim = cluster.example("smallest")
        claim["metadata"]["namespace"] = namespace
        world = cluster.Cluster(claim, cluster.environment("reference"))
        world.converge()
        places.append(cache_of(world))
        assert world.claim["status"]["weights"]["cacheDirectory"] in places[-1]
    assert places == [
        "smallest/.compile-cache/smallest",
        "smallest/.compile-cache/llm.smallest",
        "smallest/.compile-cache/smallest.smallest",
    ]


def test_pods_find_the_cache_that_a_job_made() -> None:
    """Through edits that start no Job, and when what was written on the way is lost."""
    world = left("smallest", "reference")
    former = cache_of(world)
    world.edit(drainSeconds=60).converge()
    assert world.one("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 60
    assert cache_of(world) == former
    assert "cacheDirectory" not in world.claim["status"]["weights"]

    new = cluster.Cluster(cluster.example("smallest"), cluster.environment("reference"))
    new.edit(suspend=True).converge()
    assert "Deployment" not in new.kinds_there(), "nothing tells but the status"
    new.edit(suspend=False).converge()
    assert cache_of(new) == "smallest/.compile-cache/llm.smallest"

    ended = cluster.Cluster(cluster.example("smallest"), cluster.environment("reference"))
    ended.born().settle()
    del ended.claim["status"]["weights"]
    ended.reconcile()
    assert cache_of(ended) == "smallest/.compile-cache/llm.smallest", "the Job tells"


def test_only_the_mount_tells_where_the_cache_lies() -> None:
    """No text elsewhere in the template does, and the workload's template stands before another."""
    world = left("smallest", "reference")
    former = cache_of(world)
    forged = {"annotations": {"example.com/x": "a/.compile-cache/llm.smallest"}}
    world.edit(podTemplate=forged).converge()
    world.edit(drainSeconds=60).converge()
    assert cache_of(world) == former

    world = cluster.Cluster(cluster.example("smallest"), cluster.environment("reference"))
    world.converge()
    remembered = world.one("PodDisruptionBudget")["metadata"]["annotations"]
    text = remembered[identity.TEMPLATE_ANNOTATION]
    remembered[identity.TEMPLATE_ANNOTATION] = text.replace("/llm.smallest", "/smallest")
    world.objects = dict(sorted(world.objects.items(), reverse=True))
    world.edit(drainSeconds=60).reconcile()
    assert cache_of(world) == "smallest/.compile-cache/llm.smallest"


def test_a_suspended_claim_of_the_last_release_keeps_its_cache() -> None:
    world = cluster.Cluster(cluster.example("smallest"), cluster.environment("reference"))
    with mock.patch.object(caches, "former", return_value=True):
        world.edit(suspend=True).converge()
    assert world.claim["status"]["weights"]["verified"]
    world.edit(suspend=False).converge()
    assert cache_of(world) == "smallest/.compile-cache/smallest"
