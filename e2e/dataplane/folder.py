"""The reference platform's folder, applied as it stands, with the programs that it names.

Four things of the folder are others here: the door has neither the name nor the certificate of a
public zone, the provider is at another address, results go to this run's metrics server, and a step
of a canary takes a minute.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import typing
from collections.abc import Iterator, Mapping

from e2e import claims, installation, litellm, operators, promptfoo, shipped
from e2e.controlplane import api, external, plane, polling
from e2e.dataplane import asking, controllers, monitoring, outside, stage
from e2e.gateway import proxy
from e2e.machines import hub, site
from function.api import settings

FOLDER = shipped.ROOT / "examples/platform"
NAMESPACE = "llm"
CLAIMS = ("chat", "coder", "embeddings", "fim", "guard")
MODELS = {*CLAIMS, "coder-sql", "coder-secure", "claude-haiku", "mom"}
CODE = {"coder", "coder-sql", "coder-secure", "embeddings", "fim"}
CALLERS = ("chat", "edge", "editor", "nightly")
KEYS = {name: f"key-of-{name}-0123456789abcdef" for name in CALLERS}
ROUTER_KEY = "key-of-the-router-0123456789abcdef"
PROVIDER_KEY = "key-of-the-provider"
SECRETS: Mapping[str, Mapping[str, str]] = {
    "llm/callers": KEYS,
    "llm/hf-token": {"HF_TOKEN": "x"},
    "llm/anthropic": {"apiKey": PROVIDER_KEY},
    "llm/semantic-router": {"semantic-router": ROUTER_KEY},
}
STORE = "clustersecretstore"
# A claim that comes or goes is at the door within a minute; the rest is for a busy machine.
MINUTE, GRACE = 60, 180
_EDGE = "ghcr.io/berriai/litellm-non_root:v1.108.7"
_EMBEDDER = "ghcr.io/huggingface/text-embeddings-inference:cpu-1.9.3"


def _documents(name: str) -> list[api.Object]:
    return list(api.load(FOLDER / f"{name}.yaml"))


@dataclasses.dataclass
class Platform:
    """What runs.

    Attributes:
        stage: Machines, gateways, KEDA and the hub.
        monitoring: The operator of metrics.
        served: The claims by name.
        door: The front door.
        provider: Who serves models outside.
        settings: What the platform team set.
    """

    stage: stage.Stage
    monitoring: monitoring.Monitoring
    served: Mapping[str, claims.Claim]
    door: claims.Claim
    provider: outside.Provider
    settings: api.Object

    @property
    def admin(self) -> api.Client:
        """The administrator."""
        return self.stage.tenant.plane.admin

    def way_in(self) -> asking.Caller:
        """A proxy of the door."""
        ref = api.Ref("gateway.networking.k8s.io/v1", "Gateway", self.door.name, NAMESPACE)
        (pod, *_) = polling.until(
            lambda: self.stage.controllers.proxies(ref), what="a proxy", timeout=MINUTE + GRACE
        )
        return asking.Caller(pod["status"]["podIP"], controllers.LISTENER_PORT)

    def ask(self, model: str, caller: str = "chat", **how: typing.Any) -> asking.Answer:
        """What a caller gets."""
        headers = {"Authorization": f"Bearer {KEYS[caller]}", **how.pop("headers", {})}
        if model == "embeddings":
            body = json.dumps({"model": model, "input": "hello"})
            return self.way_in().send("POST", "/v1/embeddings", body, headers)
        return self.way_in().ask(model, headers=headers, **how)

    def wait(self, model: str, caller: str = "chat", status: int = 200) -> asking.Answer:
        """Ask until the answer has a status, and return it."""
        answer = asking.Answer()

        def answered() -> bool:
            nonlocal answer
            answer = self.ask(model, caller)
            return answer.status == status

        try:
            polling.until(answered, what=f"{status} for {model}", timeout=MINUTE + GRACE)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {answer}") from None
        return answer

    def listed(self) -> set[str]:
        """The names that the door lists."""
        headers = {"Authorization": f"Bearer {KEYS['chat']}"}
        answer = self.way_in().send("GET", "/v1/models", headers=headers)
        return {one["id"] for one in answer.content["data"]} if answer.status == 200 else set()

    def answered_by(self, answer: asking.Answer) -> str:
        """The claim of the pod that answered, or nothing where none did."""
        for name, claim in self.served.items():
            if answer.engine in self.stage.names(claim):
                return name
        return ""

    def texts(self) -> Mapping[str, str]:
        """Each object that the door is composed of, as JSON, by its key."""
        return {key: json.dumps(item) for key, item in self.door.composed().items()}


def _settings(
    running: stage.Stage, watched: monitoring.Monitoring, provider: outside.Provider
) -> api.Object:
    """Those of the stage, merged with the folder's, and with the addresses of these tests."""
    base = running.settings()
    (ours,) = _documents("settings")
    data = settings.merge(base["data"], ours["data"])
    given = data["inferenceService"]
    given["providers"]["dashboards"] = "grafana-sidecar"
    given["scaling"]["serverAddress"] = watched.url
    given["allowed"]["providerHosts"] = {NAMESPACE: [provider.host]}
    given["frontDoor"]["evals"] |= {"pushURL": watched.push_url, "store": watched.store}
    # No door of the folder has a proxy before it: one of these tests asks for it.
    (more,) = api.load(shipped.ROOT / "examples/front-door/environmentconfig.yaml")
    edge = more["data"]["inferenceService"]["frontDoor"]["litellm"]
    given["frontDoor"]["litellm"] = {**edge, "replicas": 1}
    # What judges canaries is in a pod, and asks by a name.
    given["canaryGates"] |= {"queryURL": watched.query_url, "store": watched.store}
    return {**base, "data": data}


