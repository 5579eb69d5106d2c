"""The plain HTTP route."""

import pytest

from tests.resources import scene

ROUTE = {"enabled": True, "hostname": "chat"}


def test_the_route() -> None:
    route = scene.serving(scene.of(route=ROUTE)).one("HTTPRoute")
    assert route["metadata"]["name"] == "model"
    assert route["spec"] == {
        "parentRefs": [{"name": "platform-tailscale-general", "namespace": "infrastructure"}],
        "hostnames": ["chat.priv.cloud.ogenki.io"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "model", "port": 8000}],
                "timeouts": {"request": "1800s", "backendRequest": "1800s"},
            }
        ],
    }


def test_a_long_stream_is_not_cut() -> None:
    """The default cuts after 15 s; 0s would switch the idle timeout off as well."""
    config = scene.site(route={"requestTimeoutSeconds": 7200})
    (rule,) = scene.serving(scene.of(route=ROUTE), config).one("HTTPRoute")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "7200s", "backendRequest": "7200s"}


def test_without_a_private_domain_the_host_is_the_short_name() -> None:
    config = scene.site()
    del config["data"]["privateDomainName"]
    route = scene.serving(scene.of(route=ROUTE), config).one("HTTPRoute")
    assert route["spec"]["hostnames"] == ["chat"]


@pytest.mark.pitfall("the same route twice")
@pytest.mark.pitfall("the AI gateway overwrites an HTTPRoute of its own route's name")
@pytest.mark.decision(25)
@pytest.mark.parametrize(
    ("gateway", "key", "name"),
    [(False, "httproute", "model"), (True, "httproute-beside", "model.direct")],
)
def test_beside_the_ai_gateway_it_has_another_key_and_name(
    gateway: bool, key: str, name: str
) -> None:
    """The AI gateway generates and overwrites an HTTPRoute named as its own route."""
    world = scene.serving(scene.of(route=ROUTE, gateway={"enabled": gateway}))
    assert world.one("HTTPRoute", f"model-{key}")["metadata"]["name"] == name


@pytest.mark.decision(25)
def test_turning_the_gateway_on_moves_the_route_to_its_other_name() -> None:
    world = scene.serving(scene.of(route=ROUTE))
    world.edit(gateway={"enabled": True}).converge()
    assert "model-httproute" not in world.objects
    assert world.one("HTTPRoute", "model-httproute-beside")["metadata"]["name"] == "model.direct"
    assert world.one("AIGatewayRoute")["metadata"]["name"] == "model"


def test_the_route_is_there_from_the_first() -> None:
    """Unlike the gateway's: its Service simply has no endpoint yet."""
    assert scene.first(scene.of(route=ROUTE)).one("HTTPRoute")


@pytest.mark.parametrize("route", [{}, {"enabled": False, "hostname": "chat"}])
def test_no_route_unless_enabled(route: dict[str, object]) -> None:
    assert "HTTPRoute" not in scene.serving(scene.of(route=route)).kinds_there()
