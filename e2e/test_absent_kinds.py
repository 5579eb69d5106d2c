"""An operator that is installed after the product and after the first claim.

The first of these files by name: later ones have all kinds.
"""

from __future__ import annotations

import itertools

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, polling

_PUBLISHED_SECONDS = 5
_ANY_CRD = api.Ref(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "servicemonitors.monitoring.coreos.com"
)


def test_a_missing_kind_is_said_and_made_when_it_is_there(
    tenant: claims.Tenant, installed: installation.Installation, request: pytest.FixtureRequest
) -> None:
    """The claim serves without it, names it, is not Ready, and becomes so by itself."""
    installed.configure(shipped.one(shipped.environment("plain")))
    claim = tenant.example("smallest").apply()
    missing = claim.wait_condition("ObservabilityReady", "False", "KindMissing")
    message = claims.conditions(missing)["ObservabilityReady"][2]
    assert "monitoring.coreos.com/v1 " in message
    serving = claim.wait_phase("Serving")
    assert api.status_of(serving, "Synced") == "True"
    assert api.status_of(serving, "Ready") == "False"
    assert not {"ServiceMonitor", "PrometheusRule"} & claim.kinds()
    request.getfixturevalue("all_kinds")
    # Core looks up kinds afresh once after each event of a CRD, and the server publishes a new
    # kind's schema a moment after the last one: whoever asks in between is told, until the next
    # event of any CRD, that the kind is missing. Any edit of one is the remedy.
    attempts = itertools.count()

    def looked_up() -> bool:
        mark = str(next(attempts))
        admin = claim.plane.admin
        admin.patch(_ANY_CRD, {"metadata": {"annotations": {"example.org/looked-up": mark}}})
        claim.reconcile(mark)
        return {"ServiceMonitor", "PrometheusRule"} <= claim.kinds()

    polling.until(looked_up, what="the new kinds", timeout=120, interval=_PUBLISHED_SECONDS)
    claim.wait_ready()
