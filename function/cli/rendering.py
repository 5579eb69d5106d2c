"""One claim through `compose`, with what a cluster would have observed."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from function import composition, kinds
from function.api import base, claim, settings
from function.cli import documents, healthy, neighbours, snapshot, suggestions
from function.cluster import checkpoints, observed, pods
from function.composites import composite, inference_service, registry
from function.fleet import members
from function.planning import plans
from function.situation import rivals, rollouts
from function.workloads import batches

Assumption = Literal["verified", "served"]


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A claim and what it becomes.

    Attributes:
        source: Where the claim was read.
        answer: What the function answers for the objects that were given.
        likely: The same, of objects of kinds that were not looked at being as the claim that
            lives in the cluster has them; `answer` where everything was looked at.
        before: The objects that the claim became so far, by key.
        unseen: Keys of `before` whose kinds were not looked at: what the claim that lives in the
            cluster makes of them.
        dropped: What the function would still emit for the claim that lives in the cluster, by
            key; None where that claim was not looked at, or cannot be used.
        live: The claim as it lives in the cluster, or None.
        observed: True when observed objects of the claim were given.
        looks: Whether a kind was looked at in the claim's namespace.
    """

    source: documents.Source
    resource: claim.InferenceService
    answer: composition.Composition
    likely: composition.Composition
    before: dict[str, observed.Object]
    unseen: frozenset[str]
    dropped: dict[str, dict[str, Any]] | None
    live: claim.InferenceService | None
    observed: bool
    looks: Callable[[str], bool]


@dataclasses.dataclass(frozen=True)
class Plain:
    """A claim of another registered kind, and what it becomes."""

    source: documents.Source
    answer: composition.Composition


def other_kind(source: documents.Source) -> composite.Composite | None:
    """Returns the kind of a claim that is no InferenceService, or None for one that is."""
    kind = registry.of(source.document)
    return None if kind is inference_service else kind


def plain(
    source: documents.Source,
    kind: composite.Composite,
    site: settings.Settings,
    cluster: snapshot.Snapshot | None = None,
    beside: Iterable[documents.Source] = (),
) -> Plain:
    """Returns what a claim of another kind becomes, without a comparison.

    Of its objects those come too that follow once others are there. It reads the claims of its
    namespace: those of the files, as if they served, and the others of the cluster.

    Args:
        source: The claim.
        kind: Its kind.
        site: The settings.
        cluster: What was observed.
        beside: What else was read.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    status = source.document.get("status") or {}
    there = cluster or snapshot.Snapshot()
    world = observed.Observed(
        name=source.name,
        resources=there.composed(source.namespace, source.name),
        conditions=observed.conditions(status),
        status=status,
        required={members.REQUIREMENT: _neighbours(source, site, there, beside)},
        can_read=True,
    )
    try:
        resource = kind.parse(source.document)
    except base.InvalidError as error:
        hinted = suggestions.hinted(error, kind.MODEL, source.document)
        raise base.InvalidError(error.what, hinted) from None
    answer = kind.compose(resource, site, world)
    _, whole = healthy.settled(resource, site, world, first=answer, kind=kind)
    return Plain(
        source, dataclasses.replace(answer, resources={**answer.resources, **whole.resources})
    )


def _neighbours(
    source: documents.Source,
    site: settings.Settings,
    cluster: snapshot.Snapshot,
    beside: Iterable[documents.Source],
) -> list[dict[str, Any]]:
    """Returns the claims of a namespace, by name; one that cannot be used serves nothing."""
    alive = [cluster.claim(*name) or {} for name in cluster.claims() if name[0] == source.namespace]
    named = {str(observed.at(item, "metadata", "name")): item for item in alive}
    for other in beside:
        if other.misspelt or other_kind(other) is not None or other.namespace != source.namespace:
            continue
        known = observed.at(named.get(other.name), "status") or other.document.get("status")
        named[other.name] = {**other.document, "status": known or _served_status(other, site)}
    return [named[name] for name in sorted(named)]


def _served_status(source: documents.Source, site: settings.Settings) -> dict[str, Any]:
    """Returns the status of a claim that serves; an empty one of a claim that cannot be used."""
    try:
        resource = parse(source.document)
        _, answer = healthy.settled(resource, site, served(source, resource, site))
    except base.InvalidError:
        return {}
    return answer.status


def render(
    source: documents.Source,
    site: settings.Settings,
    cluster: snapshot.Snapshot,
    assumed: Assumption | None = None,
    beside: Iterable[documents.Source] = (),
) -> Rendered:
    """Returns what the claim becomes.

    Args:
        source: The claim.
        site: The settings.
        cluster: What was observed.
        assumed: What the claim's status is taken to say beyond what it says.
        beside: What else was read.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    document = source.document
    resource = parse(document)
    alive = cluster.claim(resource.namespace, resource.name)
    unasked = _observed(resource, document, alive, cluster)
    answer = inference_service.compose(resource, site, unasked)
    given = _answered(answer, unasked, cluster)
    given = neighbours.told(given, answer, source, beside, cluster)
    if assumed is not None:
        given = _assuming(given, _assumption(_plan(resource, site), assumed))
    if given is not unasked:
        answer = inference_service.compose(resource, site, given)
    if assumed == "served":
        _, answer = healthy.settled(resource, site, given)
    pods = cluster.pods(resource.namespace, resource.name)
    if not (given.resources or alive is not None or pods):
        answer = _with_guarded(resource, site, given, answer)
        return Rendered(
            *(source, resource, answer, answer, {}, frozenset(), None, None, False),
            looks=lambda _: False,
        )
    compared = _compared(source, resource, site, cluster, given, answer, alive)
    return compared if assumed != "served" else dataclasses.replace(compared, likely=answer)


