"""`crossplane composition render` with the shipped files, at both ends of the supported range."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import pathlib
from collections.abc import Iterator

import pytest

from e2e import commands, shipped, situations
from e2e.controlplane import api, crossplane
from tests import crds

CODER = shipped.ROOT / "examples/claims/xplane-qwen-coder.yaml"
# What core itself says on a claim; lastTransitionTime is the time of the render.
_CORE_CONDITIONS = ("Ready", "Synced", "Responsive")
# What a new claim becomes once its policies are there.
_GUARDED = {"Deployment", "Job", "PodDisruptionBudget", "ScaledObject"}
_FATAL = 1  # exit status of the command line when a step ends in a fatal result


def _of_ours(item: api.Object) -> api.Object:
    """An object without what core adds: the owner, and the namespace of the claim."""
    ours = copy.deepcopy(item)
    ours["metadata"].pop("ownerReferences", None)
    ours["metadata"].pop("namespace", None)
    return ours


def _conditions(claim: api.Object) -> dict[str, tuple[str, str, str]]:
    """The claim's conditions that are ours."""
    return {
        entry["type"]: (entry["status"], entry["reason"], entry.get("message", ""))
        for entry in claim["status"]["conditions"]
        if entry["type"] not in _CORE_CONDITIONS
    }


def _status(claim: api.Object) -> api.Object:
    return {key: value for key, value in claim["status"].items() if key != "conditions"}


def _covered() -> Iterator[tuple[pathlib.Path, str, str, str]]:
    """Each claim, profile and stage on one of the cores; each core has every two of them."""
    cases = itertools.product(
        enumerate(shipped.CLAIMS), enumerate(shipped.PROFILES), enumerate(situations.STAGES)
    )
    for (first, claim), (second, profile), (third, stage) in cases:
        core = crossplane.VERSIONS[(first + second + third) % len(crossplane.VERSIONS)]
        yield claim, profile, stage, core


