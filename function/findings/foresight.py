"""Whether a planned claim fits its GPUs, and whether its triggers can fire."""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from function import canonical
from function.api import base, claim_scaling, settings, settings_engine
from function.capacity import loads, prices, thresholds
from function.concerns import capacity
from function.engines import advisers, engine
from function.findings import rules
from function.planning import forecasts, misfits, plans, prospects

_ERROR, _WARNING, _NOTE = rules.Severity

DOES_NOT_FIT = rules.Rule(
    "does-not-fit",
    _ERROR,
    "The model does not fit into the memory of its GPUs, even at the optimistic end of the"
    " estimate.",
    "No GPU is asked for: the engine would end as it starts. With `fit: Ignore` it is asked for all"
    " the same, and the finding is a warning.",
    "Take one of the ways out that the message names, the cheapest first.",
)
FITS_TIGHTLY = rules.Rule(
    "fits-tightly",
    _WARNING,
    "The model fits its GPUs, or does not: the error of the estimate decides.",
    "Pods are started, and the engine may end as it starts, or hold few sequences.",
    "Take the smaller `spec.gpu.memoryUtilization` where the message names one. Else watch the"
    " first start, or take a smaller `spec.model.contextWindow`, `spec.model.kvCacheDtype: fp8` or"
    " another `spec.gpu.class`.",
)
MODEL_UNKNOWN = rules.Rule(
    "model-unknown",
    _NOTE,
    "Nothing is known of the memory that the model takes.",
    "Nobody can tell whether it fits before a GPU is rented.",
    "Give its facts, as `inference-service facts` prints them, to `spec.model.facts` or to the"
    " settings' `capacity.models`.",
)
GPU_UNKNOWN = rules.Rule(
    "gpu-unknown",
    _NOTE,
    "The settings do not say what GPU the claim's class has.",
    "Nobody can tell whether the model fits before a GPU is rented.",
    "Set `gpu.classes.<class>.product` or `memoryGiB` in the settings.",
)
ENGINE_UNMEASURED = rules.Rule(
    "engine-unmeasured",
    _NOTE,
    "Nobody measured what the claim's engine takes of a GPU's memory.",
    "Nobody can tell whether the model fits before a GPU is rented.",
    "Watch the first start. A model whose weights in 16 bits take half of the GPU's memory is a"
    " cautious choice.",
)
EXCEEDS_GPU_CLASS = rules.Rule(
    "exceeds-gpu-class",
    _ERROR,
    "A replica asks for more GPUs, CPU or memory than a node of its GPU class has.",
    "No node could ever run it: no pod is asked for.",
    "Ask for less, or take another `spec.gpu.class`.",
)
SLICES = rules.Rule(
    "mig-slices",
    _ERROR,
    "A replica asks for several slices of GPUs (MIG).",
    "A process sees one slice, however many its pod has: the engine finds fewer GPUs than it is to"
    " share the model among, and ends.",
    "Take `spec.gpu.count: 1` with a larger slice, or a class of whole GPUs.",
)
EXCEEDS_NODE_POOL = rules.Rule(
    "exceeds-node-pool",
    _ERROR,
    "The claims ask for more GPUs of a class than its node pools have, even at their least"
    " replicas.",
    "Some replicas stay pending for good, and nobody can tell whose.",
    "Enlarge the node pool and `gpu.classes.<class>.poolGpus` in the settings, lower"
    " `spec.scaling.minReplicas`, or suspend a claim.",
)
CLASS_NOT_PLACED = rules.Rule(
    "class-not-placed",
    _WARNING,
    "Two GPU classes of the settings differ in product, memory or price, and not in what places"
    " pods: resource name, `nodeSelector`, `tolerations` and `runtimeClassName`.",
    "A pod of the one class may start on the GPUs of the other: with less memory the engine ends,"
    " and fit, speed and price are told of GPUs that the pod does not have.",
    "Give each class the labels of its nodes: `gpu.classes.<class>.nodeSelector` in the settings.",
)
NO_TOKEN = rules.Rule(
    "gated-without-token",
    _ERROR,
    "The model is gated, and the claim gives the download no token.",
    "The hub answers 401 or 403, the download fails, and no replica starts.",
    "Accept the licence on the model's page, and name a Secret with a token in"
    " `spec.model.tokenSecretRef`.",
)
CONTEXT_CUT = rules.Rule(
    "context-cut",
    _NOTE,
    "The claim names no context window, and the one that follows is shorter than the model's own,"
    " or than the one that a yarn of `--hf-overrides` makes.",
    "The GPUs' memory does not hold enough sequences of the model's whole context, or nobody knows"
    " the GPU: longer requests are refused.",
    "Name `spec.model.contextWindow` when the model's own is needed, or take more memory.",
)
PROMPT_EXCEEDS_GATEWAY = rules.Rule(
    "prompt-exceeds-gateway",
    _WARNING,
    "A prompt that fills the context window is larger than what the AI gateway holds of a request.",
    "The gateway reads the model's name out of the body, and answers a larger one with 413. Where"
    " the settings do not say what it holds, the finding is a note.",
    "Raise `connection.bufferLimit` in the ClientTrafficPolicy of the Gateway, and say so in the"
    " settings' `gateway.bufferMiB`.",
)
TRIGGER_NEVER_FIRES = rules.Rule(
    "trigger-never-fires",
    _WARNING,
    "A scaling trigger whose target the author names can never fire for this model on these GPUs,"
    " or none of the claim's triggers fires for requests of a chat.",
    "The claim does not scale by it, whatever the load.",
    "Lower the target, or leave it out: the default follows the model.",
)
RULES = (
    DOES_NOT_FIT,
    FITS_TIGHTLY,
    EXCEEDS_GPU_CLASS,
    SLICES,
    EXCEEDS_NODE_POOL,
    CLASS_NOT_PLACED,
    MODEL_UNKNOWN,
    GPU_UNKNOWN,
    ENGINE_UNMEASURED,
    NO_TOKEN,
    CONTEXT_CUT,
    PROMPT_EXCEEDS_GATEWAY,
    TRIGGER_NEVER_FIRES,
)