def _hasten(claim: claims.Claim) -> None:
    """Let gates of canaries judge in a minute what the folder gives an hour."""
    for canary in claim.manifest["spec"]["gateway"].get("canaries", []):
        canary["gate"] |= {"minutes": 1, "minRequests": 10}


def _push_images(running: stage.Stage, work: pathlib.Path) -> None:
    """The images that the folder's settings name, in addition to the stage's."""
    (ours,) = _documents("settings")
    front = ours["data"]["inferenceService"]["frontDoor"]
    router = front["semanticRouter"]
    running.site.push(router["image"], "stand-in-router", "router")
    running.site.push(_EMBEDDER, site.STAND_INS, "embedder")
    running.site.push_local(
        router["proxyImage"], proxy.program(), entry="/usr/local/bin/envoy", user=0
    )
    promptfoo.push(running.site, front["evals"]["image"], work)
    litellm.push(running.site, _EDGE, work)


@contextlib.contextmanager
def standing(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    work: pathlib.Path,
) -> Iterator[Platform]:
    """Everything that a platform team has, and then the folder.

    Args:
        control_plane: The control plane.
        installed: The product on it.
        standing_in: Who plays the operators; the platform's own play theirs.
        work: For files.
    """
    provider = outside.Provider(work / "outside", NAMESPACE)
    kinds = (*stage.KINDS, "ExternalSecret", "VMRule", "VMServiceScrape")
    with hub.serving() as models, standing_in.absent(*kinds), contextlib.ExitStack() as parts:
        parts.callback(provider.stop)
        prepared = stage.Stage(
            control_plane, work, NAMESPACE, models, limits=True, ports=[provider.port]
        )
        parts.enter_context(prepared.running())
        _push_images(prepared, work)
        watched = monitoring.Monitoring(control_plane, prepared.site)
        secrets = external.ExternalSecrets(control_plane.api, control_plane.logs)
        for part in (watched, secrets):
            parts.callback(part.stop)
            part.start()
        secrets.store(STORE, SECRETS)
        admin = control_plane.admin
        admin.apply_all([*provider.objects(prepared.site.outside), _proxies_scrape()])
        chosen = _settings(prepared, watched, provider)
        installed.configure(chosen)
        made = _apply(prepared, watched, provider, chosen)
        try:
            yield made
        finally:
            made.door.delete()
            admin.wait_gone(made.door.ref, timeout=MINUTE + GRACE)


def _proxies_scrape() -> api.Object:
    """What docs/dashboards.md asks of a platform: proxies and their processors are scraped."""
    endpoints = [
        {"portNumber": port, "path": path, "interval": f"{monitoring.SCRAPE_SECONDS}s"}
        for port, path in ((controllers.STATISTICS_PORT, "/stats/prometheus"), (1064, "/metrics"))
    ]
    return {
        "apiVersion": "operator.victoriametrics.com/v1beta1",
        "kind": "VMPodScrape",
        "metadata": {"name": "proxies", "namespace": monitoring.NAMESPACE},
        "spec": {
            "namespaceSelector": {"matchNames": [controllers.SYSTEM]},
            "selector": {"matchLabels": {"app.kubernetes.io/component": "proxy"}},
            "podMetricsEndpoints": endpoints,
        },
    }


def _apply(
    running: stage.Stage,
    watched: monitoring.Monitoring,
    provider: outside.Provider,
    chosen: api.Object,
) -> Platform:
    """The folder, in the order of its kustomization."""
    tenant = running.tenant
    admin = tenant.plane.admin
    # The stage has a token already.
    admin.delete(api.Ref("v1", "Secret", "hf-token", NAMESPACE))
    admin.apply_all(one for one in _documents("namespace") if one["kind"] == "ExternalSecret")
    by_name = {}
    for name in CLAIMS:
        (document,) = _documents(name)
        by_name[name] = claim = tenant.claim(document)
        running.publish(claim)
        _hasten(claim)
        claim.apply()
    (document,) = _documents("door")
    door = tenant.claim(document)
    for field in ("hostname", "tls"):
        del door.manifest["spec"][field]
    (outside_models,) = door.manifest["spec"]["providers"]
    authority = {"name": "provider-authority", "namespace": NAMESPACE}
    data = {"ca.crt": provider.authority}
    admin.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": authority, "data": data})
    outside_models |= {
        "host": provider.host,
        "certificateAuthority": {"name": authority["name"]},
    }
    door.apply()
    return Platform(running, watched, by_name, door, provider, chosen)
