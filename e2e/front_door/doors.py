"""The front door, who calls it, and the settings behind it."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from e2e import claims, shipped
from e2e.controlplane import api, polling
from e2e.dataplane import asking, stage

NAMESPACE = "front-door"
NAME = "llm"
# For a busy machine, on top of what something takes by itself.
GRACE = 60
# What docs/front-door.md promises for a claim or a caller that comes or goes.
MINUTE = 60
# A kubelet writes a pod's Secrets when it looks at the pod: here every 10 s, and some jitter.
REFRESH_SECONDS = 20
# A proxy that is told to end before its shutdown manager runs is there for so long, without Envoy.
DRAIN_SECONDS = 60
KEY = "key-of-{}-0123456789abcdef"
CHAT, EDITOR = KEY.format("chat"), KEY.format("editor")
ADAPTER = "xplane-qwen-coder-securecode"
CANARY = "xplane-qwen-coder-sql-dpo"
CODE = {"purpose": "code"}
# Where callers with tokens ask.
TOKEN_PORT = 8080
CALLER_HEADER, MODEL_HEADER = "x-inference-caller", "x-ai-eg-model"


def bearer(key: str) -> dict[str, str]:
    """The header with a caller's key."""
    return {"Authorization": f"Bearer {key}"}


class Door:
    """The front door, and what callers get from each of its proxies.

    Attributes:
        claim: The InferenceGateway.
    """

    def __init__(self, running: stage.Stage, claim: claims.Claim) -> None:
        """Take one that may not be applied yet."""
        self._running = running
        self.claim = claim
        self.gateway = api.Ref(
            "gateway.networking.k8s.io/v1", "Gateway", NAME, running.tenant.namespace
        )

    def proxies(self, *, everybody: bool = False) -> list[api.Object]:
        """Its proxies that are ready, or all of them."""
        return self._running.controllers.proxies(self.gateway, everybody=everybody)

    def wait_end(self) -> None:
        """Wait until no proxy of it is left."""
        polling.until(
            lambda: not self.proxies(everybody=True),
            what="the end of the proxies",
            timeout=DRAIN_SECONDS + 2 * GRACE,
        )

    def ways_in(self) -> list[asking.Caller]:
        """Each proxy, as somebody who asks it; waits until one is ready."""
        ready = polling.until(self.proxies, what="proxies of the door", timeout=120)
        return [asking.Caller(pod["status"]["podIP"], 10080) for pod in ready]

    def ask(self, model: str, key: str | None, **how: typing.Any) -> asking.Answers:
        """What each proxy answers to a caller."""
        given: Mapping[str, str] = how.pop("headers", {})
        headers = {**(bearer(key) if key is not None else {}), **given}
        return [way.ask(model, headers=headers, **how) for way in self.ways_in()]

    def statuses(self, model: str, key: str | None, **how: typing.Any) -> set[int]:
        """The statuses of ``ask``."""
        return {one.status for one in self.ask(model, key, **how)}

    def models(self, key: str) -> list[set[str]]:
        """The names that each proxy lists."""
        answers = [way.send("GET", "/v1/models", headers=bearer(key)) for way in self.ways_in()]
        assert {one.status for one in answers} == {200}, answers
        return [{one["id"] for one in answer.content["data"]} for answer in answers]

    def wait(self, model: str, key: str, status: int = 200, timeout: float = MINUTE) -> None:
        """Wait until every proxy answers so.

        Raises:
            TimeoutError: One did not; the message has the last answers.
        """
        answers: asking.Answers = []

        def answered() -> bool:
            nonlocal answers
            answers = self.ask(model, key, timeout=10)
            return {one.status for one in answers} == {status}

        try:
            polling.until(answered, what=f"{status} for {model}", timeout=timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {[*map(str, answers)]}") from None

    def wait_condition(self, kind: str, status: str, reason: str, timeout: float = MINUTE) -> None:
        """Wait until the object has a condition."""
        self.claim.wait(
            lambda item: claims.conditions(item).get(kind, ())[:2] == (status, reason),
            what=f"with {kind}={status} {reason}",
            timeout=timeout,
        )


def identities(door: Door) -> set[tuple[str, int]]:
    """The proxies, and how often their containers started again."""
    return {
        (
            pod["metadata"]["uid"],
            sum(one["restartCount"] for one in pod["status"]["containerStatuses"]),
        )
        for pod in door.proxies(everybody=True)
    }


def wait_kind(running: stage.Stage) -> None:
    """Wait until developers may write the kind."""
    admin = running.tenant.plane.admin
    role = "crossplane:composite:inferencegateways.cloud.ogenki.io:aggregate-to-edit"
    admin.wait(api.Ref("rbac.authorization.k8s.io/v1", "ClusterRole", role), bool, what="there")


def callers(*more: str) -> list[api.Object]:
    """Two callers, of whom the editor may use models of one label, and more for all models."""
    editor = {
        "name": "editor",
        "secretRef": {"name": "editor-key"},
        "models": {"matchLabels": CODE},
    }
    every = [{"name": name, "secretRef": {"name": f"{name}-key"}} for name in ("chat", *more)]
    return [*every, editor]


def manifest() -> api.Object:
    """The InferenceGateway with both callers."""
    return {
        "apiVersion": shipped.API_VERSION,
        "kind": "InferenceGateway",
        "metadata": {"name": NAME},
        "spec": {"callers": callers()},
    }


def settings(running: stage.Stage) -> api.Object:
    """Those of the stage, with the claims of the namespace behind the door."""
    settings = running.settings()
    ours = settings["data"]["inferenceService"]
    ours["frontDoor"] |= {
        "namespaces": {NAMESPACE: NAME},
        "drainSeconds": DRAIN_SECONDS,
        "limiter": "envoy",
    }
    ours["permissions"]["hotAdapters"] = [NAMESPACE]
    allowed = ours.setdefault("allowed", {})
    allowed["fallbackProviders"] = {NAMESPACE: ["chats"]}
    # The stand-ins for a provider and for an issuer have Services of the namespace.
    inside = [f"*.{NAMESPACE}.svc.cluster.local"]
    allowed["providerHosts"] = allowed["tokenHosts"] = {NAMESPACE: inside}
    return settings


def write_key(running: stage.Stage, name: str, key: str) -> None:
    """Write the Secret of a caller."""
    running.tenant.plane.developer.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-key", "namespace": running.tenant.namespace},
            "stringData": {name: key},
        }
    )
