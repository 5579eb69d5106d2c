"""Networks and hosts of settings and raw rules: what is refused with the field's name.

A policy with a wrong one is refused by the API server or by Cilium, after the pods that wait for
it were wanted.
"""

import ipaddress
import re

import hypothesis
import pytest
from hypothesis import strategies as st

from function.api import base, settings, settings_forms
from tests import pools, strategies
from tests.resources import scene
from tests.schemas import test_typed

_NETWORKS = (
    "hub.egressCidrs",
    "objectStore.egressCidrs",
    "canaryGates.egressCidrs",
    "frontDoor.evals.egressCidrs",
    "frontDoor.litellm.egressCidrs",
)
_HOSTS = ("preload.egressHosts", "objectStore.egressHosts")


def _refused(field: str, value: str) -> str:
    """Returns what is said of settings with this one entry, or nothing."""
    given: pools.Json | list[str] = [value]
    for key in reversed(field.split(".")):
        given = {key: given}
    assert isinstance(given, dict)
    try:
        settings.resolve([given])
    except base.InvalidError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("field", _NETWORKS)
def test_a_network_of_the_settings_is_one(field: str) -> None:
    for wrong in ("10.0.0.0/99", "10.0.0/8", "256.0.0.0/8", "fd00::/129", "::1::/64", "f/8"):
        assert f"{field}[0]: must be a network, for example 10.0.0.0/8" in _refused(field, wrong)
    # Bits beyond the prefix are Kubernetes' and Cilium's to drop, and sites have them.
    for right in ("10.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "192.168.7.1/32", "::/0", "fd00::1/128"):
        assert _refused(field, right) == ""


def test_a_network_of_a_raw_rule_is_one() -> None:
    policies = {"egress": [{"toCIDR": ["10.0.0.0/99"]}]}
    site = scene.site(permissions={"rawPolicies": ["*"]})
    words = scene.refused(scene.of(networkPolicies=policies), site)
    assert "toCIDR[0]: must be a network" in words


_PIECES = ("0", "1", "9", "10", "99", "255", "256", "08", "a", "fFfF", "12345", "::", ":", ".", "/")


@hypothesis.given(
    st.one_of(
        st.builds("{}/{}".format, st.ip_addresses(), st.integers(0, 140)),
        st.lists(st.sampled_from(_PIECES), max_size=18).map("".join),
    )
)
@hypothesis.example("1:2:3:4:5:6:7::/64")
@hypothesis.example("::2:3:4:5:6:7:8/64")
@hypothesis.example("1::3:4:5:6:7:8/64")
@hypothesis.example("1:2:3:4:5:6:7:8::/64")
def test_a_network_is_what_python_reads_too(text: str) -> None:
    taken = strategies.python(base.CIDR).search(text) is not None
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        assert not taken
        return
    plain = re.search(r"/(0|[1-9][0-9]*)$", text) and not (":" in text and "." in text)
    assert taken == bool(plain)


@pytest.mark.parametrize("field", _HOSTS)
def test_a_host_of_the_settings_is_one(field: str) -> None:
    for wrong in ("{", "{name}.a", "a..b", "a b", "-a", "{region", "*.{Region}.b", "a/b"):
        assert f"{field}[0]: must be a host such as" in _refused(field, wrong)


@hypothesis.given(st.from_regex(strategies.python(settings_forms.HOST_PATTERN), fullmatch=True))
@hypothesis.example("*")
@hypothesis.example("sts.{region}.amazonaws.com.")
@hypothesis.example("*-{region}*.example.com")
def test_a_host_is_one_that_cilium_takes(host: str) -> None:
    rules = test_typed.custom("cilium.io", "CiliumNetworkPolicy", "v2")["egress"]["items"]
    fields = rules["properties"]["toFQDNs"]["items"]["properties"]
    pattern = fields["matchPattern" if "*" in host else "matchName"]["pattern"]
    assert re.search(pattern, host.replace("{region}", "eu-west-3"))
