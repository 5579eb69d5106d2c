"""What is composed, put to Kubernetes' own validation (``tools/kubernetes/validator``)."""

from __future__ import annotations

import copy
import decimal
import json
import re
import typing
from collections.abc import Iterator

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from e2e import installation, shipped, validator
from e2e.controlplane import api, plane
from function import memo
from function.api import base
from function.boundary import additions, pods, secrets, sources
from function.capacity import quantity
from function.planning import plans
from tests import (
    cluster,
    crds,
    defects,
    examples,
    impolite,
    lives,
    mistakes,
    recordings,
    schemas,
    strategies,
)
from tests.api import accepted_claims, entries, invalid_claims
from tests.boundary import attacks
from tests.fleet import invalid_doors
from tests.golden import test_examples, test_front_doors
from tests.resources import groups
from tests.schemas import composite, samples, upstream

PROFILES = cluster.PROFILES
XRD = shipped.one(shipped.XRD)
SAMPLES: api.Object = yaml.safe_load(samples.MUTATIONS.read_text())


@pytest.fixture(scope="module")
def kubernetes() -> Iterator[validator.Validator]:
    """The program, with the kinds of the operators and the claim's."""
    with validator.Validator() as running:
        for name in upstream.CUSTOM.values():
            assert running.define(crds.directory() / name) == [], name
        for document in upstream.cut().values():
            assert running.define(document) == [], document["metadata"]["name"]
        for path in shipped.XRDS:
            assert running.define(composite.definition(shipped.one(path))) == [], path
        yield running


DIGITS = st.characters(codec="ascii")


# What is emitted.


def _refusals(kubernetes: validator.Validator, life: lives.Life) -> list[str]:
    """What is refused of a life: each object when it is new, and each change of one."""
    out = []
    for item in life.emitted:
        name = f"{item.object['kind']} {item.object['metadata']['name']}"
        out += [f"{name}: {text}" for text in kubernetes.object(item.object)]
        if item.before is not None:
            changed = kubernetes.update(item.before, item.object)
            out += [f"{name}, updated: {text}" for text in changed]
    return out


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_every_object_of_every_example_is_taken(
    name: str, profile: str, kubernetes: validator.Validator
) -> None:
    """Of a new claim and of one that 0.9.0 left, at each reconcile until nothing changes."""
    example, environment = cluster.example(name), cluster.environment(profile)
    for world in (
        cluster.Cluster(example, environment),
        recordings.taken_over(example, environment),
    ):
        life = lives.Life(world).reconcile()
        life.converge()
        kinds = {item.object["kind"] for item in life.emitted}
        assert {"Deployment", "Service", "ServiceAccount"} <= kinds
        assert _refusals(kubernetes, life) == []


@pytest.mark.parametrize("name", ["hot-adapter", "provider-fallback"])
def test_every_object_of_a_feature_is_taken(name: str, kubernetes: validator.Validator) -> None:
    """Of features whose objects no other example has, beside a front door; and their pods."""
    example = test_examples.EXAMPLES[name]
    world = cluster.Cluster(example.claim, *example.environments)
    world.strangers = [cluster.load(test_examples.DOOR)]
    life = lives.Life(world).reconcile()
    life.converge()
    assert _refusals(kubernetes, life) == []
    templates = [pods for item in life.emitted for pods in cluster.templates(item.object)]
    assert [kubernetes.pod_security(template) for template in templates] == [[]] * len(templates)
    kinds = {item.object["kind"] for item in life.emitted}
    assert {"hot-adapter": "ConfigMap", "provider-fallback": "BackendSecurityPolicy"}[name] in kinds


@pytest.mark.parametrize("name", test_front_doors.EXAMPLES)
def test_every_object_of_every_front_door_is_taken(
    name: str, kubernetes: validator.Validator
) -> None:
    """As each is emitted last."""
    example = test_front_doors.EXAMPLES[name]
    assert kubernetes.object(example.claim) == []
    world = test_front_doors.at_rest(example)
    for key in world.objects:
        assert kubernetes.object(world.desired(key)) == [], key


