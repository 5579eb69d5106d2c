"""Stories of claims that change while they serve."""

from __future__ import annotations

import json

from e2e import claims, lives, scenery
from e2e.controlplane import api


def an_engine_setting(here: lives.Place) -> lives.Life:
    """With its weights there, an edit rolls at once; no version of the claim calls it current."""
    claim = here.claim(scenery.SMALLEST)
    yield here.ready(claim)
    pods = here.pods(claim)
    here.kubelet.hold(here.namespace)
    mark = here.mark()
    edited = claim.apply(model=scenery.model_of(claim, contextWindow=16384)).read()["metadata"]
    waiting = here.kubectl_wait(claim, "Current")
    # RollingOut, and NotServing from when the old pod is gone: a busy machine may see only that.
    rolling = yield here.until(
        claim,
        "moving to what it now says",
        lambda item: (
            claims.conditions(item)["Current"][:2]
            in (("False", "RollingOut"), ("False", "NotServing"))
        ),
    )
    assert rolling["status"]["phase"] in ("Updating", "Starting")
    yield lives.Until("another pod", lambda: here.pods(claim) and not here.pods(claim) & pods)
    yield lives.pause()
    assert not waiting.done()
    # Core may have written the version before once more, a moment ago.
    versions = (
        item
        for item in here.versions(claim)
        if item["metadata"]["generation"] == edited["generation"]
    )
    assert [item for item in versions if _kubectl_returns(item)] == []
    here.kubelet.release(here.namespace)
    yield here.ready(claim)
    yield lives.Until("kubectl wait to return", waiting.done)
    assert "--max-model-len=16384" in scenery.template_of(claim)["spec"]["containers"][0]["args"]
    assert here.started(mark) == [], "nothing is downloaded"


def _kubectl_returns(item: api.Object) -> bool:
    """Whether `kubectl wait --for=condition=Current` takes this version for the end.

    It does unless the condition's own observedGeneration or, without one, the status' is older.
    """
    for entry in lives.status(item, "conditions") or []:
        if entry["type"] == "Current":
            generation = item["metadata"]["generation"]
            observed = entry.get("observedGeneration", lives.status(item, "observedGeneration"))
            return bool(entry["status"] == "True" and (observed is None or observed >= generation))
    return False


def swap(here: lives.Place) -> lives.Life:
    """The old model serves, with all its settings, until the new weights are verified."""
    claim = here.claim(scenery.CODER)
    old = (yield here.ready(claim))["status"]
    pods, route, template = (
        here.pods(claim),
        scenery.uid(claim, "AIGatewayRoute"),
        scenery.template_of(claim),
    )
    here.kubelet.run_jobs(here.namespace)
    claim.apply(model=scenery.model_of(claim, revision=scenery.OTHER, contextWindow=16384))
    waiting = here.kubectl_wait(claim, "Current")
    held = yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert lives.condition(held, "Current") == ("False", "WeightsPending")
    assert api.status_of(held, "Ready") == "True"
    assert held["status"]["phase"] == "Updating"
    assert held["status"]["serving"] == old["serving"]
    yield lives.pause()
    assert here.pods(claim) == pods
    assert scenery.template_of(claim) == template, "the context window too"
    assert not waiting.done()
    here.kubelet.heal_jobs(here.namespace)
    ready = yield here.ready(claim)
    assert here.pods(claim)
    assert not here.pods(claim) & pods
    assert "--max-model-len=16384" in scenery.template_of(claim)["spec"]["containers"][0]["args"]
    assert scenery.uid(claim, "AIGatewayRoute") == route
    assert ready["status"]["serving"] == old["serving"] | {"revision": scenery.OTHER}
    assert scenery.directories(ready) > {
        record["directory"] for record in old["weights"]["verified"]
    }
    assert [name for name in here.changed("jobs") if "cleanup" in name] == []
    yield lives.Until("kubectl wait to return", waiting.done)
    assert waiting.result().returncode == 0


def weights_left_behind(here: lives.Place) -> lives.Life:
    """Removed where the claim says so, and only once no pod needs them."""
    claim = here.claim(scenery.SMALLEST)
    claim.apply(model=scenery.model_of(claim, retention="Delete"))
    old = scenery.directories((yield here.ready(claim)))
    pods = here.pods(claim)
    here.kubelet.run_jobs(here.namespace)
    claim.apply(model=scenery.model_of(claim, revision=scenery.OTHER))
    yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert "removing" not in claim.read()["status"]["weights"]
    assert here.pods(claim) == pods
    here.kubelet.heal_jobs(here.namespace)
    here.kubelet.run_jobs(here.namespace)
    removing = yield here.until(
        claim, "removing", lambda item: item["status"]["weights"].get("removing")
    )
    assert set(removing["status"]["weights"]["removing"]) == old
    assert not here.pods(claim) & pods
    yield lives.Until("the Job", lambda: any("cleanup" in job for job in here.changed("jobs")))
    pods = here.pods(claim)
    here.kubelet.heal_jobs(here.namespace)
    yield here.until(claim, "clean", lambda item: not item["status"]["weights"].get("removing"))
    ready = yield here.ready(claim)
    assert not scenery.directories(ready) & old
    yield lives.Until("the Jobs to go", lambda: not here.jobs(claim))
    assert here.pods(claim) == pods


