"""Which pod template the workload runs: the one that claim and settings ask for, or the last one.

Nothing restarts by surprise. An annotation of the workload keeps the template that was emitted
last, with a hash of the part of the claim that it came from. The PodDisruptionBudget carries a
second copy: when somebody deletes the workload, it is created again from there.

A new template is taken when the author changed that part of the claim and the new weights are
verified. A change of the platform alone (a function version, the settings) waits for the author,
unless the settings say `Immediate` or no pod of the claim has served yet.
"""

import dataclasses
import functools

from function import canonical, memo
from function.api import base
from function.boundary import templates
from function.cluster import memory, observed
from function.engines import engines
from function.planning import identity, misfits, plans, running
from function.situation import guards, ledgers, renderings
from function.workloads import pods, workload

ACCEPT_ANNOTATION = f"{identity.DOMAIN}/accept"


@dataclasses.dataclass(frozen=True)
class Hold:
    """Why the last template is kept.

    Attributes:
        reason: WeightsPending, PlatformChangePending, or the reason of a misfit.
        message: In words.
        fields: Fields of the template that would change.
    """

    reason: str
    message: str
    fields: tuple[str, ...]


WEIGHTS_PENDING = "WeightsPending"
PLATFORM_CHANGE = "PlatformChangePending"


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The template to emit, and how far pods have followed it.

    Attributes:
        template: The pod template, or None while the workload is withheld.
        annotations: What the workload remembers.
        budget_annotations: What the budget remembers; while the workload is withheld, of the last
            template that was emitted, or nothing.
        hold: Why it is not the one that was rendered, or None.
        wanted: The template that claim and settings ask for now, emitted or not.
        restarts: Fields of the template that differ from the one that runs; pods restart.
        applied: True when the observed workload already carries the template.
        running: What the pods of the template are; what they would be, while there is none.
        state: The observed workload, or None.
        reported_serving: True when the claim already says that a replica serves.
        last: The template that was emitted before this answer, where it is not the one that claim
            and settings ask for; else None.
    """

    template: identity.Manifest | None
    annotations: dict[str, str]
    budget_annotations: dict[str, str]
    hold: Hold | None
    wanted: identity.Manifest
    restarts: tuple[str, ...]
    applied: bool
    running: running.Running
    state: workload.State | None
    reported_serving: bool
    last: "Last | None" = None

    @property
    def serves(self) -> bool:
        """Whether a replica is available, of whatever template."""
        return self.state is not None and self.state.serves

    @property
    def rolls(self) -> bool:
        """Whether pods are still moving to the template."""
        return self.state is not None and not (self.applied and self.state.settled)

    @property
    def followed(self) -> bool:
        """Whether every pod that exists follows the template, held or not."""
        return self.applied and self.state is not None and self.state.settled

    @property
    def current(self) -> bool:
        """Whether every pod that exists follows the claim as it is."""
        return self.hold is None and self.followed


def rollout(
    plan: plans.Plan,
    weights: ledgers.Ledger,
    guard: guards.Guards,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Rollout:
    """Returns the template to emit, and how far pods have followed it.

    Args:
        plan: The plan.
        weights: Which weights are verified.
        guard: What new pods wait for.
        remembered: What the claim's status remembers.
        world: What the cluster reports.
    """
    keeper, budget = world.get(plan.workload.SUFFIX), world.get("pdb")
    state = plan.workload.state(keeper)
    served = remembered.serving is not None or (state is not None and (state.serves or state.ran))
    wanted = renderings.rendered(plan)
    fresh = _fresh(plan)
    carried = _carried(plan, keeper, fresh)
    chosen, last = fresh, None
    if carried != fresh.text:
        last = _last(plan, keeper, budget)
        chosen = _choose(
            plan,
            fresh,
            last,
            carried,
            verified=weights.verified,
            guarded=guard.serving is None,
            served=served,
        )
    reported = world.conditions.get("EngineReady")
    return Rollout(
        template=chosen.template if chosen.emitted else None,
        annotations=_annotations(chosen, keeper),
        budget_annotations=_annotations(chosen, budget),
        hold=chosen.hold,
        wanted=wanted,
        restarts=chosen.restarts,
        applied=keeper is not None and carried == chosen.text,
        running=chosen.facts if chosen.emitted else plan.running,
        state=state,
        reported_serving=state is not None
        and state.serves
        and reported is not None
        and reported.reason == "Serving",
        last=last,
    )


@dataclasses.dataclass(frozen=True)
class _Choice:
    """A template, and why it is this one.

    Attributes:
        template: The template, or None where there is none to remember.
        text: The template's canonical JSON, or empty where there is none.
        claim_hash: Hash of the part of the claim that it came from.
        facts: What its pods are.
        emitted: False while the workload is withheld.
        hold: Why it is not the one that was rendered, or None.
        restarts: Fields of it that differ from the template that runs.
    """

    template: identity.Manifest | None
    text: str
    claim_hash: str
    facts: running.Running
    emitted: bool = True
    hold: Hold | None = None
    restarts: tuple[str, ...] = ()

    @functools.cached_property
    def facts_text(self) -> str:
        """The facts as canonical JSON."""
        return self.facts.dumps()


@memo.per_plan
def _fresh(plan: plans.Plan) -> _Choice:
    """Returns the choice of the rendered template."""
    wanted = renderings.rendered(plan)
    return _Choice(
        wanted,
        renderings.rendered_text(plan),
        renderings.claim_hash(plan),
        renderings.facts(plan, wanted),
    )


def _choose(
    plan: plans.Plan,
    fresh: "_Choice",
    last: "Last | None",
    carried: str | None,
    *,
    verified: bool,
    guarded: bool,
    served: bool,
) -> _Choice:
    """Returns the template.

    Args:
        plan: The plan.
        fresh: The template that claim and settings ask for now.
        last: The template that was emitted last, or None.
        carried: Canonical JSON of the template that the observed workload carries, or None where
            there is no workload.
        verified: Whether the weights that the plan needs are verified.
        guarded: Whether the policies of new pods are there and valid.
        served: Whether a pod of the claim served at any time, as far as is known.
    """
    wanted, now = renderings.rendered(plan), fresh.claim_hash
    stopped = plan.suspended or plan.misfit is not None
    if carried is None and last is None:
        born = verified and guarded and not stopped
        return fresh if born else _Choice(None, "", now, plan.running, emitted=False)
    if last is None:
        return fresh
    kept = _Choice(last.template, last.text, last.claim_hash or now, last.facts)
    if carried is None and (stopped or not guarded):
        return dataclasses.replace(kept, emitted=False)
    changed = tuple(canonical.differences(last.template, wanted))
    if changed and _as_labelled(wanted, last, fresh.facts) == last.template:
        # Who pays is no reason to start pods again: they get its labels with their next template.
        facts = fresh.facts.model_copy(update={"payers": last.facts.payers})
        return dataclasses.replace(kept, claim_hash=now, facts=facts)
    # A template without a hash is 0.9.0's, which served: the claim of today counts as its origin.
    platforms = last.claim_hash is None or (last.claim_hash == now and served)
    hold = _hold(plan, wanted, changed, verified, platforms) if changed else None
    if hold is None:
        return dataclasses.replace(fresh, restarts=changed)
    return dataclasses.replace(kept, hold=hold)


def _as_labelled(
    wanted: identity.Manifest, last: "Last", facts: running.Running
) -> identity.Manifest:
    """Returns a template with the labels of payers that the last one has."""
    before = observed.at(last.template, "metadata", "labels") or {}
    keys = {*facts.payers, *last.facts.payers}
    written = observed.at(wanted, "metadata", "labels") or {}
    labels = {key: value for key, value in written.items() if key not in keys}
    labels |= {key: before[key] for key in keys if key in before}
    return {**wanted, "metadata": {**wanted["metadata"], "labels": labels}}


def _hold(
    plan: plans.Plan,
    wanted: identity.Manifest,
    changed: tuple[str, ...],
    verified: bool,
    platforms: bool,
) -> Hold | None:
    fields = ", ".join(changed[:6]) + (", ..." if len(changed) > 6 else "")
    misfit = plan.misfit
    # Nobody waits for weights that are of no use.
    too_large = misfit is not None and misfit.reason == misfits.TOO_LARGE
    if not verified and not too_large:
        return Hold(
            WEIGHTS_PENDING,
            "the running pods keep their template until the new weights are verified",
            changed,
        )
    if misfit is not None:
        words = f"the running pods keep their template: {misfit.message}"
        return Hold(misfit.reason, words, changed)
    if not platforms or plan.site.rollout.platform_changes == "Immediate":
        return None
    token = canonical.digest(wanted, 8)
    if plan.resource.metadata.annotations.get(ACCEPT_ANNOTATION) == token:
        return None
    return Hold(
        PLATFORM_CHANGE,
        f"the platform changed {fields}; pods keep their template until a field that they follow"
        f" from is edited, or the claim is annotated {ACCEPT_ANNOTATION}={token}",
        changed,
    )


# --- what is remembered


@dataclasses.dataclass(frozen=True)
class Last:
    """The template that was emitted last, as the cluster remembers it.

    Attributes:
        template: The template.
        claim_hash: Hash of the part of the claim that it came from, or None of 0.9.0's.
        facts: What its pods are.
    """

    template: identity.Manifest
    claim_hash: str | None
    facts: running.Running

    @property
    def text(self) -> str:
        """The template's canonical JSON."""
        return canonical.dumps(self.template)


