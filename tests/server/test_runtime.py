"""How the examples run the function: who reaches its pods, and how much memory they may take."""

import pytest

from function.api import base
from function.capacity import quantity
from function.server import intake
from tests import cluster, schemas

CONFIG = cluster.load("examples/runtime/deploymentruntimeconfig.yaml")
TEMPLATE = CONFIG["spec"]["deploymentTemplate"]["spec"]["template"]
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("name", "selector", "port"),
    [
        ("networkpolicy", "podSelector", 9443),
        ("ciliumnetworkpolicy", "endpointSelector", "9443"),
    ],
)
def test_a_policy_lets_core_and_probes_in_and_nothing_out(
    name: str, selector: str, port: int | str
) -> None:
    policy = cluster.load(f"examples/runtime/{name}.yaml")
    assert schemas.validate(policy) == []
    assert policy["metadata"]["namespace"] == "crossplane-system"
    labels = policy["spec"][selector]["matchLabels"]
    assert labels.items() <= TEMPLATE["metadata"]["labels"].items()
    grpc, *others = policy["spec"]["ingress"]
    assert str(port) in str(grpc)
    assert "'app': 'crossplane'" in str(grpc)
    assert all("8080" in str(rule) and "9443" not in str(rule) for rule in others)
    assert policy["spec"]["egress"] in ([], [{}])


def test_the_limit_of_memory_is_above_what_was_measured() -> None:
    """docs/performance.md: a fleet of 300, and 100 claims of almost 4 MiB at once."""
    (container,) = TEMPLATE["spec"]["containers"]
    limit = quantity.parse(container["resources"]["limits"]["memory"])
    assert limit >= (106 + 174) * MIB
    assert intake.MOST_WRITTEN <= 256 * 1024
    assert base.Bounds(1).levels < 25
