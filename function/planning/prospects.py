"""What is known of a claim's model and its GPUs before anything is rented."""

import dataclasses
import fnmatch
import functools

from function import canonical
from function.api import base, claim, settings, settings_engine
from function.capacity import cards, catalogue, facts, forms, weights
from function.cluster import checkpoints
from function.planning import hardware, parallelism, storage


@dataclasses.dataclass(frozen=True)
class Prospect:
    """What is known of a model and of the GPUs that it is to run on.

    Attributes:
        model: The facts of the model that the claim names, or None. What pods are started with
            follows from these: a manifest that is read later must not change it.
        checkpoint: The facts that the published manifest brings, or else the same as it corrects
            them; or None. Whether the model fits follows from these.
        card: One GPU, or None.
        gpus: GPUs that hold one copy of the model.
        reason: UnknownModel or UnknownCard where one of the two is not known, else empty.
        unknown: The same in words, with what makes it known.
    """

    model: facts.Facts | None
    checkpoint: facts.Facts | None
    card: cards.Card | None
    gpus: int
    reason: str = ""
    unknown: str = ""


UNKNOWN_MODEL = "UnknownModel"
UNKNOWN_CARD = "UnknownCard"


def prospect(
    spec: claim.Spec, site: settings.Settings, checkpoint: checkpoints.Checkpoint
) -> Prospect:
    """Returns what is known.

    Args:
        spec: What the author asks for.
        site: The settings.
        checkpoint: What the published manifest says of the weights.
    """
    stated = _stated(spec, site)
    model = _listed(spec) if stated is None else stated
    held, words = _held(model, spec, checkpoint, own=stated is None)
    class_name, gpu = hardware.gpu_class(spec, site)
    own = base.of(spec.gpu, "resource_name")
    # A part of a GPU, or another resource than the class names, is another card.
    card = card_of(class_name, gpu) if own in (None, gpu.resource_name) else None
    gpus = parallelism.split(spec).copy
    if held is None:
        return Prospect(model, None, card, gpus, UNKNOWN_MODEL, words)
    if card is None:
        words = _unknown_card(class_name, gpu, own)
        return Prospect(model, held, None, gpus, UNKNOWN_CARD, words)
    return Prospect(model, held, card, gpus)


def _unknown_card(class_name: str, gpu: settings_engine.GpuClass, own: str | None) -> str:
    """Returns why nobody knows a card, and what makes it known.

    Args:
        class_name: The claim's class.
        gpu: The class.
        own: The resource that the claim names itself, or None.
    """
    at = f"gpu.classes.{class_name}"
    if own not in (None, gpu.resource_name):
        return (
            f"the settings do not say what GPU the resource {own} is: make a class with"
            " resourceName and memoryGiB in the settings' gpu.classes, and name it in"
            " spec.gpu.class"
        )
    if gpu.product is None:
        return (
            f"the settings do not say what GPU class {class_name} is: set {at}.product, or"
            " memoryGiB"
        )
    if cards.sliced(gpu.product):
        return (
            f"{at}.product {gpu.product} is a part of a GPU, whose memory is not known by its"
            f" name: set {at}.memoryGiB"
        )
    near = " or ".join(cards.nearest(gpu.product))
    advice = f"the nearest known: {near}; correct it" if near else "correct it"
    return f"{at}.product {gpu.product} is no GPU that is known: {advice}, or set {at}.memoryGiB"


def withheld(spec: claim.Spec, model: facts.Facts | None) -> bool:
    """Tells whether the hub refuses a download: it asks for a licence, and nobody gives a token."""
    downloads = storage.preloads(spec) and storage.from_hub(spec.model)
    gated = model is not None and model.gated and downloads
    return gated and not (
        spec.model.token_secret_ref or spec.env_from_secrets or spec.external_secrets
    )


def size_gib(prospect: Prospect) -> float | None:
    """Returns GiB of the checkpoint that a replica reads at its start, or None where unknown.

    It follows from what the model is, and not from what was downloaded: a start budget that a
    finished download changed would change pods.
    """
    model = prospect.model
    if model is None:
        return None
    if model.quantization is None:
        return round(model.dtype_bytes * model.parameters / cards.GIB, 1)
    return round(weights.tensors(model, weights.Load()) / cards.GIB, 1)