@pytest.mark.parametrize(
    ("claim", "profile", "stage", "core"),
    [pytest.param(*case, id="-".join((case[0].stem, *case[1:]))) for case in _covered()],
)
def test_core_renders_what_our_command_renders(
    claim: pathlib.Path,
    profile: str,
    stage: str,
    core: str,
    functions: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    """Object by object, and the claim's status and conditions too.

    Of a new claim our command shows the pods as well, which wait for their policies.
    """
    environment = situations.environment(stage, profile, tmp_path)
    situation = situations.write(stage, claim, profile, tmp_path)
    theirs = commands.render(
        core, situation.claim, functions, required=[environment], observed=situation.observed
    )
    assert theirs.code == 0, theirs.errors
    ours = commands.own_render(
        situation.claim, environment=environment, observed=situation.observed
    )
    assert ours.code == 0, ours.errors
    guarded = set(ours.composed) - set(theirs.composed)
    assert set(theirs.composed) <= set(ours.composed)
    assert {ours.composed[key]["kind"] for key in guarded} <= _GUARDED
    assert bool(guarded) is (stage == "first")
    for key, item in theirs.composed.items():
        assert _of_ours(item) == _of_ours(ours.composed[key]), key
        (owner,) = item["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["controller"]) == (shipped.KIND, True)
    assert _conditions(theirs.claim) == _conditions(ours.claim)
    assert _status(theirs.claim) == _status(ours.claim)
    assert api.status_of(theirs.claim, "Ready") == ("True" if stage == "serving" else "False")


# --- settings


def _environment(name: str, **data: object) -> api.Object:
    """An EnvironmentConfig that is read."""
    return {
        "apiVersion": "apiextensions.crossplane.io/v1beta1",
        "kind": "EnvironmentConfig",
        "metadata": {"name": name, "labels": {shipped.SETTINGS_LABEL: "true"}},
        "data": data,
    }


@pytest.mark.parametrize("core", crossplane.VERSIONS)
def test_without_settings_nothing_is_rendered(core: str, functions: pathlib.Path) -> None:
    """A fatal result that says what to make."""
    done = commands.render(core, CODER, functions)
    assert done.code == _FATAL
    assert not done.objects
    assert f'no EnvironmentConfig with label {shipped.SETTINGS_LABEL}: "true"' in done.errors
    assert "environment: Optional" in done.errors


@pytest.mark.parametrize("core", crossplane.VERSIONS)
def test_one_without_the_label_is_not_read(
    core: str, functions: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Core selects by label, in render as in a cluster."""
    config = shipped.one(shipped.environment("plain"))
    del config["metadata"]["labels"]
    path = commands.write(tmp_path / "unlabelled.yaml", [config])
    done = commands.render(core, CODER, functions, required=[path])
    assert done.code == _FATAL
    assert "no EnvironmentConfig with label" in done.errors


@pytest.mark.parametrize("core", crossplane.VERSIONS)
@pytest.mark.parametrize("order", ["as named", "reversed"])
def test_two_are_merged_in_the_order_of_their_names(
    core: str, order: str, functions: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The later name wins, in whichever order the files are given."""
    base = shipped.environment("plain")
    over = commands.write(
        tmp_path / "over.yaml",
        [_environment("site-b", inferenceService={"monitoring": {"labels": {"release": "mine"}}})],
    )
    assert shipped.one(base)["metadata"]["name"] < "site-b"
    files = [base, over] if order == "as named" else [over, base]
    done = commands.render(core, CODER, functions, required=files)
    assert done.code == 0, done.errors
    (rule,) = [item for item in done.composed.values() if item["kind"] == "PrometheusRule"]
    assert rule["metadata"]["labels"]["release"] == "mine"
    alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
    assert {alert["labels"]["team"] for alert in alerts} == {"ml-platform"}, "the base stays"


@pytest.mark.parametrize("core", crossplane.VERSIONS)
@pytest.mark.parametrize("profile", shipped.PROFILES)
def test_the_pipeline_s_environment_gives_the_same(
    core: str, profile: str, functions: pathlib.Path
) -> None:
    """Settings from an earlier step's context are as good as an EnvironmentConfig of ours."""
    path = shipped.environment(profile)
    data = shipped.one(path)["data"]
    by_label = commands.render(core, CODER, functions, required=[path])
    context = {commands.ENVIRONMENT_KEY: json.dumps(data)}
    by_context = commands.render(core, CODER, functions, context=context)
    assert by_context.code == 0, by_context.errors
    assert by_context.composed == by_label.composed


@pytest.mark.parametrize("core", crossplane.VERSIONS)
def test_unknown_settings_are_refused_by_name(
    core: str, functions: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A misspelt setting is an error that names it."""
    config = _environment("site", inferenceService={"provider": {}})
    path = commands.write(tmp_path / "wrong.yaml", [config])
    done = commands.render(core, CODER, functions, required=[path])
    assert done.code == _FATAL
    assert "settings: provider: unknown field" in done.errors


# --- kinds that a cluster may lack


@functools.cache
def _kinds() -> dict[str, api.Object]:
    """OpenAPI documents by apiVersion, as the API server publishes them for the CRDs."""
    documents: dict[str, api.Object] = {}
    for path in sorted(crds.directory().rglob("*.yaml")):
        for crd in api.load(path):
            spec = crd["spec"]
            kind = spec["names"]["kind"]
            for version in spec["versions"]:
                group_version = f"{spec['group']}/{version['name']}"
                document = documents.setdefault(
                    group_version,
                    {
                        "openapi": "3.0.0",
                        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
                        "paths": {},
                        "components": {"schemas": {}},
                    },
                )
                gvk = {"group": spec["group"], "version": version["name"], "kind": kind}
                document["components"]["schemas"][f"{spec['group']}.{version['name']}.{kind}"] = {
                    "type": "object",
                    "x-kubernetes-group-version-kind": [gvk],
                }
    return documents


def _schemas(work: pathlib.Path, *without: str) -> pathlib.Path:
    """A directory with the documents of a cluster that lacks some API groups."""
    work.mkdir()
    core = crds.directory() / "kubernetes" / "api__v1_openapi.json"
    (work / core.name).write_bytes(core.read_bytes())
    for group_version, document in _kinds().items():
        if group_version.partition("/")[0] not in without:
            name = f"apis__{group_version.replace('/', '__')}_openapi.json"
            (work / name).write_text(json.dumps(document))
    return work


@pytest.mark.parametrize("core", crossplane.VERSIONS)
def test_with_all_schemas_nothing_is_missing(
    core: str, functions: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Asking about kinds changes nothing where every kind is there, and where nobody answers."""
    required = [shipped.environment("reference")]
    asked = commands.render(
        core, CODER, functions, required=required, schemas=_schemas(tmp_path / "all")
    )
    unanswered = commands.render(core, CODER, functions, required=required)
    assert asked.code == 0, asked.errors
    assert asked.composed == unanswered.composed
    assert "CiliumNetworkPolicy" in {item["kind"] for item in asked.composed.values()}


@pytest.mark.parametrize("core", crossplane.VERSIONS)
def test_a_missing_kind_is_left_out_and_said(
    core: str, functions: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """The rest is rendered; the claim names the kind, and cannot become Ready."""
    required = [shipped.environment("reference")]
    done = commands.render(
        core,
        CODER,
        functions,
        required=required,
        schemas=_schemas(tmp_path / "some", "cilium.io"),
    )
    whole = commands.render(core, CODER, functions, required=required)
    assert done.code == 0, done.errors
    kinds = {item["kind"] for item in done.composed.values()}
    assert {item["kind"] for item in whole.composed.values()} - kinds == {"CiliumNetworkPolicy"}
    status, reason, message = _conditions(done.claim)["PolicyReady"]
    assert (status, reason) == ("False", "KindMissing")
    assert "cilium.io/v2 CiliumNetworkPolicy" in message
    assert api.status_of(done.claim, "Ready") == "False"


@pytest.mark.parametrize("core", crossplane.VERSIONS)
def test_an_observed_object_of_a_missing_kind_stays(
    core: str, functions: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A schema that is empty for a moment deletes nothing."""
    situation = situations.write("serving", CODER, "reference", tmp_path)
    done = commands.render(
        core,
        situation.claim,
        functions,
        required=[shipped.environment("reference")],
        observed=situation.observed,
        schemas=_schemas(tmp_path / "some", "cilium.io"),
    )
    assert done.code == 0, done.errors
    assert "CiliumNetworkPolicy" in {item["kind"] for item in done.composed.values()}
