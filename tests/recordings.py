"""What 0.9.0 left in a cluster."""

from tests import cluster, documents


def taken_over(claim: cluster.Object, *environments: cluster.Object) -> cluster.Cluster:
    """Returns a cluster in which 0.9.0 serves the claim, and this function has not run yet.

    The objects are recorded ones. A claim without a recording gets the recording of another claim,
    with its own name and revision in place of the recorded ones.
    """
    name = claim["metadata"]["name"]
    path = cluster.ROOT / f"tests/fixtures/0.9.0/{name.removeprefix('xplane-')}.yaml"
    if path.exists():
        text = path.read_text()
    else:
        text = (cluster.ROOT / "tests/fixtures/0.9.0/qwen3-8b.yaml").read_text()
        revision = claim["spec"]["model"].get("revision", "main")
        text = text.replace("xplane-qwen3-8b", name).replace(
            "b968826d9c46dd6066d109eabc6255188de91218", revision
        )
    world = cluster.Cluster(claim, *environments)
    for item in documents.copied(cluster.parsed(text)):
        key = item["metadata"]["annotations"][cluster.KEY]
        item["metadata"] |= {"uid": f"uid-{key}", "generation": 1, "resourceVersion": "1"}
        if item["kind"] == "Deployment":
            item["spec"]["replicas"] = 1
            item["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
        world.objects[key] = item
        world.owned[key] = {k: v for k, v in documents.copied(item).items() if k not in ("status",)}
        for field in ("uid", "generation", "resourceVersion"):
            world.owned[key]["metadata"].pop(field, None)
        if item["kind"] == "Deployment":
            del world.owned[key]["spec"]["replicas"]
            del world.owned[key]["spec"]["template"]["spec"]["dnsPolicy"]
    return world.settle()
