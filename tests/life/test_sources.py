"""The weights move between the hub, an image and a bucket under a claim that serves."""

import copy

import pytest

from function.situation import reading
from tests import cluster

IMAGE = {
    "source": "oci",
    "image": "registry.example.com/models/coder@sha256:" + "0a" * 32,
}
BUCKET = {"source": "s3", "uri": "s3://models/llm/coder"}
ROLE = "eks.amazonaws.com/role-arn"


def serving(retention: str = "Retain") -> cluster.Cluster:
    """A claim of the hub at rest, on a site that has images and buckets too."""
    claim = cluster.example("smallest")
    claim["spec"]["model"]["retention"] = retention
    world = cluster.Cluster(
        claim,
        cluster.environment("reference"),
        cluster.load("examples/settings/sources.yaml"),
    )
    world.converge()
    assert world.phase == "Serving"
    return world


def moved(world: cluster.Cluster, source: cluster.Object) -> cluster.Cluster:
    """Asks for the weights from elsewhere: the name of the model stays."""
    model = {**copy.deepcopy(world.claim["spec"]["model"]), **source}
    model.pop("revision", None)
    return world.edit(model=model)


def back(world: cluster.Cluster) -> cluster.Cluster:
    """Asks for the weights from the hub again."""
    model = copy.deepcopy(world.claim["spec"]["model"])
    for field in ("source", "image", "uri"):
        model.pop(field, None)
    return world.edit(model=model)


def annotations(world: cluster.Cluster) -> cluster.Object:
    """Returns those of the pods' ServiceAccount."""
    return dict(world.one("ServiceAccount")["metadata"].get("annotations", {}))


def reached(world: cluster.Cluster) -> set[str]:
    """Returns the hosts that the pods reach."""
    rules = world.objects["smallest-cilium-netpol"]["spec"]["egress"]
    return {name["matchName"] for rule in rules for name in rule.get("toFQDNs", [])}


def directories(world: cluster.Cluster, field: str = "verified") -> list[object]:
    return list(world.claim["status"].get("weights", {}).get(field, []))


@pytest.mark.parametrize(
    ("source", "reason"), [(IMAGE, "InImage"), (BUCKET, "InObjectStore")], ids=["oci", "s3"]
)
def test_a_claim_moves_and_comes_back_without_another_download(
    source: cluster.Object, reason: str
) -> None:
    world = serving()
    before = copy.deepcopy(world.template)
    records = directories(world)
    moved(world, source)
    world.reconcile()
    if source is BUCKET:
        assert world.template == before, "the pods' identity comes first"
        assert world.condition("WeightsReady") == ("False", "IdentityPending")
        assert world.phase == "Updating"
        world.reconcile()
    assert world.template != before
    assert all(world.ready.values()), "a running swap turns Current off, not Ready"
    world.converge()
    assert world.condition("WeightsReady") == ("True", reason)
    assert world.condition("Current") == ("True", "Serving")
    place = str(source.get("uri") or source["image"]).partition("@")[0]
    assert world.claim["status"]["serving"]["repository"] == place
    assert directories(world) == records, "nothing is lost"
    back(world).reconcile()
    assert "Job" not in world.kinds_there(), "the weights are there"
    world.converge()
    assert world.template == before
    assert world.condition("WeightsReady") == ("True", "Verified")
    assert world.claim["status"]["serving"]["repository"] == "Qwen/Qwen3-8B"


@pytest.mark.parametrize("source", [IMAGE, BUCKET], ids=["oci", "s3"])
def test_weights_of_the_hub_are_removed_once_no_pod_reads_them(source: cluster.Object) -> None:
    world = serving("Delete")
    (record,) = directories(world)
    moved(world, source)
    world.reconcile()
    world.reconcile()
    assert directories(world) == [record], "pods still roll"
    for _ in range(4):
        if world.condition("Current") == ("True", "Serving"):
            break
        world.settle().reconcile()
    assert isinstance(record, dict)
    assert directories(world, "removing") == [record["directory"]]
    world.reconcile()
    assert [key for key in world.objects if "-cleanup-job-" in key]
    world.converge()
    assert not directories(world, "removing")
    assert not [key for key in world.objects if "-cleanup-job-" in key]
    back(world).reconcile()
    assert world.condition("Current") == ("False", "WeightsPending"), "it has to download again"
    world.converge()
    assert world.condition("Current") == ("True", "Serving")


