"""`inference-service reach`: what its outputs hold, and the exit code."""

import json
import pathlib
import re
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from click import testing

from tests.cli import command
from tests.resources import scene

OPEN = {"ingress": [{"fromEntities": ["world"]}]}


def run(*arguments: str) -> testing.Result:
    return command.verb("reach", *arguments)


@pytest.fixture
def claims(tmp_path: pathlib.Path) -> list[str]:
    """Returns the arguments for a claim as one has it, and one that lets the world in."""
    file = command.write(
        tmp_path / "claims.yaml", scene.of(), scene.of(name="open", networkPolicies=OPEN)
    )
    return [file, "-e", command.write(tmp_path / "site.yaml", scene.site())]


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "-o", "json").stdout)


def test_a_claim_that_is_as_it_should_be() -> None:
    result = run("examples/claims/smallest.yaml", "-e", command.REFERENCE)
    assert result.exit_code == 0
    assert result.stdout.startswith("llm/smallest: all needed pass\n")
    assert "flows that nobody asks for; --all shows them" in result.stdout
    assert " denied " not in result.stdout
    assert (
        " denied " in run("examples/claims/smallest.yaml", "-e", command.REFERENCE, "--all").stdout
    )


def test_each_flow_has_both_halves_and_what_decides_them(claims: list[str]) -> None:
    document = as_json(*claims)
    assert document["exitCode"] == run(*claims).exit_code == 1
    states = {
        (one["name"], flow["source"]["name"], flow["port"]): flow
        for one in document["claims"]
        for flow in one["flows"]
    }
    flow = states["open", "any public address", 8000]
    assert flow["state"] == "open"
    assert flow["need"] is None
    assert flow["ingress"] == {
        "passes": True,
        "why": "rule",
        "policy": "CiliumNetworkPolicy llm/open",
        "rule": "ingress[0]",
        "narrows": None,
    }
    assert states["model", "any public address", 8000]["state"] == "denied"
    # Between claims too.
    assert states["model", "open: serving pods", 8000]["state"] == "denied"
    assert {one["field"] for one in document["claims"][1]["findings"]} == {
        "spec.networkPolicies.ingress[0]"
    }


def test_further_policies_count(claims: list[str], tmp_path: pathlib.Path) -> None:
    """As `kubectl get` prints them: those of claims are among them."""
    closed = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "observability"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }
    stale = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "model", "namespace": "llm"},
        "spec": {"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}]},
    }
    wide = {"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy"}
    items = {"apiVersion": "v1", "kind": "List", "items": [closed, stale, wide]}
    file = tmp_path / "observed.yaml"
    file.write_text(yaml.safe_dump(items))
    result = run(*claims, "-p", str(file), "-o", "json")
    assert result.stderr == "note: CiliumClusterwideNetworkPolicy are passed over\n"
    model = json.loads(result.stdout)["claims"][0]
    (closed_flow,) = [flow for flow in model["flows"] if flow["state"] == "closed"]
    assert closed_flow["egress"]["policy"] == "NetworkPolicy observability/closed"
    assert not [flow for flow in model["flows"] if flow["state"] == "open"]


def test_what_cannot_be_read_or_used(claims: list[str], tmp_path: pathlib.Path) -> None:
    broken = tmp_path / "broken.yaml"
    policy = {"kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": {"ingress": 1}}
    broken.write_text(yaml.safe_dump({"apiVersion": "networking.k8s.io/v1", **policy}))
    result = run(*claims, "-p", str(broken))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "NetworkPolicy p is no policy as its schema has them" in result.stderr
    assert run(str(tmp_path / "none.yaml")).exit_code == 2
    assert run("-", "-p", "-").exit_code == 2
    refused = command.write(tmp_path / "refused.yaml", scene.of(gpu={"count": 0}))
    result = run(refused, *claims[1:])
    assert result.exit_code == 1
    assert "spec.gpu.count" in result.stderr


def test_the_picture_has_every_end_and_line(claims: list[str]) -> None:
    picture = ElementTree.fromstring(run(*claims, "-o", "svg").stdout)
    titles = [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}title")]
    (line,) = [one for one in titles if one.startswith("any public address to open: serving pods")]
    assert "nobody asks for it: open." in line
    assert "Enters: yes: CiliumNetworkPolicy llm/open ingress[0]." in line
    boxes = [one for one in titles if one.startswith("observability: name=vmagent; ")]
    assert len(boxes) == 2  # One for each claim.
    assert boxes[0].endswith("; 8000")


def test_the_page_runs_and_fetches_nothing(claims: list[str]) -> None:
    page = run(*claims, "-o", "html").stdout
    assert not re.search(r"<script|src=|href=|url\(|@import", page)
    assert page.count("<svg") == 2
    assert "<td>open</td><td>any public address</td>" in page
    assert "<td>denied</td>" not in page
    assert "<td>denied</td>" in run(*claims, "-o", "html", "--all").stdout
