"""Keys of an issuer that the gateway's proxies fetch (`jwksURI`), and tokens that they are for.

`e2e/front_door` has the rest of callers with tokens, by keys that lie in the namespace.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e import claims, installation, operators, shipped
from e2e.controlplane import api, plane, polling
from e2e.dataplane import asking, issuing, stage
from e2e.front_door import doors
from e2e.machines import hub

NAMESPACE, NAME = "issuers", "llm"
PATH = "/realms/llm/keys"
TOKEN_PORT = 8080
# For a busy machine.
GRACE = 120


@pytest.fixture(scope="module")
def issuer() -> issuing.Issuer:
    """An identity provider."""
    return issuing.Issuer("https://sso.example.com/ai", "llm")


@pytest.fixture(scope="module")
def published(
    issuer: issuing.Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[issuing.Published]:
    """Where its keys are."""
    made = issuing.Published(issuer, tmp_path_factory.mktemp("published"), NAMESPACE)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(
    published: issuing.Published,
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[stage.Stage]:
    """The gateways' controllers, whose proxies trust the issuer's certificate."""
    work = tmp_path_factory.mktemp(NAMESPACE)
    with hub.serving() as models, standing_in.absent(*stage.KINDS):
        prepared = stage.Stage(
            control_plane,
            work,
            NAMESPACE,
            models,
            ports=[published.port],
            trusted=published.trusted,
        )
        with prepared.running():
            control_plane.admin.apply_all(published.objects(prepared.site.outside))
            settings = prepared.settings()
            ours = settings["data"]["inferenceService"]
            ours["frontDoor"] |= {
                "namespaces": {NAMESPACE: NAME},
                "drainSeconds": doors.DRAIN_SECONDS,
            }
            ours.setdefault("allowed", {})["tokenHosts"] = {NAMESPACE: [published.host]}
            installed.configure(settings)
            yield prepared


@pytest.fixture(scope="module")
def door(
    running: stage.Stage, issuer: issuing.Issuer, published: issuing.Published
) -> Iterator[claims.Claim]:
    """A front door with one issuer and one caller."""
    admin = running.tenant.plane.admin
    role = "crossplane:composite:inferencegateways.cloud.ogenki.io:aggregate-to-edit"
    admin.wait(api.Ref("rbac.authorization.k8s.io/v1", "ClusterRole", role), bool, what="there")
    sso = {
        "name": "sso",
        "issuer": issuer.address,
        "audiences": [issuer.audience],
        "jwksURI": f"https://{published.host}{PATH}",
        "callerClaim": "azp",
    }
    made = running.tenant.claim(
        {
            "apiVersion": shipped.API_VERSION,
            "kind": "InferenceGateway",
            "metadata": {"name": NAME},
            "spec": {"issuers": [sso], "callers": [{"name": "agent", "jwt": {"issuer": "sso"}}]},
        }
    )
    made.apply()
    try:
        _wait(made, "GatewayReady", "Programmed")
        _wait(made, "CallersReady", "Enforced")
        yield made
    finally:
        made.delete()
        admin.wait_gone(made.ref, timeout=120)
        polling.until(
            lambda: not _proxies(running, everybody=True), what="no proxy", timeout=120 + GRACE
        )


def _wait(door: claims.Claim, kind: str, reason: str) -> None:
    door.wait(
        lambda item: claims.conditions(item).get(kind, ())[:2] == ("True", reason),
        what=f"with {kind}=True {reason}",
        timeout=120 + GRACE,
    )


def _proxies(running: stage.Stage, *, everybody: bool = False) -> list[api.Object]:
    gateway = api.Ref("gateway.networking.k8s.io/v1", "Gateway", NAME, NAMESPACE)
    return running.controllers.proxies(gateway, everybody=everybody)


def _statuses(running: stage.Stage, model: str, token: str) -> set[int]:
    """What each proxy answers on the port of tokens."""
    ways = [asking.Caller(pod["status"]["podIP"], TOKEN_PORT) for pod in _proxies(running)]
    given = {"Authorization": f"Bearer {token}"}
    return {way.ask(model, headers=given, timeout=10).status for way in ways}


def test_proxies_fetch_the_keys_of_an_issuer_and_take_its_tokens_alone(
    running: stage.Stage,
    door: claims.Claim,
    issuer: issuing.Issuer,
    published: issuing.Published,
) -> None:
    """By TLS, whose certificate they check."""
    del door
    chat = running.claim("chat-8b", scaling={"minReplicas": 1, "maxReplicas": 1}).apply()
    chat.wait_phase("Serving", timeout=120 + GRACE)
    token = issuer.token("agent")
    polling.until(
        lambda: _statuses(running, chat.name, token) == {200},
        what="200 for a token",
        timeout=120 + GRACE,
    )
    assert set(published.asked) == {PATH}
    stranger = issuing.Issuer(issuer.address, issuer.audience)
    assert _statuses(running, chat.name, stranger.token("agent")) == {401}
    assert _statuses(running, chat.name, issuer.token("agent", aud="others")) in ({401}, {403})
    assert _statuses(running, chat.name, issuer.token("nobody")) == {403}
