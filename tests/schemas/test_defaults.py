"""What the API server writes for fields that nobody wrote: the cluster in memory does the same."""

from typing import Any

from tests import apiserver, cluster, examples
from tests.schemas import upstream


def _completed(schema: Any, value: Any) -> Any:
    """Returns a value with the defaults of a structural schema."""
    if isinstance(value, list):
        return [_completed(schema["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    given = {name: part["default"] for name, part in known.items() if "default" in part}
    return {
        name: _completed(known[name], item) if name in known else item
        for name, item in {**given, **value}.items()
    }


def test_the_route_of_the_ai_gateway() -> None:
    (example,) = (one for one in examples.every() if one.name == "gate")
    world = cluster.Cluster(example.claim, *example.environments)
    world.converge()
    route = world.one("AIGatewayRoute")
    group, _, name = route["apiVersion"].partition("/")
    (version,) = (
        one
        for one in upstream.definition(group, route["kind"])["spec"]["versions"]
        if one["name"] == name
    )
    assert apiserver.completed(route) == _completed(version["schema"]["openAPIV3Schema"], route)
