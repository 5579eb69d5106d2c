"""One front door for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e import claims, installation, operators
from e2e.controlplane import api, plane, polling
from e2e.dataplane import issuing, outside, stage
from e2e.front_door import doors, limits, providers
from e2e.machines import hub


@pytest.fixture(scope="package")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[outside.Provider]:
    """Somebody outside who serves models: a stand-in."""
    made = outside.Provider(tmp_path_factory.mktemp("outside"), doors.NAMESPACE)
    yield made
    made.stop()


@pytest.fixture(scope="package")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[issuing.Published]:
    """Where an identity provider publishes its keys."""
    issuer = issuing.Issuer("https://keys.example.com/ai", "llm")
    made = issuing.Published(issuer, tmp_path_factory.mktemp("published"), doors.NAMESPACE)
    yield made
    made.stop()


@pytest.fixture(scope="package")
def running(
    provider: outside.Provider,
    published: issuing.Published,
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[stage.Stage]:
    """The gateways' controllers, whose proxies trust the identity provider's certificate.

    And a namespace made ready for claims.
    """
    work = tmp_path_factory.mktemp(doors.NAMESPACE)
    with hub.serving() as models, standing_in.absent(*stage.KINDS):
        prepared = stage.Stage(
            control_plane,
            work,
            doors.NAMESPACE,
            models,
            limits=True,
            ports=[provider.port, published.port],
            trusted=published.trusted,
        )
        with prepared.running():
            installed.configure(prepared.settings())
            yield prepared


@pytest.fixture(scope="package")
def coder(running: stage.Stage) -> claims.Claim:
    """The example with two adapters and a canary, on the platform's Gateway."""
    claim = running.example("xplane-qwen-coder")
    claim.manifest["metadata"]["labels"] = doors.CODE
    claim.apply(scaling={"minReplicas": 1, "maxReplicas": 1})
    return claim


@pytest.fixture(scope="package")
def chat(running: stage.Stage) -> claims.Claim:
    """A claim without the label that one caller's models have."""
    return running.claim("chat-8b", scaling={"minReplicas": 1, "maxReplicas": 1}).apply()


@pytest.fixture(scope="package")
def door(
    running: stage.Stage,
    installed: installation.Installation,
    coder: claims.Claim,
    chat: claims.Claim,
) -> Iterator[doors.Door]:
    """The front door, made as the guide makes it, and both claims behind it."""
    for claim in (coder, chat):
        claim.wait_phase("Serving", timeout=120 + doors.GRACE)
        claim.wait_condition("RouteReady", "True", "Published")
    doors.wait_kind(running)
    for name in ("chat", "editor"):
        doors.write_key(running, name, doors.KEY.format(name))
    made = doors.Door(running, running.tenant.claim(doors.manifest()))
    made.claim.apply()
    try:
        made.wait_condition("GatewayReady", "True", "Programmed", 120 + doors.GRACE)
        made.wait_condition("CallersReady", "True", "Enforced")
        made.wait_condition("ModelsReady", "False", "NotTheParent")
        installed.configure(doors.settings(running))
        # Core looks at a claim by itself within ten minutes.
        for claim in (coder, chat):
            claim.reconcile("moved")
        made.claim.wait_phase("Serving", timeout=doors.MINUTE + doors.GRACE)
        for claim in (coder, chat):
            made.wait(claim.name, doors.KEY.format("chat"), timeout=120 + doors.GRACE)
        polling.until(
            lambda: len(made.proxies()) == len(made.proxies(everybody=True)) == 2,
            what="two proxies and no other",
            timeout=120 + doors.GRACE,
        )
        yield made
    finally:
        # Before the controllers end, which take the proxies away.
        made.claim.delete()
        running.tenant.plane.admin.wait_gone(made.claim.ref, timeout=120)
        made.wait_end()


@pytest.fixture(scope="package")
def counting(door: doors.Door, chat: claims.Claim, running: stage.Stage) -> None:
    """A caller with a limit that is far, so that the gateway tells tokens from here on.

    Its processor does once a kubelet has refreshed its configuration.
    """
    doors.write_key(running, "standing", doors.KEY.format("standing"))
    with limits.given(door, running, "first", {"tokens": 1, "per": "day"}) as key:
        limits.spend(door, chat.name, key, tokens=5)


@pytest.fixture(scope="package")
def external(
    door: doors.Door, running: stage.Stage, provider: outside.Provider
) -> Iterator[outside.Provider]:
    """The stand-in behind the door, by both of its APIs."""
    namespace = running.tenant.namespace
    developer, admin = running.tenant.plane.developer, running.tenant.plane.admin
    named = provider.objects(running.site.outside)
    admin.apply_all(named)
    for name, text in (
        (providers.AUTHORITY, provider.authority),
        (providers.STRANGER, provider.stranger),
    ):
        meta = {"name": name, "namespace": namespace}
        data = {"ca.crt": text}
        admin.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    secret = {"name": "provider-key", "namespace": namespace}
    developer.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": secret,
            "stringData": {"apiKey": providers.KEY},
        }
    )
    door.claim.apply(providers=providers.listed(provider))
    try:
        door.wait_condition("ProvidersReady", "True", "Published", doors.MINUTE + doors.GRACE)
        door.wait(
            providers.CHATS, doors.CHAT, timeout=doors.REFRESH_SECONDS + doors.MINUTE + doors.GRACE
        )
        # The other route may come to the processor a minute after the first.
        polling.until(
            lambda: all(providers.MESSAGES in listed for listed in door.models(doors.CHAT)),
            what=f"{providers.MESSAGES} in every list",
            timeout=doors.REFRESH_SECONDS + doors.MINUTE + doors.GRACE,
            interval=1,
        )
        yield provider
    finally:
        for item in named:
            admin.delete(api.Ref.of(item))
