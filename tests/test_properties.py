"""What must hold for every valid claim under every site, not for the examples alone."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from function.api import base, claim, settings
from function.planning import identity
from function.workloads import workloads
from tests import answers, cluster, defects, effort, impolite, lives, mistakes, schemas, strategies

PROFILES = {name: cluster.environment(name) for name in cluster.PROFILES}
XRD_SCHEMA = cluster.load("xrd/inferenceservices.cloud.ogenki.io.yaml")["spec"]["versions"][0][
    "schema"
]["openAPIV3Schema"]


# --- one life of one claim, and what must hold in it


class Life:
    """What was emitted for one claim, from its birth to rest."""

    def __init__(self, document: cluster.Object, started: lives.Life) -> None:
        self.document = document
        self.world = started.world
        self.rounds = started.converge(limit=10)
        self.objects = [item.object for item in started.emitted]

    def pods(self) -> Iterator[cluster.Object]:
        """Yields every pod template."""
        for item in self.objects:
            yield from cluster.templates(item)


def every_object_is_valid_upstream(life: Life) -> None:
    for item in life.objects:
        assert schemas.validate(item) == [], item["metadata"]["name"]


def the_status_fits_its_schema(life: Life) -> None:
    status = {k: v for k, v in life.world.claim["status"].items() if k != "conditions"}
    assert schemas.validate_custom(XRD_SCHEMA, {**life.document, "status": status}) == []


def the_claim_comes_to_rest(life: Life) -> None:
    world = life.world
    assert life.rounds <= 8
    resting = world.phase in ("Serving", "Idle", "Suspended")
    misfit = world.condition("EngineReady")[1] in ("ExceedsGpuClass", "TooLarge")
    assert resting or misfit, world.phase
    if resting:
        assert all(world.ready.values()), world.ready
    assert world.reconcile().writes == []
    assert world.events == []


def no_answer_holds_a_null_or_a_broken_number(life: Life) -> None:
    for item in (*life.objects, life.world.claim["status"]):
        assert schemas.nulls(item) == []
        assert schemas.floats(item) == []


def selectors_match_the_right_pods_only(life: Life) -> None:
    templates = {
        labels["app.kubernetes.io/component"]: labels
        for item in life.objects
        if item["kind"] == "Job" or workloads.of(item) is not None
        for template in cluster.templates(item)
        for labels in [template["metadata"]["labels"]]
    }
    for item in life.objects:
        selector = _selector(item)
        if selector is None:
            continue
        part = item["metadata"]["name"].rpartition(".")[2]
        components = {"download": "preload", "removal": "cleanup", "gate": "gate"}
        wanted = {components.get(part, "inference")}
        if identity.GROUP_LABEL in selector:
            wanted = {"inference", identity.FOLLOWER}
        if item["kind"] == "Job":
            labels = item["spec"]["template"]["metadata"]["labels"]
            wanted = {labels["app.kubernetes.io/component"]}
        for component, labels in templates.items():
            matches = selector.items() <= labels.items()
            assert matches is (component in wanted), item["metadata"]["name"]


def _selector(item: cluster.Object) -> dict[str, str] | None:
    spec = item.get("spec", {})
    if item["metadata"]["name"].endswith(("-epp", ".picker")):
        return None
    if item["kind"] == "Service":
        return dict(spec["selector"])
    if item["kind"] in ("Deployment", "PodDisruptionBudget"):
        return dict(spec["selector"]["matchLabels"])
    if item["kind"] == "CiliumNetworkPolicy":
        return dict(spec["endpointSelector"]["matchLabels"])
    if item["kind"] == "NetworkPolicy":
        return dict(spec["podSelector"]["matchLabels"])
    return None


def names_stay_within_limits(life: Life) -> None:
    label = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
    for item in life.objects:
        name = item["metadata"]["name"]
        if item["kind"] in ("Service", "Job", "Deployment", "LeaderWorkerSet", "ScaledObject"):
            assert label.fullmatch(name), name
        assert len(name) <= 253
        if item["kind"] == "ScaledObject":
            assert len(f"keda-hpa-{name}") <= 63
        if item["kind"] == "HelmRelease":
            assert len(item["spec"]["releaseName"]) <= 53


def no_claim_string_reaches_a_shell(life: Life) -> None:
    for template in life.pods():
        for container in template["spec"]["containers"]:
            assert "command" not in container, "the image's own entry point runs"


def nothing_of_scaling_is_in_a_pod(life: Life) -> None:
    scaling = life.document["spec"].get("scaling")
    if scaling is None:
        return
    before = [
        copy.deepcopy(template)
        for item in life.objects
        if workloads.of(item) is not None
        for template in cluster.templates(item)
    ][-1:]
    life.world.edit(scaling={"minReplicas": 1, "maxReplicas": 7})
    life.world.converge(limit=10)
    after = [
        template
        for item in life.world.owned.values()
        if workloads.of(item) is not None
        for template in cluster.templates(item)
    ][-1:]
    if after and before:
        assert after == before


INVARIANTS = (
    every_object_is_valid_upstream,
    the_status_fits_its_schema,
    the_claim_comes_to_rest,
    no_answer_holds_a_null_or_a_broken_number,
    selectors_match_the_right_pods_only,
    names_stay_within_limits,
    no_claim_string_reaches_a_shell,
    nothing_of_scaling_is_in_a_pod,
)


@pytest.mark.parametrize("profile", cluster.PROFILES)
@effort.examples(15)
@hypothesis.given(document=strategies.claims())
def test_whatever_is_valid_lives_well(document: cluster.Object, profile: str) -> None:
    hypothesis.assume(not defects.met(document))
    life = Life(document, lives.accepted(document, profile))
    for holds in INVARIANTS:
        holds(life)


@pytest.mark.parametrize("profile", cluster.PROFILES)
@effort.examples(15)
@hypothesis.given(document=impolite.claims())
def test_an_impolite_claim_is_refused_or_lives_well(document: cluster.Object, profile: str) -> None:
    hypothesis.assume(not defects.met(document))
    document["spec"].get("gpu", {}).pop("class", None)
    life = lives.Life(cluster.Cluster(document, lives.site(profile))).reconcile()
    if life.world.fatal is not None:
        assert "spec" in life.world.fatal, "the author is told where"
        assert life.emitted == []
        return
    whole = Life(document, life)
    for holds in INVARIANTS:
        holds(whole)


@pytest.mark.parametrize("profile", cluster.PROFILES)
@effort.examples(15)
@hypothesis.given(document=impolite.claims())
def test_without_permission_pods_keep_the_profile_restricted(
    document: cluster.Object, profile: str
) -> None:
    hypothesis.assume(not defects.met(document))
    document["spec"].pop("patches", None)
    document["spec"].get("engine", {}).pop("image", None)
    document["spec"].get("gpu", {}).pop("class", None)
    life = lives.Life(cluster.Cluster(document, lives.site(profile, closed=True))).reconcile()
    if life.world.fatal is None:
        for template in Life(document, life).pods():
            assert schemas.pod_security(template["spec"]) == []


@hypothesis.given(broken=mistakes.broken_claims())
def test_a_broken_claim_changes_nothing(broken: mistakes.Broken) -> None:
    world = cluster.Cluster(cluster.example("smallest"), lives.site("plain"))
    world.converge()
    objects = copy.deepcopy(world.objects)
    world.claim["spec"] = broken.claim["spec"]
    world.claim["metadata"]["name"] = broken.claim["metadata"]["name"]
    try:
        base.parse(claim.InferenceService, world.claim, what="claim")
    except base.InvalidError:
        world.reconcile()
        assert world.fatal is not None
        assert world.objects == objects
        assert world.condition("Valid") == ("False", "Invalid")


@effort.examples(12)
@hypothesis.given(given=strategies.settings())
def test_every_site_renders_the_examples(given: cluster.Object) -> None:
    settings.resolve([given])
    config = {"kind": "EnvironmentConfig", "metadata": {"name": "a"}, "data": {}}
    config["data"] = {"inferenceService": given}
    # What settings do not grant is refused; tests/boundary asks that.
    for field in ("limits", "allowed", "reservedNames"):
        given.pop(field, None)
    for name in ("smallest", "xplane-qwen-coder"):
        world = cluster.Cluster(cluster.example(name), config)
        world.reconcile()
        if world.fatal is not None:
            assert "engine" in world.fatal or "kvOffload" in world.fatal, world.fatal
            continue
        world.converge(limit=10)
        for item in world.owned.values():
            emitted = {key: value for key, value in item.items() if key != "status"}
            assert schemas.validate(emitted) == [], item["kind"]


def test_the_same_input_gives_the_same_bytes_in_every_process() -> None:
    claims = [cluster.example(name) for name in cluster.EXAMPLES]
    claims.append(_without_crossplane(strategies.full_claim()))
    there = {
        subprocess.run(
            [sys.executable, "-m", "tests.answers"],
            input=json.dumps(claims),
            capture_output=True,
            check=True,
            text=True,
            cwd=cluster.ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(cluster.ROOT)},
        ).stdout
        for seed in ("1", "random")
    }
    assert there == {answers.of(claims)}


def _without_crossplane(document: cluster.Object) -> cluster.Object:
    document = copy.deepcopy(document)
    for field in ("crossplane", "patches", "engine"):
        document["spec"].pop(field, None)
    document["spec"].get("gpu", {}).pop("class", None)
    for field in ("volumes", "volumeMounts"):
        document["spec"].get("podTemplate", {}).pop(field, None)
    return document


def test_compose_is_the_same_for_a_null_as_for_an_absent_field() -> None:
    document = cluster.example("xplane-qwen-coder")
    with_nulls = copy.deepcopy(document)
    with_nulls["spec"]["scaling"]["runningRatioThreshold"] = None
    with_nulls["spec"]["suspend"] = None
    answers = [
        cluster.Cluster(d, PROFILES["reference"])
        .reconcile()
        .response.SerializeToString(deterministic=True)
        for d in (document, with_nulls)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", cluster.EXAMPLES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_every_example_lives_well(name: str, profile: str) -> None:
    document = cluster.example(name)
    life = Life(document, lives.accepted(document, profile))
    for holds in INVARIANTS:
        holds(life)
    for template in life.pods():
        assert schemas.pod_security(template["spec"]) == []
