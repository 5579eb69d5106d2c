"""What cannot fit its GPUs asks for no node, on the real control plane; overruled, it does."""

from __future__ import annotations

from e2e import claims, shipped
from e2e.controlplane import crossplane

# 131 GiB of weights: more than the reference platform's one GPU a node has.
_LARGE = {"repository": "meta-llama/Llama-3.3-70B-Instruct", "contextWindow": 8192}


def test_what_cannot_fit_asks_for_no_node_until_it_is_overruled(tenant: claims.Tenant) -> None:
    """Nothing is downloaded for it, and nothing is written at rest."""
    manifest = shipped.one(shipped.ROOT / "examples" / "claims" / "smallest.yaml")
    manifest["metadata"]["name"] = "large"
    claim = tenant.claim(manifest).apply(model=_LARGE)
    refused = claim.wait_condition("Fits", "False", "TooLarge")
    assert "weights 131.4 GiB" in claims.conditions(refused)["Fits"][2]
    claim.wait_condition("WeightsReady", "False", "TooLarge")
    claim.wait_condition("EngineReady", "False", "TooLarge")
    claims.settle(tenant.plane)
    assert not {"Deployment", "Job"} & set(claim.kinds())

    audit = tenant.plane.api.audit
    before = audit.mark()
    for number in range(3):
        look = {"metadata": {"annotations": {"e2e/look": f"{number}"}}}
        tenant.plane.admin.patch(claim.ref, look)
        claims.settle(tenant.plane)
    writes = [write for write in audit.writes(before) if write.changed]
    assert [write.resource for write in writes if write.user == crossplane.USER] == []

    claim.apply(model=_LARGE, gpu={"fit": "Ignore"})
    claim.wait_condition("WeightsReady", "True", "Verified")
    claim.wait_condition("EngineReady", "True", "Serving")
    assert "Deployment" in claim.kinds()
    status = claim.read()["status"]
    assert status["capacity"]["kvTokens"] == 0
    assert status["cost"]["perHourNow"] == "0.805"
    claims.settle(tenant.plane)
    before = audit.mark()
    tenant.plane.admin.patch(claim.ref, {"metadata": {"annotations": {"e2e/look": "again"}}})
    claims.settle(tenant.plane)
    writes = [write for write in audit.writes(before) if write.changed]
    assert [write.resource for write in writes if write.user == crossplane.USER] == []
