"""Weights in images and buckets: what pods mount, read, reach and are."""

from typing import Any

import pytest

from tests import cluster
from tests.resources import scene

IMAGE = "registry.example.com/models/qwen@sha256:" + "0a" * 32
URI = "s3://models/llm/qwen"
IN_IMAGE: cluster.Object = {"source": "oci", "image": IMAGE}
IN_BUCKET: cluster.Object = {"source": "s3", "uri": URI}
STORE = {"endpoint": "https://objects.example.com:9000"}


def pod(world: cluster.Cluster) -> cluster.Object:
    return dict(world.template["spec"])


def egress(world: cluster.Cluster) -> list[cluster.Object]:
    """Returns the rules beside that of DNS."""
    (policy,) = [
        item
        for key, item in world.objects.items()
        if key.endswith(("-cilium-netpol", "-networkpolicy"))
    ]
    return list(policy["spec"]["egress"][1:])


def test_an_image_is_mounted_and_no_volume_is_claimed() -> None:
    world = scene.serving(scene.of(model=IN_IMAGE))
    volumes = {volume["name"]: volume for volume in pod(world)["volumes"]}
    assert volumes["model-image"]["image"] == {"reference": IMAGE, "pullPolicy": "IfNotPresent"}
    assert "models" not in volumes
    assert volumes["cache"] == {"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}}
    assert scene.container(world)["args"][0] == "/image/models"
    assert not [key for key in world.objects if "job" in key or "download" in key]


def test_weights_may_lie_elsewhere_in_the_image() -> None:
    world = scene.serving(scene.of(model=IN_IMAGE | {"path": "opt/weights"}))
    assert scene.container(world)["args"][0] == "/image/opt/weights"


def test_pull_secrets_of_the_site_pull_the_image_too() -> None:
    world = scene.serving(scene.of(model=IN_IMAGE), scene.site(imagePullSecrets=["registry"]))
    assert pod(world)["imagePullSecrets"] == [{"name": "registry"}]


def test_adapters_come_from_the_hub_beside_an_image() -> None:
    world = scene.serving(scene.of(model=IN_IMAGE, loraAdapters=scene.ADAPTERS[:1]))
    mounts = {mount["mountPath"]: mount["name"] for mount in scene.container(world)["volumeMounts"]}
    assert (mounts["/image"], mounts["/models"]) == ("model-image", "models")
    (verified,) = world.claim["status"]["weights"]["verified"]
    assert verified["repository"] == "org/sql"
    assert world.condition("WeightsReady") == ("True", "InImage")
    assert "the adapters are verified" in world.message("WeightsReady")


def test_the_time_of_the_pull_is_in_the_start_budget() -> None:
    model = IN_IMAGE | {"sizeGiB": 100}
    settings = scene.site(weights={"imageBandwidthMiB": 1000, "imagePullMiB": 100})
    known = scene.container(scene.serving(scene.of(model=model), settings))
    # 600 s at least, and 2 x 1024 s for the pull.
    assert known["startupProbe"]["failureThreshold"] == 265
    unknown = scene.container(scene.serving(scene.of(model=model)))
    assert unknown["startupProbe"]["failureThreshold"] == 300


def test_a_bucket_is_streamed() -> None:
    model = IN_BUCKET | {"streaming": {"concurrency": 8}}
    world = scene.serving(scene.of(model=model), scene.site(objectStore=STORE, region="r"))
    arguments = scene.container(world)["args"]
    assert arguments[0] == URI
    assert "--load-format=runai_streamer" in arguments
    assert '--model-loader-extra-config={"concurrency":8}' in arguments
    assert "models" not in {volume["name"] for volume in pod(world)["volumes"]}
    told = scene.environment(scene.container(world))
    assert told["AWS_ENDPOINT_URL"] == STORE["endpoint"]
    assert (told["AWS_REGION"], told["AWS_EC2_METADATA_DISABLED"]) == ("r", "true")
    assert told["RUNAI_STREAMER_LOG_TO_STDERR"] == "1", "else nobody learns why a read failed"
    assert "RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING" not in told
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & told.keys()


def test_buckets_in_the_path() -> None:
    site = scene.site(objectStore=STORE | {"pathStyle": True})
    world = scene.serving(scene.of(model=IN_BUCKET), site)
    assert (
        scene.environment(scene.container(world))["RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING"] == "0"
    )
    names = [{"matchName": "objects.example.com"}]
    assert egress(world)[0]["toFQDNs"] == names


def test_keys_of_the_store_come_one_by_one_from_their_secret() -> None:
    model = IN_BUCKET | {"credentialsSecretRef": {"name": "hub-token-models"}}
    world = scene.serving(scene.of(model=model))
    told = scene.environment(scene.container(world))
    assert told["AWS_ACCESS_KEY_ID"] == {
        "secretKeyRef": {"name": "hub-token-models", "key": "AWS_ACCESS_KEY_ID"}
    }
    assert told["AWS_SESSION_TOKEN"]["secretKeyRef"]["optional"] is True
    assert "envFrom" not in scene.container(world)


def test_cilium_lets_pods_reach_the_store_by_name() -> None:
    more = {"egressHosts": ["sts.{region}.example.com"], "egressHostPorts": [80]}
    site = scene.site(region="r", objectStore=STORE | more)
    store, other, agent = egress(scene.serving(scene.of(model=IN_BUCKET), site))
    assert store["toFQDNs"] == [
        {"matchName": "objects.example.com"},
        {"matchName": "models.objects.example.com"},
    ]
    assert store["toPorts"] == [{"ports": [{"port": "9000", "protocol": "TCP"}]}]
    assert other["toFQDNs"] == [{"matchName": "sts.r.example.com"}]
    assert agent["toEntities"] == ["host"]


def test_a_host_by_region_needs_one() -> None:
    """Without one its name has two dots in a row, and Cilium refuses the whole policy."""
    store = STORE | {"egressHosts": ["sts.{region}.example.com"]}
    config = scene.site(objectStore=store, preload={"egressHosts": []})
    config["data"].pop("region", None)
    words = scene.refused(scene.of(model=IN_BUCKET), config)
    assert "settings objectStore.egressHosts: {region} needs the setting region" in words
    assert scene.planned(scene.of(), config), "nothing else reads from the store"


@pytest.mark.parametrize(
    ("given", "to"),
    [
        ({"egressCidrs": ["192.0.2.0/24"]}, [{"ipBlock": {"cidr": "192.0.2.0/24"}}]),
        ({"endpoint": "http://[2001:db8::1]:9000"}, [{"ipBlock": {"cidr": "2001:db8::1/128"}}]),
        (
            {"pods": {"namespace": "minio", "podLabels": {"app": "minio"}}},
            [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "minio"}},
                    "podSelector": {"matchLabels": {"app": "minio"}},
                }
            ],
        ),
    ],
)
def test_a_network_policy_lets_pods_reach_the_store_alone(given: Any, to: Any) -> None:
    site = scene.site(providers={"networkPolicy": "kubernetes"}, objectStore=STORE | given)
    (rule,) = egress(scene.serving(scene.of(model=IN_BUCKET), site))
    assert rule == {"to": to, "ports": [{"port": 9000, "protocol": "TCP"}]}


