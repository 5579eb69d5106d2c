"""Whether two claims become the same objects: by what they mean, and not by the order of words."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from function import canonical, kinds
from function.api import settings
from function.cli import changes, documents, healthy, rendering
from function.cluster import checkpoints
from function.concerns.access import cilium
from function.engines import advisers, engine
from function.planning import identity, plans
from function.workloads import workloads


@dataclasses.dataclass(frozen=True)
class Composed:
    """What a claim becomes once it serves.

    Attributes:
        plan: What is decided.
        objects: The objects by key.
    """

    plan: plans.Plan
    objects: dict[str, dict[str, Any]]


def composed(source: documents.Source, site: settings.Settings) -> Composed:
    """Returns what a claim becomes once it serves, with every object there and well.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    source = dataclasses.replace(source, document=canonical.plain(source.document))
    resource = rendering.parse(source.document)
    given = rendering.served(source, resource, site)
    _, answer = healthy.settled(resource, site, given)
    objects = {
        key: canonical.plain(composed.manifest) for key, composed in answer.resources.items()
    }
    return Composed(plans.make(resource, site, checkpoints.Facts()), objects)


def differences(before: Composed, after: Composed) -> list[str]:
    """Returns what two claims become differently, in words."""
    words = []
    for key in sorted({*before.objects, *after.objects}):
        old, new = (_normal(one.objects.get(key), one.plan.engine) for one in (before, after))
        if old == new:
            continue
        kind = (after.objects.get(key) or before.objects[key])["kind"]
        if old is None or new is None:
            words.append(f"{kind} is {'added' if old is None else 'left out'}")
            continue
        fields = [change.path for change in changes.between(old, new)]
        words.append(f"{kind}: {', '.join(fields[:3])}")
    return words


def restarts(before: Composed, after: Composed) -> bool:
    """Tells whether pods of the second claim have another template, if only in its order."""
    return [_template(one) for one in before.objects.values()] != [
        _template(one) for one in after.objects.values()
    ]


def _template(manifest: dict[str, Any]) -> Any:
    keeper = workloads.of(manifest)
    return None if keeper is None else keeper.template(manifest)


def _normal(manifest: dict[str, Any] | None, chosen: engine.Engine) -> Any:
    """Returns an object without our notes in it, its arguments and callers in one order."""
    if manifest is None:
        return None
    result = canonical.plain(manifest)
    annotations = result["metadata"].get("annotations") or {}
    # What a template was made from is noted beside it: a hash of the claim among others.
    result["metadata"]["annotations"] = {
        name: note
        for name, note in annotations.items()
        if not name.startswith(f"{identity.DOMAIN}/")
    }
    keeper = workloads.of(result)
    if keeper is not None:
        template = keeper.template(result)
        template["spec"]["containers"] = [
            advisers.of(chosen).comparable(one) if one["name"] == chosen.CONTAINER else one
            for one in template["spec"]["containers"]
        ]
        result = {**keeper.without_templates(result), keeper.TEMPLATE: template}
    if result["kind"] == kinds.CILIUM_POLICY.name:
        rules = result["spec"].get("ingress") or []
        own = result["metadata"]["namespace"]
        peers = {canonical.dumps(peer) for rule in rules for peer in _peers(rule, own)}
        result["spec"]["ingress"] = sorted(peers)
    return result


def _peers(rule: Any, namespace: str) -> Iterator[Any]:
    """Yields each selector and port of a rule that only names peers, or else the rule."""
    if not isinstance(rule, dict) or set(rule) != {"fromEndpoints", "toPorts"}:
        yield rule
        return
    for selector in rule["fromEndpoints"]:
        labels = (selector or {}).get("matchLabels") or {}
        whole = {**(selector or {}), "matchLabels": {cilium.NAMESPACE_LABEL: namespace, **labels}}
        for ports in rule["toPorts"]:
            for port in ports.get("ports") or [None]:
                yield [whole, {**ports, "ports": [port]}]
