"""What a claim changes for people beside its pods: route, canaries, callers, replicas, alerts."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from function import canonical
from function.cli import changes, rendering
from function.cluster import observed
from function.concerns.access import cilium
from function.concerns.gateway import publishing
from function.workloads import workloads

RouteEffect = Literal["none", "published", "stays", "changed", "withdrawn", "withheld"]

ROUTES = ("AIGatewayRoute", "HTTPRoute")
_SCALER = "ScaledObject"
RULES = ("PrometheusRule", "VMRule")
_POLICY_KEYS = ("-cilium-netpol", "-networkpolicy")
POLICIES = ("CiliumNetworkPolicy", "NetworkPolicy")
_NAMESPACE_LABELS = (cilium.NAMESPACE_LABEL, "kubernetes.io/metadata.name")


@dataclasses.dataclass(frozen=True)
class Step:
    """A value before and after; `ABSENT` where there is none, or nobody looked."""

    old: Any
    new: Any

    @property
    def moves(self) -> bool:
        """Tells whether there are two different values."""
        return bool(self.old != self.new)

    def document(self) -> dict[str, Any]:
        """Returns the same for machines; what is absent has no key."""
        values = {"old": self.old, "new": self.new}
        return {k: v for k, v in values.items() if v is not changes.ABSENT}


@dataclasses.dataclass(frozen=True)
class Names:
    """Named things that come, go, or are others under the same name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Tells whether any does."""
        return bool(self.added or self.removed or self.changed)

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {name: list(value) for name, value in dataclasses.asdict(self).items()}


@dataclasses.dataclass(frozen=True)
class Concerns:
    """What changes for people.

    Attributes:
        route: What becomes of the routes, by kind.
        canaries: Percent of the base model's requests, by adapter.
        callers: Who may call the engine.
        replicas: The least and the greatest replica count, as `min` and `max`.
        alerts: The alerts, by name.
        not_looked_at: Names of those of which nobody knows what is so far.
    """

    route: Mapping[str, RouteEffect] = dataclasses.field(default_factory=dict)
    canaries: Mapping[str, Step] = dataclasses.field(default_factory=dict)
    callers: Names = Names()
    replicas: Mapping[str, Step] = dataclasses.field(default_factory=dict)
    alerts: Names = Names()
    not_looked_at: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {
            "route": dict(self.route),
            "canaries": {name: step.document() for name, step in self.canaries.items()},
            "callers": self.callers.document(),
            "replicas": {name: step.document() for name, step in self.replicas.items()},
            "alerts": self.alerts.document(),
            "unknownBefore": list(self.not_looked_at),
        }

    def words(self) -> Iterator[tuple[str, str]]:
        """Yields each concern that changes, and how; of what stays nothing is said."""
        for kind, effect in self.route.items():
            if effect not in ("none", "stays"):
                yield "route", f"{effect} ({kind})"
        for name, step in self._moving("canaries", self.canaries):
            yield "canary", f"{name} {_arrow(step, ' %')}"
        for words in _names("may call", "may no longer call", "", self.callers):
            yield "callers", words
        for name, step in self._moving("replicas", self.replicas):
            yield "replicas", f"{name} {_arrow(step)}"
        for words in _names("new", "no more", "changed", self.alerts):
            yield "alerts", words

    def _moving(self, name: str, steps: Mapping[str, Step]) -> Iterator[tuple[str, Step]]:
        """Yields the values that change, where it is known what they are so far."""
        if name not in self.not_looked_at:
            yield from ((key, step) for key, step in steps.items() if step.moves)


NONE = Concerns()


def of(item: rendering.Rendered) -> Concerns:
    """Returns what applying a claim changes for people."""
    after = {key: one.manifest for key, one in item.likely.resources.items()}
    before = item.before

    def unknown(*kinds: str) -> bool:
        """Tells whether nobody knows what is so far of these kinds."""
        given = item.dropped is not None or any(map(item.looks, kinds))
        return item.observed and not given

    blank = {
        "route": unknown(*ROUTES),
        "canaries": unknown(ROUTES[0]),
        "callers": unknown(*POLICIES),
        "replicas": unknown(
            _SCALER if list(_of_kind(after, _SCALER)) else workloads.chosen(item.resource.spec).KIND
        ),
        "alerts": unknown(*RULES),
    }
    callers = _callers(item.resource.name, before), _callers(item.resource.name, after)
    alerts = _alerts(before), _alerts(after)
    return Concerns(
        route={} if blank["route"] else _route(item, before, after),
        canaries=_steps(_canaries(before), _canaries(after), blank=blank["canaries"]),
        callers=_compare(*callers, blank=blank["callers"]),
        replicas=_steps(_bounds(before), _wanted(item, after), blank=blank["replicas"]),
        alerts=_compare(*alerts, blank=blank["alerts"]),
        not_looked_at=tuple(name for name, yes in blank.items() if yes),
    )


def _route(
    item: rendering.Rendered,
    before: Mapping[str, observed.Object],
    after: Mapping[str, dict[str, Any]],
) -> dict[str, RouteEffect]:
    effects: dict[str, RouteEffect] = {}
    for kind in ROUTES:
        old, new = list(_of_kind(before, kind)), list(_of_kind(after, kind))
        if new and not old:
            effects[kind] = "published"
        elif old and not new:
            effects[kind] = "withdrawn"
        elif new:
            pairs = zip(old, new, strict=False)
            moves = any(any(changes.between(_spec(a), _spec(b), ours=True)) for a, b in pairs)
            effects[kind] = "changed" if moves else "stays"
    reasons = {condition.type: condition.reason for condition in item.likely.conditions}
    if reasons[publishing.RouteReady.type()] == "Withheld" and ROUTES[0] not in effects:
        effects[ROUTES[0]] = "withheld"
    return effects


def _canaries(objects: Mapping[str, observed.Object]) -> dict[str, int]:
    return {
        str(backend["modelNameOverride"]): observed.number(observed.at(backend, "weight"))
        for route in _of_kind(objects, ROUTES[0])
        for rule in observed.at(route, "spec", "rules") or []
        for backend in observed.at(rule, "backendRefs") or []
        if observed.at(backend, "modelNameOverride") is not None
    }


def _callers(name: str, objects: Mapping[str, observed.Object]) -> dict[str, Any]:
    """Returns who may call the engine, in words."""
    keys = [name + suffix for suffix in _POLICY_KEYS if name + suffix in objects]
    peers = [
        peer
        for key in keys
        for rule in observed.at(objects[key], "spec", "ingress") or []
        for peer in _peers(rule)
    ]
    return dict.fromkeys(peers)


def _peers(rule: observed.Object) -> Iterator[str]:
    listed = [
        *(
            observed.at(peer, "matchLabels") or {}
            for peer in observed.at(rule, "fromEndpoints") or []
        ),
        *map(_native, observed.at(rule, "from") or []),
    ]
    for labels in listed:
        yield _peer(labels)
    others = {k: v for k, v in rule.items() if k.startswith("from") and k not in _PLAIN_PEERS}
    if others:
        yield canonical.dumps(canonical.plain(others))


_PLAIN_PEERS = ("from", "fromEndpoints")


def _native(peer: observed.Object) -> dict[str, str]:
    """Returns the labels of a peer of Kubernetes' own policies."""
    return {
        **(observed.at(peer, "namespaceSelector", "matchLabels") or {}),
        **(observed.at(peer, "podSelector", "matchLabels") or {}),
        **(observed.at(peer, "ipBlock") or {}),
    }