_OF_FITS = {
    capacity.Fits.TOO_LARGE.reason.name: DOES_NOT_FIT,
    capacity.Fits.TIGHT.reason.name: FITS_TIGHTLY,
    capacity.Fits.UNKNOWN_MODEL.reason.name: MODEL_UNKNOWN,
    capacity.Fits.UNKNOWN_CARD.reason.name: GPU_UNKNOWN,
    capacity.Fits.NOT_MEASURED.reason.name: ENGINE_UNMEASURED,
}
# A replica whose cache holds so many tokens never waits for it.
_ENDLESS = 1e12


def judge(plan: plans.Plan) -> Iterator[rules.Finding]:
    """Yields what is to be known of a claim before its GPUs are rented."""
    yield from _fits(plan)
    yield from _exceeds(plan)
    yield from _slices(plan)
    yield from _token(plan)
    yield from _context(plan)
    yield from _body(plan)
    yield from _triggers(plan)


def crowded(
    fleet: Sequence[plans.Plan], stored: Sequence[Collection[str]], site: settings.Settings
) -> list[rules.Finding | None]:
    """Returns for each claim whether all of them ask its node pool for more than it ever has.

    Args:
        fleet: The claims.
        stored: Of each the directories of weights that lie on the volume.
        site: The settings.
    """
    asked = [forecasts.asked(plan, stored=there) for plan, there in zip(fleet, stored, strict=True)]
    shortages = prices.fleet(asked, site).shortages
    full = {one.what: one.sentence for one in shortages if one.pool and one.lasting}
    return [
        EXCEEDS_NODE_POOL.broken("spec.gpu" if plan.spec.gpu else "spec", full[one.class_name])
        if one.class_name in full and one.gpus * one.minimum > 0
        else None
        for plan, one in zip(fleet, asked, strict=True)
    ]


def unplaced(fleet: Sequence[plans.Plan], site: settings.Settings) -> list[str]:
    """Returns the classes that claims name and nothing tells from others when pods are placed.

    A claim may place its pods itself, and what admits a queued claim may.
    """
    named = {plan.hardware.class_name for plan in fleet if not _places(plan)}
    return [name for name in sorted(named & site.gpu.classes.keys()) if _alike(name, site)]


