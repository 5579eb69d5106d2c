"""The roles of examples/rbac are what the function's objects and questions need."""

import copy
import functools
import re
import typing
from collections.abc import Iterator

import pytest
import yaml

from function import claim_rows
from function.concerns.gateway import native_picker
from function.fleet import rows as doors
from tests import cluster, examples
from tests.docs import pages
from tests.fleet import scene
from tests.golden import lives

# What Crossplane's chart grants its own ServiceAccount on kinds that a claim becomes
# (cluster/charts/crossplane/templates/clusterrole.yaml, the same in 2.3.4 and 2.4.0).
OF_THE_CHART = {
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "deployments"),
}
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}


def resource_of(item: cluster.Object) -> tuple[str, str]:
    """Returns group and resource of a kind. All our kinds have a regular plural."""
    group = item["apiVersion"].rpartition("/")[0]
    kind = item["kind"].lower()
    return group, kind[:-1] + "ies" if re.search("[^a]y$", kind) else f"{kind}s"


def granted(name: str) -> dict[tuple[str, str], set[str]]:
    """Returns the verbs of each resource that a role of the examples grants."""
    role = cluster.load(f"examples/rbac/{name}.yaml")
    assert role["metadata"]["labels"] == {"rbac.crossplane.io/aggregate-to-crossplane": "true"}
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


class Look(typing.NamedTuple):
    """The state after one answer for a claim."""

    claim: str
    objects: dict[str, cluster.Object]
    conditions: list[cluster.Object]


@functools.cache
def looks() -> list[Look]:
    """Returns the state after every answer, in all lives of the golden files."""

    def worlds() -> Iterator[cluster.Cluster]:
        for life in lives.LIVES.values():
            yield from (world for _, world in life())
        for example in examples.every():
            yield from lives.at_work(example.claim, example.environments)

    return [
        Look(
            world.claim["metadata"]["name"],
            copy.deepcopy(world.objects),
            copy.deepcopy(world.claim["status"]["conditions"]),
        )
        for world in worlds()
    ]


def golden() -> Iterator[cluster.Object]:
    """Yields every object of these lives."""
    for look in looks():
        yield from look.objects.values()


def everything() -> Iterator[cluster.Object]:
    """Yields objects of every kind: a claim that asks for all, before each provider."""
    wanted = cluster.example("xplane-qwen-coder")
    wanted["spec"]["externalSecrets"] = [{"name": "hf-token-a", "remoteRef": "llm/token"}]
    wanted["spec"]["route"] = {"enabled": True, "hostname": "coder"}
    picked = cluster.example("xplane-qwen-coder")
    picked["spec"]["gateway"] = {"enabled": True, "endpointPicker": {"enabled": True}}
    several = cluster.example("smallest")
    several["spec"]["gpu"] = {"count": 1, "parallelism": {"pipeline": 2}}
    native = examples.read(pages.ROOT / "examples/features/native-picker.yaml")
    yield from lived(native.claim, *native.environments)
    caller = {**scene.fetched("a"), "limits": [{"requests": 1, "per": "day"}]}
    provider = scene.provider("a", "m")
    evals = {"caller": "a"}
    wished = scene.of(callers=[caller], providers=[provider], evals=evals)
    door = scene.resting(wished, scene.member("coder"))
    yield from door.objects.values()
    for monitoring, dashboards in (
        ("victoriametrics", "grafana-sidecar"),
        ("prometheus-operator", "grafana-operator"),
    ):
        for policy in ("cilium", "kubernetes"):
            site = cluster.environment("reference")
            chosen = {
                "monitoring": monitoring,
                "networkPolicy": policy,
                "dashboards": dashboards,
            }
            site["data"]["inferenceService"]["providers"] |= chosen
            for document in (wanted, picked, several):
                yield from lived(document, site)


def lived(claim: cluster.Object, *environments: cluster.Object) -> Iterator[cluster.Object]:
    """Yields the objects of a claim that begins, and of one at rest."""
    world = cluster.Cluster(claim, *environments).born()
    yield from [*world.objects.values()]
    world.converge()
    yield from world.objects.values()


@pytest.mark.pitfall("timeout waiting for an informer: no rights on composed kinds")
def test_crossplane_may_do_what_is_composed() -> None:
    resources = {resource_of(item) for item in (*golden(), *everything())}
    role = granted("clusterrole")
    assert resources - OF_THE_CHART - set(role) == set(), "the role lacks these"
    assert set(role) - resources == set(), "nothing composes these"
    assert all(verbs == VERBS for verbs in role.values())


def test_a_picker_may_read_what_its_chart_lets_it_and_core_may_bind_that_alone() -> None:
    reads, binds = yaml.safe_load_all(
        (pages.ROOT / "examples/rbac/endpoint-picker.yaml").read_text()
    )
    assert reads["metadata"]["name"] == native_picker.CLUSTER_ROLE
    assert {
        (group, resource): rule["verbs"]
        for rule in reads["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    } == {
        ("", "pods"): ["get", "list", "watch"],
        ("inference.networking.k8s.io", "inferencepools"): ["get", "list", "watch"],
        ("inference.networking.x-k8s.io", "inferenceobjectives"): ["get", "list", "watch"],
        ("inference.networking.x-k8s.io", "inferencemodelrewrites"): ["get", "list", "watch"],
    }
    (rule,) = binds["rules"]
    assert rule["verbs"] == ["bind"]
    assert rule["resourceNames"] == [native_picker.CLUSTER_ROLE]
    assert binds["metadata"]["labels"] == {"rbac.crossplane.io/aggregate-to-crossplane": "true"}


def test_every_kind_was_composed() -> None:
    """The test above covers only kinds that some of its claims compose."""
    every = [*claim_rows.every(), *doors.ROWS]
    assert {row.kind.name for row in every} == {item["kind"] for item in everything()}


def test_pods_are_read_only_with_a_role_of_their_own() -> None:
    assert granted("diagnostics-pods") == {("", "pods"): {"get", "list", "watch"}}


def test_workloads_are_read_only_with_a_role_of_their_own() -> None:
    verbs = {"get", "list", "watch"}
    assert granted("diagnostics-queue") == {("kueue.x-k8s.io", "workloads"): verbs}


def test_the_table_of_roles() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9.-]+)` \| ((?:`[a-z]+`(?:, )?)+) \|",
        pages.section(pages.ROOT / "docs/install.md", "2. Roles"),
        re.M,
    )
    shown = {(group, name) for group, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert shown == set(granted("clusterrole"))