def _last(
    plan: plans.Plan, keeper: observed.Object | None, budget: observed.Object | None
) -> Last | None:
    """Returns the template that was emitted last.

    Without our annotation on either the observed template is the last one: 0.9.0's, or one whose
    annotations somebody removed or wrote over.
    """
    remembered = templates.remembered((keeper, budget), plan.identity.labels())
    if remembered is not None:
        _same_engine(plan, remembered.template)
        mark = observed.at(remembered.annotations, identity.CLAIM_ANNOTATION)
        facts = running.loads(observed.at(remembered.annotations, identity.FACTS_ANNOTATION))
        facts = facts or _bare(renderings.read(plan, remembered.template))
        if (facts.pods > 1) is not plan.hardware.split.spans:
            # It is another workload's: `succession` says when one may take the other's place.
            return None
        return Last(
            remembered.template,
            mark if isinstance(mark, str) else None,
            facts,
        )
    if keeper is None:
        return None
    template = canonical.plain(plan.workload.template(keeper))
    _same_engine(plan, template)
    return Last(template, None, _bare(renderings.read(plan, template)))


def _same_engine(plan: plans.Plan, template: observed.Object) -> None:
    """Looks that pods which run have the claim's engine: all that surrounds them follows it.

    Raises:
        base.InvalidError: They have another.
    """
    for other in engines.ENGINES.values():
        if other.NAME == plan.engine.NAME or not pods.engine_container(template, other.CONTAINER):
            continue
        words = (
            f"the claim's pods are of {other.NAME}, and no claim changes from one engine to"
            f" another: set {other.NAME}, or make another claim for {plan.engine.NAME}"
        )
        raise base.InvalidError("claim", [base.Problem("spec.engine.kind", words)])