def not_placed(names: Sequence[str], site: settings.Settings) -> rules.Finding:
    """Returns what is wrong with classes of `unplaced`, in one finding."""
    groups = dict.fromkeys(tuple(_together(name, site)) for name in names)
    label = site.gpu.classes[names[0]].product or "that its nodes have"
    words = (
        f"nothing places pods of {' or of '.join(map(_listed, groups))} on their own GPUs: the"
        " classes have the same resource, nodeSelector, tolerations and runtimeClassName; give each"
        f" the labels of its nodes, such as nvidia.com/gpu.product: {label}"
    )
    single = len(names) == 1
    return CLASS_NOT_PLACED.broken(f"gpu.classes.{names[0]}" if single else "gpu.classes", words)


# Classes that a message lists before it only counts.
_MOST_CLASSES = 12


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_CLASSES
    return ", ".join(names[:_MOST_CLASSES]) + (f" and {more} more" if more > 0 else "")


def _alike(name: str, site: settings.Settings) -> bool:
    """Tells whether pods of a class are placed as those of a class of other GPUs."""
    classes = site.gpu.classes
    return len({_bought(classes[other]) for other in _together(name, site)}) > 1


def _together(name: str, site: settings.Settings) -> list[str]:
    """Returns the classes whose pods are placed as those of a class, itself included."""
    own = _placement(site.gpu.classes[name])
    return [other for other, gpu in sorted(site.gpu.classes.items()) if _placement(gpu) == own]


def _places(plan: plans.Plan) -> bool:
    """Tells whether somebody else than the GPU class decides where the pods run."""
    extra = plan.spec.pod_template
    own = extra is not None and bool(extra.node_selector or extra.affinity)
    queued = base.of(plan.spec.scheduling, "queue") is not None
    return own or queued or plan.hardware.priced_as != plan.hardware.class_name


def _placement(gpu: settings_engine.GpuClass) -> tuple[Any, ...]:
    tolerations = sorted(map(canonical.dumps, gpu.tolerations))
    return gpu.resource_name, gpu.node_selector, tolerations, gpu.runtime_class_name


def _bought(gpu: settings_engine.GpuClass) -> tuple[Any, ...]:
    return gpu.product, gpu.memory_gi_b, gpu.price_per_hour


def _fits(plan: plans.Plan) -> Iterator[rules.Finding]:
    condition = capacity.fits(plan)
    rule = _OF_FITS.get(condition.reason)
    if rule is None:
        return
    field = "spec.model" if plan.spec.gpu is None else "spec.gpu"
    if rule is MODEL_UNKNOWN:
        field = f"spec.model.{plan.spec.model.naming}"
    if rule is GPU_UNKNOWN:
        field = "spec.gpu.class"
    overruled = rule is DOES_NOT_FIT and plan.misfit is None
    yield rule.broken(field, condition.message, _WARNING if overruled else None)


def _exceeds(plan: plans.Plan) -> Iterator[rules.Finding]:
    if plan.misfit is None or plan.misfit.reason != misfits.EXCEEDS_CLASS:
        return
    hard = plan.hardware
    field = "spec.gpu.count" if hard.count > hard.gpu.node_gpus else "spec.resources.requests"
    yield EXCEEDS_GPU_CLASS.broken(field, plan.misfit.message)


def _slices(plan: plans.Plan) -> Iterator[rules.Finding]:
    hard = plan.hardware
    if hard.count > 1 and hard.sliced:
        words = f"{hard.count} slices of GPUs ({hard.resource_name}) make no larger one: a process"
        words += " sees one of them; take count 1 and a larger slice, or a class of whole GPUs"
        yield SLICES.broken("spec.gpu.count", words)


def _token(plan: plans.Plan) -> Iterator[rules.Finding]:
    spec = plan.spec
    if not prospects.withheld(spec, plan.prospect.model):
        return
    name = spec.model.repository
    words = f"{name} is gated: accept its licence, and name a Secret with a hub token"
    yield NO_TOKEN.broken("spec.model.tokenSecretRef", words)


def _context(plan: plans.Plan) -> Iterator[rules.Finding]:
    outlook, window = plan.serving.outlook, plan.serving.context_window
    if window is None or plan.spec.model.context_window is not None:
        return
    model = None if outlook is None else outlook.prospect.model
    if capacity.fits(plan).reason == capacity.Fits.TOO_LARGE.reason.name:
        return  # The ways out name a context.
    if model is None:
        return
    stretch = advisers.of(plan.engine).stretched(plan.spec)
    longest = model.context if stretch is None else max(model.context, stretch.tokens)
    if window < longest and outlook is not None:
        measured = outlook is not None and outlook.fit is not None
        follows = "follow from the GPUs' memory" if measured else "are taken for an unknown GPU"
        if window == model.context:
            follows = "follow from the model's own context"
        made = f"{model.name} is made for {longest}"
        if stretch is not None and longest == stretch.tokens:
            made = f"{stretch.words} makes {longest}"
        words = f"{window} tokens {follows}, and {made}"
        words += ": name the field when requests are longer"
        yield CONTEXT_CUT.broken("spec.model.contextWindow", words)


