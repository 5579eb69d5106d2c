"""What routes by meaning, put to the programs that read it: the router's own judge, and Envoy."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing

import hypothesis

from e2e.gateway import proxy
from function.api import settings
from function.composites import inference_gateway
from function.fleet import doors, router_config
from tests import strategies
from tests.fleet import scene, test_router_schema
from tests.golden import test_front_doors
from tools.router import judge

EXAMPLE = test_front_doors.EXAMPLES["semantic-router"]
GENERATED = 100


def _generated() -> list[str]:
    texts: list[str] = []

    @hypothesis.settings(max_examples=GENERATED, derandomize=True, database=None, deadline=None)
    @hypothesis.given(strategies.routers())
    def draw(asked: typing.Any) -> None:
        text = test_router_schema.configuration(asked)
        if text is not None:
            texts.append(text)

    draw()
    return texts


def test_the_routers_own_program_takes_every_configuration() -> None:
    """Also a wrong one, or it would judge nothing."""
    world = test_front_doors.at_rest(EXAMPLE)
    example = world.one("ConfigMap", "router-configmap")["data"]["config.yaml"]
    wrong = json.loads(example)
    wrong["recipes"][0]["routing"]["decisions"][0]["modelRefs"][0]["model"] = "gone"
    right = [example, *_generated()]
    assert len(right) > GENERATED // 4
    *judged, refused = judge.errors([*right, json.dumps(wrong)])
    assert [text for text, errors in zip(right, judged, strict=True) if errors] == []
    assert refused


def test_envoy_takes_the_proxys_configuration(tmp_path: pathlib.Path) -> None:
    """With and without a certificate on the Gateway."""
    images = {"image": "example.com/r:v1", "proxyImage": "example.com/e:v1"}
    site = settings.resolve([{"frontDoor": {"semanticRouter": images}}])
    asked = EXAMPLE.claim["spec"]["semanticRouter"]
    for name, more in (("plain", {}), ("tls", {"tls": {"secretName": "t"}, "hostname": "h.org"})):
        document = scene.of(semanticRouter=asked, **more)
        door = doors.make(inference_gateway.parse(document), site)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(router_config.proxy(door)))
        command = [str(proxy.program()), "--mode", "validate", "--config-path", str(path)]
        done = subprocess.run(
            command, capture_output=True, text=True, env={router_config.KEY: "k"}, check=False
        )
        assert done.returncode == 0, done.stderr