def problems(spec: claim.Spec) -> list[base.Problem]:
    """Returns what is wrong with the facts that the claim states itself."""
    if spec.model.facts is None:
        return []
    try:
        forms.read(spec.model.facts)
    except forms.FormError as error:
        return [base.Problem("spec.model.facts", str(error))]
    return []


def _name(spec: claim.Spec) -> str:
    at = " on the volume" if spec.model.source == "pvc" else ""
    return spec.model.repository or f"{spec.model.place}{at}"


def _stated(spec: claim.Spec, site: settings.Settings) -> facts.Facts | None:
    """Returns what claim or settings say; of several patterns the longest counts."""
    if spec.model.facts is not None:
        return forms.read(spec.model.facts)
    repository, stated = spec.model.repository, site.capacity.models
    fitting = [
        pattern
        for pattern in stated
        if repository is not None and fnmatch.fnmatchcase(repository, pattern)
    ]
    if not fitting:
        return None
    return forms.read(stated[max(fitting, key=lambda one: (one == repository, len(one)))])


def _listed(spec: claim.Spec) -> facts.Facts | None:
    """Returns what the catalogue says."""
    return None if spec.model.repository is None else catalogue.lookup(spec.model.repository)


def _held(
    model: facts.Facts | None, spec: claim.Spec, checkpoint: checkpoints.Checkpoint, *, own: bool
) -> tuple[facts.Facts | None, str]:
    """Returns the facts of what lies on the volume, or why there are none.

    Args:
        model: The facts of the model that the claim names, or None.
        spec: What the author asks for.
        checkpoint: What the published manifest says of the weights.
        own: Whether the checkpoint's own facts count: nobody states others.
    """
    published = _published(checkpoint.facts) if own and checkpoint.facts is not None else None
    if published is not None:
        return dataclasses.replace(published, name=_name(spec)), ""
    if model is None:
        near = catalogue.nearest(spec.model.repository) if spec.model.repository else ()
        advice = f" (did you mean {' or '.join(near)}?)" if near else ""
        return None, (
            f"nothing is known of the memory that {_name(spec)} takes{advice}: `inference-service"
            " facts` writes what spec.model.facts or the settings' capacity.models take"
        )
    return _verified(model, _name(spec), checkpoint)


@functools.lru_cache(256)
def _published(form: str) -> facts.Facts | None:
    """Returns the facts that the status holds, or None where another release wrote the form."""
    try:
        return forms.read(canonical.loads(form))
    except forms.FormError:
        return None


def _verified(
    model: facts.Facts, name: str, checkpoint: checkpoints.Checkpoint
) -> tuple[facts.Facts | None, str]:
    """Returns the facts as the published manifest corrects them.

    A checkpoint of another architecture, or packed in another way, is another model: nothing is
    known of that one.
    """
    architecture = checkpoint.architecture
    if architecture is not None and architecture != model.architecture:
        return None, (
            f"the checkpoint of {name} is a {architecture}, and what is known of that name is a"
            f" {model.architecture}: state spec.model.facts"
        )
    expected = None if model.quantization is None else model.quantization.method
    if checkpoint.quantization is not None and checkpoint.quantization != expected:
        return None, (
            f"the checkpoint of {name} is packed as {checkpoint.quantization}, and what is known"
            f" of that name is {expected or 'not packed'}: state spec.model.facts"
        )
    if checkpoint.context is not None and not model.rope_scaling:
        model = dataclasses.replace(model, context=min(model.context, checkpoint.context))
    if checkpoint.bytes is not None:
        model = dataclasses.replace(model, checkpoint_bytes=checkpoint.bytes)
    return model, ""


def card_of(class_name: str, gpu: settings_engine.GpuClass) -> cards.Card | None:
    """Returns one GPU of a class, with the numbers that the class states itself, or None."""
    listed = None if gpu.product is None else cards.lookup(gpu.product)
    if listed is None and gpu.memory_gi_b is None:
        return None
    card = listed or cards.Card(gpu.product or class_name, 0, 0, 0, 0)
    return dataclasses.replace(
        card,
        memory_gib=float(base.given(gpu.memory_gi_b, card.memory_gib)),
        bandwidth_gb=float(base.given(gpu.bandwidth_gb, card.bandwidth_gb)),
        tflops_16=float(base.given(gpu.tflops16, card.tflops_16)),
        tflops_8=float(base.given(gpu.tflops8, card.tflops_8)),
    )