def _with_guarded(
    resource: claim.InferenceService,
    site: settings.Settings,
    given: observed.Observed,
    answer: composition.Composition,
) -> composition.Composition:
    """Returns the answer for a claim, with the objects that follow once its policies are there.

    Pods that begin wait for their network policies, which takes a moment; who reads what a claim
    becomes wants to see the pods. What the answer says of the claim stays as it is.
    """

    def policy(manifest: dict[str, Any]) -> bool:
        return manifest["kind"] in _POLICIES

    _, guarded = healthy.settled(resource, site, given, policy, answer)
    return dataclasses.replace(answer, resources={**guarded.resources, **answer.resources})


_POLICIES = (kinds.CILIUM_POLICY.name, kinds.NETWORK_POLICY.name)


def planned(document: dict[str, Any], site: settings.Settings) -> plans.Plan | None:
    """Returns a claim, planned, or None for one that cannot be used."""
    try:
        return _plan(parse(document), site)
    except base.InvalidError:
        return None


def served(
    source: documents.Source, resource: claim.InferenceService, site: settings.Settings
) -> observed.Observed:
    """Returns the world of a claim that serves, before any object is filled in.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    return _assuming(alone(source, resource), _assumption(_plan(resource, site), "served"))


def alone(source: documents.Source, resource: claim.InferenceService) -> observed.Observed:
    """Returns the world of a claim of which nobody looked at more than its own document."""
    return _observed(resource, source.document, None, snapshot.Snapshot())


def parse(document: dict[str, Any]) -> claim.InferenceService:
    """Returns a claim.

    Raises:
        base.InvalidError: It breaks its schema or its rules; fields that do not exist come with
            what was probably meant.
    """
    try:
        return base.parse(claim.InferenceService, document, what="claim")
    except base.InvalidError as error:
        hinted = suggestions.hinted(error, claim.InferenceService, document)
        raise base.InvalidError(error.what, hinted) from None


def _compared(
    source: documents.Source,
    resource: claim.InferenceService,
    site: settings.Settings,
    cluster: snapshot.Snapshot,
    given: observed.Observed,
    answer: composition.Composition,
    alive: dict[str, Any] | None,
) -> Rendered:
    """Returns a claim that lives already, beside what it is so far."""

    def looks(kind: str) -> bool:
        return cluster.looked_at(kind, resource.namespace)

    lives = live(alive)
    first: composition.Composition | None = answer
    if not given.status and not looks(claim.KIND):
        # Whoever has a Deployment had weights; whether these are the wanted ones nobody looked.
        given, first = _assuming(given, _assumption(_plan(resource, site), "verified")), None
    edited = lives is not None and _wishes(lives) != _wishes(resource)

    def settled(
        asked: claim.InferenceService, start: composition.Composition | None
    ) -> tuple[observed.Observed, composition.Composition]:
        count = None if lives is None else _replicas(lives.status)
        return healthy.settled(
            asked, site, given, lambda manifest: not looks(manifest["kind"]), start, count
        )

    if lives is not None and edited:
        try:
            whole, composed = settled(lives, None)
        except base.InvalidError:
            # What lives is refused by these settings: nothing is known of what it would become.
            lives, edited = None, False
    if not edited:
        whole, composed = settled(resource, first)
    likely, before, dropped = composed, given.resources, None
    if edited:
        edit = inference_service.compose(resource, site, whole)
        likely = _with_guarded(resource, site, whole, edit)
    if lives is not None:
        # What goes with an edit: the function's answer for the claim as it lives, without it.
        before = whole.resources
        dropped = {key: one.manifest for key, one in composed.resources.items()}
    unseen = frozenset(before.keys() - given.resources.keys())
    return Rendered(
        *(source, resource, answer, likely, dict(before), unseen, dropped, lives, True),
        looks=looks,
    )


def _replicas(status: dict[str, Any]) -> tuple[int, int] | None:
    """Returns how many replicas a claim's status says are available and wanted, or None."""
    count = re.fullmatch(r"(\d+)/(\d+)", str(status.get("replicas")))
    return None if count is None else (int(count[1]), int(count[2]))


