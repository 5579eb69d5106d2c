"""What is known of a claim's model and its GPUs before anything is rented."""

import dataclasses
import fnmatch

from function.api import base, claim, settings
from function.capacity import cards, catalogue, facts, forms, weights
from function.cluster import checkpoints
from function.planning import hardware, parallelism


@dataclasses.dataclass(frozen=True)
class Prospect:
    """What is known of a model and of the GPUs that it is to run on.

    Attributes:
        model: The facts of the model that the claim names, or None. What pods are started with
            follows from these: a manifest that is read later must not change it.
        checkpoint: The same as the published manifest corrects them, or None. Whether the model
            fits follows from these.
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
    model, words = _model(spec, site)
    held = None
    if model is not None:
        held, words = _verified(model, _name(spec), checkpoint)
    class_name, gpu = hardware.gpu_class(spec, site)
    own = base.of(spec.gpu, "resource_name")
    # A part of a GPU, or another resource than the class names, is another card.
    card = card_of(class_name, gpu) if own in (None, gpu.resource_name) else None
    gpus = parallelism.split(spec).copy
    if held is None:
        return Prospect(model, None, card, gpus, UNKNOWN_MODEL, words)
    if card is None:
        what = f"resource {own}" if own is not None else f"class {class_name}"
        named = gpu.product or "no product"
        words = (
            f"the settings do not say what GPU {what} is ({named}): set gpu.classes"
            f".{class_name}.product, or memoryGiB"
        )
        return Prospect(model, held, None, gpus, UNKNOWN_CARD, words)
    return Prospect(model, held, card, gpus)


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
    return spec.model.repository or f"{spec.model.path} on the volume"


def _model(spec: claim.Spec, site: settings.Settings) -> tuple[facts.Facts | None, str]:
    """Returns the model's facts, or why there are none."""
    repository = spec.model.repository
    if spec.model.facts is not None:
        return forms.read(spec.model.facts), ""
    model = None
    if repository is not None:
        model = _stated(repository, site) or catalogue.lookup(repository)
    if model is None:
        return None, (
            f"nothing is known of the memory that {_name(spec)} takes: `inference-service facts`"
            " writes what spec.model.facts or the settings' capacity.models take"
        )
    return model, ""


def _stated(repository: str, site: settings.Settings) -> facts.Facts | None:
    """Returns what the settings say of a repository; of several patterns the longest counts."""
    stated = site.capacity.models
    fitting = [pattern for pattern in stated if fnmatch.fnmatchcase(repository, pattern)]
    if not fitting:
        return None
    return forms.read(stated[max(fitting, key=lambda one: (one == repository, len(one)))])


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


def card_of(class_name: str, gpu: settings.GpuClass) -> cards.Card | None:
    """Returns one GPU of a class, with the numbers that the class states itself, or None."""
    known = None if gpu.product is None else cards.lookup(gpu.product)
    if known is None and gpu.memory_gi_b is None:
        return None
    card = known or cards.Card(gpu.product or class_name, 0, 0, 0, 0)
    return dataclasses.replace(
        card,
        memory_gib=float(base.given(gpu.memory_gi_b, card.memory_gib)),
        bandwidth_gb=float(base.given(gpu.bandwidth_gb, card.bandwidth_gb)),
        tflops_16=float(base.given(gpu.tflops16, card.tflops_16)),
        tflops_8=float(base.given(gpu.tflops8, card.tflops_8)),
    )