@pytest.mark.parametrize("invalid", invalid_doors.INVALID, ids=lambda invalid: invalid.name)
def test_admission_refuses_a_front_door(
    invalid: entries.Invalid, kubernetes: validator.Validator
) -> None:
    """By the rules that the function has too."""
    refusals = kubernetes.object(invalid.claim)
    assert any(invalid.words in refusal for refusal in refusals), refusals


@pytest.mark.parametrize(
    "attack", [attack for attack in attacks.ALL if attack.admission], ids=lambda attack: attack.name
)
def test_admission_refuses_what_authors_try(
    attack: attacks.Attack, kubernetes: validator.Validator
) -> None:
    """By the claim's schema and rules: with the field's name, or of the list that it is in."""
    refusals = kubernetes.object(attack.claim)
    places = {text.partition(": ")[0] for text in refusals} - {"spec"}
    near = {p for p in places if attack.field.startswith(p) or p.startswith(attack.field)}
    assert near, refusals


# What is refused because Kubernetes would refuse the pods.
MIRRORED = (
    (additions, "annotations"),
    (additions, "collisions"),
    (pods, "misshapen"),
    (pods, "refusals"),
    (secrets, "refusals"),
    (sources, "problems"),
)


@pytest.mark.parametrize(
    "attack",
    [attack for attack in attacks.ALL if attack.kubernetes],
    ids=lambda attack: attack.name,
)
def test_kubernetes_refuses_what_the_boundary_refuses_for_it(
    attack: attacks.Attack, kubernetes: validator.Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that is ours alone would take from authors what works."""
    for module, name in MIRRORED:
        monkeypatch.setattr(module, name, lambda *_, **__: iter(()))
    monkeypatch.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
    life = lives.Life(cluster.Cluster(attack.claim, lives.site("reference"))).reconcile()
    assert life.world.fatal is None, life.world.fatal
    life.converge()
    assert _refusals(kubernetes, life)


GENERATED = hypothesis.settings(
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def _mended(document: api.Object) -> api.Object:
    """A claim without a defect that has a name, and without a class that the settings may lack."""
    hypothesis.assume(not defects.met(document))
    document["spec"].get("gpu", {}).pop("class", None)
    return document


@pytest.mark.parametrize("profile", PROFILES)
@hypothesis.given(document=strategies.claims() | impolite.claims())
@hypothesis.settings(GENERATED, max_examples=300)
def test_every_object_of_generated_claims_is_taken(
    document: api.Object, profile: str, kubernetes: validator.Validator
) -> None:
    """Whatever the function takes, Kubernetes takes what comes of it."""
    document = _mended(document)
    life = lives.Life(cluster.Cluster(document, lives.site(profile))).reconcile()
    if life.world.fatal is not None:
        assert life.emitted == []
        return
    life.converge()
    assert _refusals(kubernetes, life) == []
    status = {k: v for k, v in life.world.claim["status"].items() if k != "conditions"}
    assert kubernetes.object(_named({**document, "status": status})) == []


@pytest.mark.parametrize("profile", PROFILES)
@hypothesis.given(first=strategies.claims(), second=strategies.claims())
@hypothesis.settings(GENERATED, max_examples=60)
def test_every_change_of_generated_claims_is_taken(
    first: api.Object, second: api.Object, profile: str, kubernetes: validator.Validator
) -> None:
    """One claim becomes another: no selector moves, and no Job is another under its old name."""
    first, second = _mended(first), _mended(second)
    second["metadata"] = first["metadata"]
    hypothesis.assume(not kubernetes.object(_named(second)))  # an adapter may have that name
    life = lives.Life(cluster.Cluster(first, lives.site(profile)))
    life.converge()
    life.world.edit()
    life.world.claim["spec"] = second["spec"]
    life.reconcile()
    if life.world.fatal is None:
        life.converge(limit=20)
    assert _refusals(kubernetes, life) == []


@pytest.mark.parametrize("defect", defects.DEFECTS, ids=lambda defect: str(defect.name))
def test_a_defect_that_is_kept_from_is_there(
    defect: defects.Defect, kubernetes: validator.Validator
) -> None:
    """Once it is mended, its entry must go."""
    document = entries.claim(**defect.spec)
    assert defects.met(_named(document)) == [defect.name]
    refusals = []
    for profile in PROFILES:
        life = lives.Life(cluster.Cluster(document, lives.site(profile)))
        try:
            life.converge()
        except AssertionError as error:  # an internal error of the function
            refusals.append(str(error))
        refusals += _refusals(kubernetes, life)
    assert any(defect.says in text for text in refusals), refusals


def _named(document: api.Object) -> api.Object:
    """A claim in a namespace: a request has one, a file need not."""
    return {**document, "metadata": {"namespace": "llm", **document["metadata"]}}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_pods_keep_the_profile_restricted(
    name: str, profile: str, kubernetes: validator.Validator
) -> None:
    """Those of the engine, of the preload Job and of its cleanup."""
    life = lives.Life(cluster.Cluster(cluster.example(name), cluster.environment(profile)))
    life.converge()
    templates = [pods for item in life.emitted for pods in cluster.templates(item.object)]
    assert len(templates) >= 2
    assert [kubernetes.pod_security(template) for template in templates] == [[]] * len(templates)


def test_gates_are_taken_and_what_judges_keeps_the_profile_restricted(
    kubernetes: validator.Validator,
) -> None:
    """The Job of each step, and each weight of the route."""
    example = examples.read(cluster.ROOT / "examples/features/gate.yaml")
    life = lives.Life(cluster.Cluster(example.claim, *example.environments))
    life.converge()
    assert _refusals(kubernetes, life) == []
    templates = [
        template
        for item in life.emitted
        for template in cluster.templates(item.object)
        if template["metadata"]["labels"]["app.kubernetes.io/component"] == "gate"
    ]
    assert len(templates) >= 2
    assert [kubernetes.pod_security(template) for template in templates] == [[]] * len(templates)


def test_groups_of_pods_are_taken_and_keep_the_profile_restricted(
    kubernetes: validator.Validator,
) -> None:
    """A LeaderWorkerSet by its controller's schema, and both of its templates as pods."""
    life = lives.Life(cluster.Cluster(groups.of(), groups.site()))
    life.converge()
    life.world.edit(gpu=groups.of(pipeline=4)["spec"]["gpu"])
    life.converge()
    assert _refusals(kubernetes, life) == []
    made = [item.object for item in life.emitted if item.object["kind"] == "LeaderWorkerSet"]
    templates = [pods for item in made for pods in cluster.templates(item)]
    assert len(templates) == 2 * len(made) >= 4
    for template in templates:
        assert kubernetes.pod_security(template) == []
        pod = {**template, "apiVersion": "v1", "kind": "Pod"}
        pod["metadata"] = {**template["metadata"], "name": "model-0", "namespace": "llm"}
        assert kubernetes.object(pod) == []


@pytest.mark.parametrize(
    "row", SAMPLES["unrestricted"], ids=lambda row: f"{row['path']} {row['value']}"
)
def test_what_the_profile_forbids_is_said(row: api.Object, kubernetes: validator.Validator) -> None:
    """And the check of the fast suite says so too."""
    template = samples.minimal("Deployment")["spec"]["template"]
    assert kubernetes.pod_security(template) == []
    samples.put(template["spec"], row["path"], row["value"])
    assert any(row["says"] in text for text in kubernetes.pod_security(template))
    assert schemas.pod_security(template["spec"])


# What is refused: the program asks the real thing, kind by kind.


@pytest.mark.parametrize("kind", samples.KINDS)
def test_a_small_object_of_each_kind_is_taken(kind: str, kubernetes: validator.Validator) -> None:
    """So what refuses a mutation of it is the mutation."""
    assert kubernetes.object(samples.minimal(kind)) == []


@pytest.mark.parametrize("row", SAMPLES["refused"], ids=lambda row: f"{row['kind']} {row['path']}")
def test_a_mutation_is_refused(row: api.Object, kubernetes: validator.Validator) -> None:
    """For the reason that the table gives."""
    errors = kubernetes.object(samples.mutated(row))
    assert any(row["says"] in text for text in errors), errors


@pytest.mark.parametrize("row", SAMPLES["accepted"], ids=lambda row: f"{row['kind']} {row['path']}")
def test_an_edge_is_taken(row: api.Object, kubernetes: validator.Validator) -> None:
    """The last value that passes."""
    assert kubernetes.object(samples.mutated(row)) == []


@pytest.mark.parametrize(
    ("kind", "path", "value", "immutable"),
    [
        ("Deployment", "spec.selector.matchLabels|part-of", "ai", "spec.selector"),
        ("Job", "spec.template.spec.containers.0.image", "preload:2", "spec.template"),
        ("Secret", "type", "example.com/other", "type"),
        ("Service", "spec.clusterIP", "None", "spec.clusterIPs[0]"),
    ],
)
def test_a_change_of_an_immutable_field_is_refused(
    kind: str, path: str, value: object, immutable: str, kubernetes: validator.Validator
) -> None:
    """Each state is valid, and the way from one to the other is not."""
    old = samples.minimal(kind)
    new = samples.put(samples.minimal(kind), path, value)
    assert kubernetes.object(new) == []
    (refusal,) = kubernetes.update(old, new)
    assert refusal.startswith(f"{immutable}: ")
    assert "immutable" in refusal or "may not change" in refusal
    assert kubernetes.update(old, old) == []


def test_a_key_that_is_there_twice_is_refused(kubernetes: validator.Validator) -> None:
    """In built-in kinds and in others."""
    for kind in ("ServiceAccount", "VMRule"):
        text = json.dumps(samples.minimal(kind))
        assert kubernetes.text(text) == []
        twice = text.replace('"namespace":', '"namespace": "x", "namespace":')
        assert "metadata.namespace: duplicate field" in kubernetes.text(twice)


def test_a_kind_without_a_schema_is_refused(kubernetes: validator.Validator) -> None:
    """And so is a version that is not served."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    assert kubernetes.object(node) == ["<object>: no schema for /v1, Kind=Node"]
    old = {**samples.minimal("ExternalSecret"), "apiVersion": "external-secrets.io/v1beta1"}
    assert "does not serve" in kubernetes.object(old)[0]


# The claim.


@pytest.mark.parametrize("entry", invalid_claims.INVALID, ids=lambda entry: str(entry.name))
def test_a_mistake_in_a_claim_is_refused(
    entry: entries.Invalid, kubernetes: validator.Validator
) -> None:
    """In the words that the function has for it, or at its path."""
    errors = kubernetes.object(_named(entry.claim))
    assert any(entry.words in text for text in errors), errors


@pytest.mark.parametrize("entry", accepted_claims.ACCEPTED, ids=lambda entry: str(entry.name))
def test_a_valid_claim_is_taken(entry: entries.Accepted, kubernetes: validator.Validator) -> None:
    """As the function takes it."""
    assert kubernetes.object(_named(entry.claim)) == []


@hypothesis.given(broken=mistakes.broken_claims())
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_a_generated_mistake_is_refused(
    broken: mistakes.Broken, kubernetes: validator.Validator
) -> None:
    """What the function refuses, the API server refuses too."""
    assert kubernetes.object(_named(broken.claim)), broken.what


# What a stored claim may keep: rules sit on the deepest node that they read.


def _changed(value: api.Object) -> api.Object:
    changed = copy.deepcopy(value)
    changed["metadata"]["labels"] = {"touched": "yes"}
    return changed


def test_a_stored_claim_keeps_its_name(kubernetes: validator.Validator) -> None:
    """Also one that nobody may choose today."""
    old = _named(entries.claim("7b"))
    assert kubernetes.object(old)
    assert kubernetes.update(old, _changed(old)) == []


def test_a_stored_claim_keeps_a_long_name_with_a_picker(kubernetes: validator.Validator) -> None:
    """Beside which the picker cannot be switched on."""
    on: api.Object = {"enabled": True, "endpointPicker": {"enabled": True}}
    with_picker = _named(entries.claim("q" * 54, gateway=on))
    without = _named(entries.claim("q" * 54))
    assert kubernetes.update(with_picker, _changed(with_picker)) == []
    assert any("53 characters" in text for text in kubernetes.update(without, with_picker))


def test_a_stored_mistake_does_not_block_another_change(kubernetes: validator.Validator) -> None:
    """Which would stop status writes, and the removal of finalizers."""
    old = _named(entries.claim(engineArgs=["--config=/tmp/x"], scaling={"minReplicas": 1}))
    new = copy.deepcopy(old)
    new["spec"]["scaling"]["minReplicas"] = 2
    assert kubernetes.object(old)
    assert kubernetes.update(old, new) == []


def test_rules_beyond_the_cost_budget_are_refused() -> None:
    """So that the schema of the claim, which is not, is within it."""
    definition = composite.definition(XRD)
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del spec["engineArgs"]["maxItems"]
    with validator.Validator() as running:
        assert any("exceeds budget" in text for text in running.define(definition))
        assert running.define(composite.definition(XRD)) == []


# What the fast suite does itself, held to its program.


def test_the_fast_suites_schema_of_a_claim_is_the_one_that_crossplane_makes(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> None:
    """Beside descriptions and printer columns, which decide nothing."""
    del installed
    name = "inferenceservices.cloud.ogenki.io"
    crd = control_plane.admin.get(
        api.Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", name)
    )
    (made,) = crd["spec"]["versions"]
    (ours,) = composite.definition(XRD)["spec"]["versions"]
    theirs = dict(_leaves(made["schema"]))
    assert dict(_leaves(ours["schema"])) == theirs
    assert len(theirs) > 500
    assert crd["spec"]["scope"] == "Namespaced"


def _leaves(node: typing.Any, path: str = "") -> Iterator[tuple[str, typing.Any]]:
    """Every value of a schema by its path, without descriptions."""
    if isinstance(node, dict) and node:
        for key, item in node.items():
            if key != "description" or isinstance(item, dict):
                yield from _leaves(item, f"{path}.{key}")
    else:
        yield path, node


@hypothesis.given(text=st.from_regex(base.QUANTITY.replace("$", r"\Z"), alphabet=DIGITS))
@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
def test_a_quantity_of_a_claim_means_what_kubernetes_means(
    text: str, kubernetes: validator.Validator
) -> None:
    """Memory of a pod is worked out with them."""
    # Kubernetes cuts what does not fit 64 bits, and rounds what is finer than a billionth.
    parsed = quantity.parse(text)
    hypothesis.assume(parsed < 2**63 and parsed == round(parsed, 9))
    answer = kubernetes.quantity(text)
    assert answer.errors == []
    assert decimal.Decimal(answer.value) == parsed


@pytest.mark.parametrize("text", ["", "1GiB", "1 Gi", "1K", "two", "0x1", "1e", "--1"])
def test_what_is_no_quantity_is_refused(text: str, kubernetes: validator.Validator) -> None:
    """And no claim can hold it."""
    assert kubernetes.quantity(text).errors
    assert not re.fullmatch(base.QUANTITY, text)