def _peer(labels: Mapping[str, Any]) -> str:
    """Returns a peer such as `apps: app.kubernetes.io/name=webui`."""
    place = next((str(labels[name]) for name in _NAMESPACE_LABELS if name in labels), None)
    rest = [f"{k}={labels[k]}" for k in sorted(labels) if k not in _NAMESPACE_LABELS]
    who = ",".join(rest) or "all pods"
    return who if place is None else f"{place}: {who}"


def _bounds(objects: Mapping[str, observed.Object]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for scaler in _of_kind(objects, _SCALER):
        spec = observed.at(scaler, "spec")
        bounds = {
            "min": observed.at(spec, "minReplicaCount"),
            "max": observed.at(spec, "maxReplicaCount"),
        }
    if not bounds:
        for keeper in (item for item in objects.values() if workloads.of(item) is not None):
            fixed = observed.at(keeper, "spec", "replicas")
            bounds = {} if fixed is None else {"min": fixed, "max": fixed}
    return {name: value for name, value in bounds.items() if value is not None}


def _wanted(item: rendering.Rendered, after: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the bounds of the claim; those of a scaler where there is one."""
    least, most = item.likely.bounds
    return _bounds(after) or {"min": least, "max": most}


def _alerts(objects: Mapping[str, observed.Object]) -> dict[str, Any]:
    return {
        str(rule["alert"]): canonical.plain(rule)
        for kind in RULES
        for item in _of_kind(objects, kind)
        for group in observed.at(item, "spec", "groups") or []
        for rule in observed.at(group, "rules") or []
        if observed.at(rule, "alert") is not None
    }


def _of_kind(objects: Mapping[str, observed.Object], kind: str) -> Iterator[observed.Object]:
    return (objects[key] for key in sorted(objects) if objects[key]["kind"] == kind)


def _spec(manifest: observed.Object) -> Any:
    return observed.at(manifest, "spec")


# --- before and after


def _steps(old: Mapping[str, Any], new: Mapping[str, Any], *, blank: bool) -> dict[str, Step]:
    if blank:
        old = {}
    names = [*new, *(name for name in old if name not in new)]
    return {
        name: Step(old.get(name, changes.ABSENT), new.get(name, changes.ABSENT)) for name in names
    }


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], *, blank: bool) -> Names:
    if blank:
        old = new
    both = [name for name in new if name in old]
    differ = {n for n in both if any(changes.between(old[n], new[n], ours=True))}
    return Names(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in both if name in differ),
        kept=tuple(name for name in both if name not in differ),
    )


def _arrow(step: Step, unit: str = "") -> str:
    if step.old is changes.ABSENT:
        return f"{step.new}{unit}"
    if step.new is changes.ABSENT:
        return f"no more (was {step.old}{unit})"
    return f"{step.old}{unit} -> {step.new}{unit}"


def _names(added: str, removed: str, changed: str, names: Names) -> Iterator[str]:
    for words, listed in ((added, names.added), (removed, names.removed), (changed, names.changed)):
        if listed:
            yield f"{words} {', '.join(listed)}"