def _wishes(resource: claim.InferenceService) -> tuple[claim.Spec, str | None]:
    """Returns what of a claim its objects follow from."""
    return resource.spec, resource.metadata.annotations.get(rollouts.ACCEPT_ANNOTATION)


def live(alive: dict[str, Any] | None) -> claim.InferenceService | None:
    """Returns the claim as it lives in the cluster, where this function can use it."""
    if alive is None:
        return None
    try:
        return base.parse(claim.InferenceService, alive, what="claim")
    except base.InvalidError:
        return None


def _observed(
    resource: claim.InferenceService,
    document: dict[str, Any],
    alive: dict[str, Any] | None,
    cluster: snapshot.Snapshot,
) -> observed.Observed:
    """Returns what the function would be told; a claim from git has its status in the cluster."""
    status = document.get("status") or (alive or {}).get("status") or {}
    return observed.Observed(
        name=resource.name,
        resources=cluster.composed(resource.namespace, resource.name),
        conditions=observed.conditions(status),
        status=status,
        required={pods.REQUIREMENT: cluster.pods(resource.namespace, resource.name)},
        can_read=True,
    )


def _answered(
    answer: composition.Composition, given: observed.Observed, cluster: snapshot.Snapshot
) -> observed.Observed:
    """Returns what was observed, with the other routes that bear the claim's model names.

    Core asks for them too. Of routes that nobody looked at there are none.
    """
    asked = {
        name: selector
        for name, selector in answer.questions.resources.items()
        if name.startswith(rivals.REQUIREMENT)
    }
    there = {name: cluster.bearing(one.kind, one.labels) for name, one in asked.items()}
    return dataclasses.replace(given, required={**given.required, **there}) if asked else given


def _assuming(given: observed.Observed, assumption: dict[str, Any]) -> observed.Observed:
    return dataclasses.replace(given, status={**given.status, **assumption})


def _plan(resource: claim.InferenceService, site: settings.Settings) -> plans.Plan:
    return plans.make(resource, site, checkpoints.Facts())


def _assumption(plan: plans.Plan, assumed: Assumption) -> dict[str, Any]:
    """Returns the status that a claim has once its weights are verified, or once it served."""
    status: dict[str, Any] = {
        "weights": {
            "generation": plan.storage.generation,
            "verified": [{"directory": name} for name in plan.storage.wanted],
            "cacheDirectory": batches.cache_directory(plan),
        }
    }
    if assumed == "served":
        status["latches"] = {"routePublished": True, "scaledByAutoscaler": True}
    return status


def notes(rendered: Rendered) -> Iterator[str]:
    """Yields what a person should know that fails nothing."""
    for condition in rendered.answer.conditions:
        if condition.reason == NOT_PROVIDED:
            yield condition.message
    for why in rendered.answer.explanations:
        if why.surprising:
            yield why.rule
    yield from map(str, addresses(rendered.resource.spec))


NOT_PROVIDED = "NotProvided"


def addresses(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields the repositories that begin with the hub's host, with what is wrong."""
    fields = [
        ("spec.model.repository", spec.model.repository),
        *(
            (f"spec.loraAdapters[{number}].repository", adapter.repository)
            for number, adapter in enumerate(spec.lora_adapters or [])
        ),
    ]
    for path, repository in fields:
        words = suggestions.address_note(path, repository)
        if words is not None:
            yield base.Problem(path, words)


def documents_of(rendered: Rendered | Plain) -> list[dict[str, Any]]:
    """Returns the claim's status and the composed objects, as Crossplane would show them.

    In the order of `crossplane composition render`: the claim, then the objects by key, each with
    the annotation and the label that core adds.
    """
    source, answer = rendered.source, rendered.answer
    claimed = {
        "apiVersion": source.document["apiVersion"],
        "kind": source.document["kind"],
        "metadata": {"name": source.name, "namespace": source.namespace},
        "status": {
            **answer.status,
            "conditions": [
                {k: v for k, v in dataclasses.asdict(condition).items() if v != ""}
                for condition in answer.conditions
            ],
        },
    }
    return [claimed] + [
        _keyed(key, source.name, answer.resources[key].manifest) for key in sorted(answer.resources)
    ]


def _keyed(key: str, composite: str, manifest: dict[str, Any]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    labels = {**metadata.get("labels", {}), snapshot.COMPOSITE_LABEL: composite}
    annotations = {**metadata.get("annotations", {}), snapshot.KEY_ANNOTATION: key}
    return {**manifest, "metadata": {**metadata, "labels": labels, "annotations": annotations}}