def test_pods_that_read_a_bucket_keep_their_way_to_it_while_the_hub_is_downloaded() -> None:
    """One that starts again while the claim waits reads the bucket again."""
    world = serving("Delete")
    moved(world, BUCKET)
    world.converge()
    before = copy.deepcopy(world.template)
    back(world).reconcile()
    assert world.template == before
    assert world.condition("Current") == ("False", "WeightsPending")
    assert ROLE in annotations(world)
    assert "models.s3.eu-west-3.amazonaws.com" in reached(world)
    world.converge()
    assert not {ROLE, reading.ANNOTATION} & annotations(world).keys()
    assert reached(world) == set()


@pytest.mark.parametrize("source", [{}, {**BUCKET, "uri": "s3://others/coder"}])
def test_pods_that_read_a_bucket_keep_their_way_to_it_until_none_is_left(
    source: cluster.Object,
) -> None:
    """A container of theirs that ends starts again, and reads the bucket again."""
    world = serving()
    world.environments[1]["data"]["inferenceService"]["allowed"]["modelUris"] = {"*": ["**"]}
    moved(world, BUCKET)
    world.converge()
    before = copy.deepcopy(world.template)
    (moved(world, source) if source else back(world)).reconcile()
    for _ in range(3):
        world.settle("Deployment")
        world.reconcile()
        assert "models.s3.eu-west-3.amazonaws.com" in reached(world)
        assert ROLE in annotations(world)
    assert world.template != before, "pods roll"
    world.converge()
    assert "models.s3.eu-west-3.amazonaws.com" not in reached(world)
    assert ("others.s3.eu-west-3.amazonaws.com" in reached(world)) is bool(source)


def test_what_somebody_writes_of_buckets_opens_nothing_at_rest() -> None:
    world = serving()
    world.one("ServiceAccount")["metadata"]["annotations"][reading.ANNOTATION] = "s3://theirs/coder"
    world.reconcile()
    assert ROLE not in annotations(world)
    assert reached(world) == set()


@pytest.mark.parametrize("allowed", [False, True])
def test_what_somebody_writes_of_buckets_opens_no_more_than_the_claim_may_name(
    allowed: bool,
) -> None:
    """Authors may write ServiceAccounts, but the settings say what their claims read."""
    world = serving()
    if allowed:
        theirs = {"*": ["s3://theirs/**"]}
        world.environments[1]["data"]["inferenceService"]["allowed"]["modelUris"] = theirs
    world.one("ServiceAccount")["metadata"]["annotations"][reading.ANNOTATION] = "s3://theirs/coder"
    world.edit(drainSeconds=61).reconcile()
    assert world.condition("Current")[0] == "False", "pods roll"
    assert (ROLE in annotations(world)) is allowed
    assert ("theirs.s3.eu-west-3.amazonaws.com" in reached(world)) is allowed


def test_a_new_claim_of_a_bucket_has_its_identity_before_its_first_pod() -> None:
    world = cluster.Cluster(
        cluster.load("examples/features/weights-in-bucket.yaml"),
        cluster.environment("reference"),
        cluster.load("examples/settings/sources.yaml"),
    )
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "IdentityPending")
    assert "Deployment" not in world.kinds_there()
    assert ROLE in world.one("ServiceAccount")["metadata"]["annotations"]
    world.converge()
    assert world.phase == "Serving"


def test_a_cluster_that_drops_images_from_pods_is_told() -> None:
    """An API server without the feature takes the volume and its mount away in silence."""
    world = moved(serving(), IMAGE)
    world.converge()
    assert world.condition("WeightsReady") == ("True", "InImage")
    spec = world.one("Deployment")["spec"]["template"]["spec"]
    spec["volumes"] = [one for one in spec["volumes"] if one["name"] != "model-image"]
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "ImageVolumesMissing")
    assert "imageVolumes" in world.message("WeightsReady")


def test_a_setting_that_is_taken_back_stops_no_pod() -> None:
    world = moved(serving(), IMAGE)
    world.converge()
    before = copy.deepcopy(world.objects)
    world.environments[1]["data"]["inferenceService"]["weights"]["imageVolumes"] = False
    world.reconcile()
    assert world.objects == before
    assert world.condition("Valid") == ("False", "Invalid")
    assert "weights.imageVolumes" in world.message("Valid")
