"""Keys, names and labels: what ties composed objects to their claim and to each other."""

import re

import pytest

from function.planning import identity
from tests import cluster
from tests.resources import scene

# Key and name of every object that 0.9.0 composed and that is composed still (contract), and of the
# kinds that are new (decision 24). N is the claim's name.
NAMES = {
    "N-serviceaccount": "N",
    "N-deployment": "N",
    "N-service": "N",
    "N-service-pods": "N-pods",
    "N-scaledobject": "N",
    "N-pdb": "N",
    "N-cilium-netpol": "N",
    "N-cilium-netpol-preload": "N-preload",
    "N-cilium-netpol-cleanup": "N-cleanup",
    "N-networkpolicy": "N",
    "N-networkpolicy-preload": "N-preload",
    "N-networkpolicy-cleanup": "N-cleanup",
    "N-vmservicescrape": "N",
    "N-vmrule": "N",
    "N-servicemonitor": "N",
    "N-prometheusrule": "N",
    "N-externalsecret-token": "token",
    "N-httproute-direct": "N-direct",
    "N-gateway-backend": "N-direct",
    "N-gateway-aiservicebackend": "N",
    "N-gateway-aiservicebackend-canary-sql": "N-canary-sql",
    "N-gateway-airoute": "N",
    "N-backendtrafficpolicy": "N",
    "N-epp-helmrelease": "N-epp",
    "N-epp-vmservicescrape": "N-epp",
    "N-epp-cilium-netpol": "N-epp",
}
EVERYTHING = scene.of(
    externalSecrets=[{"name": "token", "remoteRef": "apps/token"}],
    loraAdapters=scene.ADAPTERS,
    model={"retention": "Delete"},
    route={"enabled": True, "hostname": "m"},
    gateway={"enabled": True, "canaries": [{"adapter": "sql", "weightPercent": 10}]},
)
PICKER = scene.of(gateway={"enabled": True, "endpointPicker": {"enabled": True}})


def names(world: cluster.Cluster) -> dict[str, str]:
    return {
        key.replace(f"{scene.NAME}-", "N-", 1): item["metadata"]["name"]
        for key, item in world.objects.items()
    }


@pytest.mark.decision(24)
def test_keys_and_names_are_those_of_0_9_0_and_those_settled_since() -> None:
    names_by_key = names(scene.serving(EVERYTHING))
    names_by_key |= names(scene.serving(PICKER))
    names_by_key |= names(
        scene.serving(scene.of(model={"retention": "Delete"}), scene.site("plain"))
    )
    expected = {key: name.replace("N", scene.NAME, 1) for key, name in NAMES.items()}
    assert names_by_key == expected


def test_an_http_route_alone_keeps_its_name() -> None:
    names_by_key = names(scene.serving(scene.of(route={"enabled": True, "hostname": "m"})))
    assert names_by_key["N-httproute"] == scene.NAME


def test_the_jobs_key_and_name_carry_one_hash() -> None:
    world = scene.first()
    (key,) = (key for key, item in world.objects.items() if item["kind"] == "Job")
    mark = key.removeprefix("model-preload-job-")
    assert len(mark) == 10
    assert world.one("Job")["metadata"]["name"] == f"model-preload-{mark}"


@pytest.mark.pitfall("the same route twice")
@pytest.mark.pitfall("duplicates, shadowed names, corrupted YAML")
@pytest.mark.parametrize("name", cluster.EXAMPLES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_no_two_objects_are_one(name: str, profile: str) -> None:
    world = scene.serving(cluster.example(name), cluster.environment(profile))
    identities = [
        (item["apiVersion"], item["kind"], item["metadata"]["name"])
        for item in world.objects.values()
    ]
    assert len(identities) == len(set(identities))


@pytest.mark.pitfall("a pool in another namespace is ignored")
@pytest.mark.pitfall("a namespaced XR composes what has no namespace")
@pytest.mark.parametrize("claimed", [EVERYTHING, PICKER])
def test_everything_is_in_the_claims_namespace_under_the_four_labels(
    claimed: cluster.Object,
) -> None:
    for key, item in scene.serving(claimed).objects.items():
        assert item["metadata"]["namespace"] == "llm", key
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == scene.NAME, key
        assert labels["app.kubernetes.io/instance"] == scene.NAME, key
        assert labels["app.kubernetes.io/part-of"] == "ai", key
        component = "inference-endpoints" if key.endswith("service-pods") else "inference"
        assert labels["app.kubernetes.io/component"] == component, key


@pytest.mark.decision(10)
def test_the_sites_labels_are_on_every_object_and_never_win() -> None:
    config = scene.site(
        labels={"example.com/cost-center": "ml", "app.kubernetes.io/name": "stolen"}
    )
    world = cluster.Cluster(EVERYTHING, config).reconcile().settle()
    first_objects = dict(world.objects)
    world.converge()
    for key, item in (first_objects | world.objects).items():
        assert item["metadata"]["labels"]["example.com/cost-center"] == "ml", key
        assert item["metadata"]["labels"]["app.kubernetes.io/name"] == scene.NAME, key


def test_the_sites_labels_are_not_on_pods() -> None:
    """A change of the platform's labels would restart every pod if pods had the labels."""
    config = scene.site("plain", labels={"team": "ml"})
    assert (
        scene.serving(config=config).template["metadata"]["labels"]
        == scene.planned().identity.labels()
    )


@pytest.mark.decision(7)
def test_a_longest_name_still_fits_everywhere() -> None:
    name = "q" * 54
    claimed = scene.of(name=name, gateway={"enabled": True}, loraAdapters=scene.ADAPTERS)
    first = scene.first(claimed)
    objects = list(first.objects.values())
    objects += scene.serving(claimed).objects.values()
    for item in objects:
        if item["kind"] in ("Service", "Job", "ScaledObject"):
            assert len(item["metadata"]["name"]) <= 63, item["metadata"]["name"]
    assert len(f"keda-hpa-{name}") == 63
    assert first.one("Job")["metadata"]["name"].startswith("q" * 30)


def test_a_shortened_name_stays_distinct() -> None:
    one, two = "a" * 60 + "1", "a" * 60 + "2"
    assert identity.shortened("a", "x") == "a-x"
    names = {identity.shortened(one, "preload-x"), identity.shortened(two, "preload-x")}
    assert len(names) == 2
    assert all(len(name) <= 63 and name.endswith("-preload-x") for name in names)


@pytest.mark.parametrize(
    ("adapter", "fits"),
    [("sql-dpo", True), ("Llama3.1", False), ("a_b", False), ("a-", False), ("A", False)],
)
def test_an_adapters_name_as_part_of_an_objects(adapter: str, fits: bool) -> None:
    name = identity.object_name(adapter)
    assert (name == adapter) is fits
    assert name == name.lower()
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")
    assert not name.endswith("-")


def test_adapters_that_differ_in_case_have_different_objects() -> None:
    assert re.fullmatch("s-q-[0-9a-f]{5}", identity.object_name("S_.q"))
    assert (
        len({identity.object_name(name) for name in ("Sql", "sql", "SQL", "s.q.l", "s_q_l")}) == 5
    )
