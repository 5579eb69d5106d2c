"""An operator that is installed after the product and after the first claim.

The first of these files by name: later ones have all kinds.
"""

from __future__ import annotations

import itertools

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, polling


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
    # Nothing tells core of a new kind: the next reconcile finds it, after ten minutes at most, or
    # as soon as the server has published its schema and somebody asks.
    rounds = itertools.count()

    def found() -> bool:
        claim.reconcile(f"installed {next(rounds)}")
        return bool({"ServiceMonitor", "PrometheusRule"} & claim.kinds())

    polling.until(found, what="the objects of the new kinds", timeout=60, interval=2)
    claim.wait_ready()
    assert {"ServiceMonitor", "PrometheusRule"} <= claim.kinds()