@pytest.mark.parametrize("form", ["cilium", "kubernetes"])
def test_every_pod_of_a_replica_of_several_reaches_the_store(form: str) -> None:
    site = scene.site(providers={"networkPolicy": form}, objectStore=STORE)
    split = {"parallelism": {"pipeline": 2}}
    world = scene.serving(scene.of(model=IN_BUCKET, gpu=split), site)
    (group,) = [item for key, item in world.objects.items() if key.endswith("-group")]
    assert group["spec"]["egress"][2:] == egress(world)


def test_adapters_that_nobody_downloads_have_to_lie_where_it_says() -> None:
    model = IN_IMAGE | {"preload": {"enabled": False}}
    world = scene.serving(scene.of(model=model, loraAdapters=scene.ADAPTERS[:1]))
    assert world.condition("WeightsReady") == ("True", "InImage")
    assert "adapters must lie at /models/loras/sql" in world.message("WeightsReady")


def test_a_network_policy_without_networks_leaves_private_ones_out() -> None:
    site = scene.site(providers={"networkPolicy": "kubernetes"}, objectStore=STORE)
    (rule,) = egress(scene.serving(scene.of(model=IN_BUCKET), site))
    assert rule["ports"] == [{"port": 9000, "protocol": "TCP"}]
    assert [peer["ipBlock"]["cidr"] for peer in rule["to"]] == ["0.0.0.0/0", "::/0"]
    assert "10.0.0.0/8" in rule["to"][0]["ipBlock"]["except"]


@pytest.mark.parametrize("form", ["cilium", "kubernetes"])
@pytest.mark.parametrize("model", [IN_IMAGE, {}])
def test_pods_that_read_no_bucket_reach_dns_alone(form: str, model: cluster.Object) -> None:
    settings = scene.site(providers={"networkPolicy": form}, objectStore=STORE)
    assert egress(scene.serving(scene.of(model=model), settings)) == []


@pytest.mark.parametrize(
    ("model", "engine", "changes", "words"),
    [
        (IN_BUCKET, "0.25.0", {}, "spec.model.source: s3 is known to work from vLLM 0.25.1 on"),
        (IN_BUCKET, "0.25.1", {"region": None}, "set objectStore.endpoint in the settings"),
        (IN_IMAGE, "0.25.1", {"weights": {"imageVolumes": False}}, "set weights.imageVolumes"),
    ],
)
def test_what_engine_store_or_cluster_cannot_is_refused(
    model: cluster.Object, engine: str, changes: Any, words: str
) -> None:
    config = scene.site(**changes)
    config["data"].pop("region", None)
    claim = scene.of(model=model, engine={"version": engine})
    assert words in scene.refused(claim, config)
