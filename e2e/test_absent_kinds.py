"""An operator that is installed after the product and after the first claim.

The first of these files by name: later ones have all kinds.
"""

from __future__ import annotations

import contextlib

import pytest

from e2e import claims, guide, installation, shipped
from e2e.controlplane import api, polling

_GROUP = "monitoring.coreos.com/v1"
_KINDS = {"ServiceMonitor", "PrometheusRule"}
_CRD = "servicemonitors.monitoring.coreos.com"
# What a claim that nobody touches has to look at again; its own next reconcile may be ten minutes
# away, which is nothing to wait for here.
_BY_ITSELF_SECONDS = 10


def test_a_missing_kind_is_said_and_made_when_it_is_there(
    tenant: claims.Tenant, installed: installation.Installation, request: pytest.FixtureRequest
) -> None:
    """The claim serves without it, names it, is not Ready, and becomes so as the guide says."""
    installed.configure(shipped.one(shipped.environment("plain")))
    claim = tenant.example("smallest").apply()
    missing = claim.wait_condition("ObservabilityReady", "False", "KindMissing")
    message = claims.conditions(missing)["ObservabilityReady"][2]
    assert f"{_GROUP} " in message
    serving = claim.wait_phase("Serving")
    assert api.status_of(serving, "Synced") == "True"
    assert api.status_of(serving, "Ready") == "False"
    assert not _KINDS & claim.kinds()
    request.getfixturevalue("late_kinds")
    with contextlib.suppress(TimeoutError):
        polling.until(
            lambda: claim.kinds() >= _KINDS,
            what="the new kinds, which nobody asked core for",
            timeout=_BY_ITSELF_SECONDS,
            interval=1,
        )
    # Once, as it is printed: whether or not core had looked too early, this is enough.
    installed.guide.run(
        guide.LATE_KIND,
        page=guide.OPERATIONS,
        words={"<crd>": _CRD, "llm": tenant.namespace, "N": claim.name},
    )
    claim.wait(lambda _: claim.kinds() >= _KINDS, what="with the new kinds")
    claim.wait_ready()