def swap_that_fails(here: lives.Place) -> lives.Life:
    """A failed download leaves the old model serving, says why, and is tried again when told."""
    claim = here.claim(scenery.SMALLEST)
    old = yield here.ready(claim)
    pods, template = here.pods(claim), scenery.template_of(claim)
    here.kubelet.fail_jobs(here.namespace, 11)
    claim.apply(model=scenery.model_of(claim, revision=scenery.OTHER))
    failed = yield here.condition(claim, "WeightsReady", "False", "NotFound")
    assert lives.condition(failed, "Current") == ("False", "WeightsPending")
    degraded = yield here.phase(claim, "Degraded")
    assert api.status_of(degraded, "Ready") == "True"
    assert degraded["status"]["serving"] == old["status"]["serving"]
    yield lives.pause()
    (job,) = here.jobs(claim)
    assert job["status"]["failed"] == 1
    assert (here.pods(claim), scenery.template_of(claim)) == (pods, template)
    here.kubelet.heal_jobs(here.namespace)
    claim.apply(model=scenery.model_of(claim, preload={"generation": 1}))
    ready = yield here.ready(claim)
    assert ready["status"]["serving"]["revision"] == scenery.OTHER
    assert not here.pods(claim) & pods


def revert(here: lives.Place) -> lives.Life:
    """A change that is taken back while it downloads rolls nothing, and its Job goes."""
    claim = here.claim(scenery.SMALLEST)
    old = yield here.ready(claim)
    pods, deployment = here.pods(claim), claim.one("Deployment")
    model = scenery.model_of(claim)
    here.kubelet.run_jobs(here.namespace)
    mark = here.mark()
    claim.apply(model=model | {"revision": scenery.OTHER, "maxNumSeqs": 16})
    yield here.condition(claim, "WeightsReady", "False", "Downloading")
    claim.apply(model=model)
    ready = yield here.ready(claim)
    assert ready["status"]["serving"] == old["status"]["serving"]
    yield lives.Until(
        "the end of the download", lambda: not here.jobs(claim) and not here.pods(claim, "preload")
    )
    yield lives.pause()
    assert here.pods(claim) == pods
    assert claim.one("Deployment")["metadata"]["generation"] == deployment["metadata"]["generation"]
    assert here.changed("deployments", mark) == []


def adapter_added(here: lives.Place) -> lives.Life:
    """Nobody is sent to a new adapter before the pods serve it."""
    claim = here.example(scenery.CODER)
    late, *others = claim.manifest["spec"]["loraAdapters"]
    gateway = claim.manifest["spec"]["gateway"]
    claim.apply(loraAdapters=others, gateway={"enabled": True})
    before = yield here.ready(claim)
    pods = here.pods(claim)
    here.kubelet.run_jobs(here.namespace)
    claim.apply(loraAdapters=[late, *others], gateway=gateway)
    held = yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert lives.condition(held, "Current") == ("False", "WeightsPending")
    yield lives.pause()
    names = [adapter["name"] for adapter in (*others, late)]
    assert claim.read()["status"]["servedModelsSummary"] == f"{claim.name},{names[0]}"
    base, *rules = claim.one("AIGatewayRoute")["spec"]["rules"]
    # The canary is named early, for the gateway to learn of it, and weighs nothing.
    shares = {one["name"]: one["weight"] for one in base["backendRefs"]}
    assert sorted(shares.values()) == [0, 100]
    assert late["name"] not in json.dumps(rules)
    assert here.pods(claim) == pods
    here.kubelet.heal_jobs(here.namespace)
    ready = yield here.ready(claim)
    assert late["name"] in ready["status"]["servedModelsSummary"]
    assert set(ready["status"]["serving"]["adapters"]) == set(names)
    assert late["name"] in json.dumps(claim.one("AIGatewayRoute")["spec"])
    assert len(scenery.directories(ready) - scenery.directories(before)) == 1
    assert scenery.directories(ready) > scenery.directories(before)


def shared_weights(here: lives.Place) -> lives.Life:
    """Two claims on one directory have the same weights, and one may go."""
    place = {"weightsFileSystem": {"subPath": "shared"}}
    one = here.claim(scenery.SMALLEST, "one", **place)
    two = here.claim(scenery.SMALLEST, "two", **place)
    first = yield here.ready(one)
    second = yield here.ready(two)
    assert scenery.directories(first) == scenery.directories(second)
    assert first["status"]["weights"]["key"] == second["status"]["weights"]["key"]
    pods = here.pods(two)
    mark = here.mark()
    one.delete()
    yield lives.Until("the end of the first", lambda: here.plane.admin.find(one.ref) is None)
    yield lives.Until("its GPU to be free", lambda: here.gpus() == 1)
    yield lives.pause()
    assert here.pods(two) == pods
    assert two.read()["status"]["weights"] == second["status"]["weights"]
    assert [job for job in here.started(mark) if "two" in job] == []