def _bare(facts: running.Running) -> running.Running:
    """Returns facts that no template was written with.

    Nobody knows then which labels say who pays, and which model is in the directory that is read.
    """
    return facts.model_copy(update={"payers": (), "model": ""})


def _carried(plan: plans.Plan, keeper: observed.Object | None, fresh: _Choice) -> str | None:
    """Returns canonical JSON of the template that the observed workload carries, or None."""
    if keeper is None:
        return None
    text = observed.at(keeper, "metadata", "annotations", identity.TEMPLATE_ANNOTATION)
    if text == fresh.text or templates.loads(text, plan.identity.labels()) is not None:
        return str(text)
    return canonical.dumps(canonical.plain(plan.workload.template(keeper)))


def _annotations(chosen: _Choice, owner: observed.Object | None) -> dict[str, str]:
    """Returns what an object remembers of the template.

    The facts are written together with a template. They are not added to a template that was
    written without them: an upgrade of the function must change no object of a claim at rest. The
    facts of such a template are read from the template itself. A fact that the release did
    not know which wrote them is not added either.
    """
    if chosen.template is None:
        return {}
    remembers = {
        identity.TEMPLATE_ANNOTATION: chosen.text,
        identity.CLAIM_ANNOTATION: chosen.claim_hash,
    }
    before = observed.at(owner, "metadata", "annotations")
    same = observed.at(before, identity.TEMPLATE_ANNOTATION) == chosen.text
    written = observed.at(before, identity.FACTS_ANNOTATION)
    if not same or written is not None:
        knew = running.loads(written) if same and written != chosen.facts_text else None
        older = knew is not None and not knew.model
        facts = chosen.facts.model_copy(update={"model": ""}) if older else chosen.facts
        remembers[identity.FACTS_ANNOTATION] = facts.dumps() if older else chosen.facts_text
    return remembers