# Bytes of a body for each token: about four letters of English, and what JSON adds.
_TOKEN_BYTES = 5
# What Envoy Gateway gives a connection where no policy says more.
_ENVOYS_KIB = 32


def _body(plan: plans.Plan) -> Iterator[rules.Finding]:
    window, buffer = plan.serving.context_window, plan.site.gateway.buffer_mi_b
    if not plan.ways.gateway or window is None:
        return
    held = _ENVOYS_KIB if buffer is None else buffer * 1024
    longest = window * _TOKEN_BYTES // 1024
    if longest <= held:
        return
    words = (
        f"a prompt of {window} tokens takes about {longest} KiB, and the AI gateway"
        f" holds {held}: a larger request gets 413; raise connection.bufferLimit of the Gateway's"
        " ClientTrafficPolicy, and the settings' gateway.bufferMiB"
    )
    severity = _NOTE if buffer is None else None
    yield PROMPT_EXCEEDS_GATEWAY.broken("spec.model.contextWindow", words, severity)


# --- triggers


def _triggers(plan: plans.Plan) -> Iterator[rules.Finding]:
    """Yields the triggers that never fire at either end of the estimate."""
    scale, outlook = plan.scaling, plan.serving.outlook
    scales = scale.maximum > max(scale.minimum, 1) and plan.site.providers.autoscaler != "none"
    if not scales or outlook is None:
        return
    usual = loads.WORKLOADS[loads.USUAL]
    low, high = (
        forecasts.binding(plan, outlook.flags, tokens, usual) for tokens in _cache(outlook, usual)
    )
    if low.first is None and high.first is None:
        words = f"no trigger fires for {loads.USUAL} requests of {usual.tokens:.0f} tokens, and the"
        words += f" claim stays at {scale.minimum} of {scale.maximum} replicas: {_why(high)}"
        yield TRIGGER_NEVER_FIRES.broken("spec.scaling.triggers", words)
        return
    for verdict in high.verdicts:
        field = _field(plan.spec.scaling, verdict.trigger)
        if verdict.trigger in {*low.never} & {*high.never} and field is not None:
            words = f"the trigger {verdict.trigger} can never fire: {verdict.why}"
            yield TRIGGER_NEVER_FIRES.broken(field, f"{words}: lower the target or leave it out")


def _cache(outlook: engine.Outlook, usual: loads.Workload) -> tuple[float, float]:
    """Returns the least and the most tokens that the KV cache of a replica holds."""
    least = usual.held(outlook.flags.context)
    if outlook.fit is None or not math.isfinite(outlook.fit.tokens.high):
        return least, _ENDLESS
    tokens = outlook.fit.tokens
    return max(tokens.low, least), max(tokens.high, least)


def _why(binding: thresholds.Binding) -> str:
    return "; ".join(f"{verdict.trigger}: {verdict.why}" for verdict in binding.verdicts)


# The trigger's attribute in `spec.scaling.triggers`, and the field that 0.9.0 had for its target.
_FIELDS = {
    thresholds.Trigger.RUNNING: ("running", "running_ratio_threshold", "runningRatioThreshold"),
    thresholds.Trigger.CACHE: (
        "kv_cache",
        "cache_utilization_threshold",
        "cacheUtilizationThreshold",
    ),
    thresholds.Trigger.QUEUE: ("queue", "queue_length_threshold", "queueLengthThreshold"),
}


def _field(asked: claim_scaling.Scaling | None, trigger: thresholds.Trigger) -> str | None:
    """Returns the field in which the author names a trigger's target, or None."""
    if asked is None:
        return None
    name, old, path = _FIELDS[trigger]
    if getattr(getattr(asked.triggers, name, None), "target", None) is not None:
        return f"spec.scaling.triggers.{trigger}.target"
    return f"spec.scaling.{path}" if getattr(asked, old) is not None else None
