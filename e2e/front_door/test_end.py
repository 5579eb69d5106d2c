"""What a front door leaves behind."""

from __future__ import annotations

from collections.abc import Sequence

from e2e import claims, installation
from e2e.controlplane import api, polling
from e2e.dataplane import stage
from e2e.front_door import doors


def test_without_limits_nothing_is_counted(door: doors.Door) -> None:
    """What counted is gone, and who asks is not told how much is left."""
    door.claim.apply(callers=doors.callers(), issuers=[])
    door.wait_condition("LimitsReady", "True", "NotRequested")
    assert {"GatewayConfig", "BackendTrafficPolicy"}.isdisjoint(door.claim.kinds())


def test_a_door_that_is_deleted_leaves_the_claims_where_the_settings_say(
    door: doors.Door,
    coder: claims.Claim,
    chat: claims.Claim,
    running: stage.Stage,
    installed: installation.Installation,
) -> None:
    """Its Gateway, proxies and policies go; engines run on, and serve on the platform's Gateway."""
    engines = running.names(coder) | running.names(chat)
    composed = [api.Ref.of(item) for item in door.claim.composed().values()]
    kinds: Sequence[str] = sorted(ref.kind for ref in composed)
    assert kinds == ["ClientTrafficPolicy", "EnvoyProxy", "Gateway", "SecurityPolicy"]
    installed.configure(running.settings())
    for claim in (coder, chat):
        claim.reconcile("back")
    platform = running.caller()
    polling.until(
        lambda: {platform.ask(c.name, timeout=10).status for c in (coder, chat)} == {200},
        what="both claims on the platform's Gateway",
        timeout=doors.REFRESH_SECONDS + 2 * doors.GRACE,
    )
    door.claim.delete()
    admin = running.tenant.plane.admin
    for ref in (door.claim.ref, *composed):
        admin.wait_gone(ref, timeout=doors.MINUTE + doors.GRACE)
    door.wait_end()
    assert running.names(coder) | running.names(chat) == engines
    assert {platform.ask(claim.name).status for claim in (coder, chat)} == {200}
