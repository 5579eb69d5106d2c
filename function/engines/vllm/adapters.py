"""What of a claim's adapters contradicts its model."""

import functools
import re
from collections.abc import Iterator

from function.api import base
from function.capacity import catalogue
from function.capacity import facts as capacity
from function.engines import adviser
from function.engines.vllm import arguments, subjects
from function.findings import rules

_ERROR, _WARNING = rules.Severity.ERROR, rules.Severity.WARNING

FOREIGN_ADAPTER = rules.Rule(
    "adapter-of-another-base",
    _WARNING,
    "An adapter was trained on another model than `spec.model.repository`, as its"
    " adapter_config.json or the name of its repository says.",
    "vLLM loads it when the shapes agree and answers nonsense, or ends when they do not.",
    "Take the adapter's own base, or another adapter. A fine-tune or a quantized form of the base"
    " is fine.",
)
ADAPTER_RANK = rules.Rule(
    "adapter-rank",
    _ERROR,
    "An adapter's rank is above `spec.model.maxLoraRank`, as its adapter_config.json says; a"
    " warning where only the name of its repository says so (`-r128`).",
    "vLLM refuses the adapter as it loads it and ends.",
    "Raise `spec.model.maxLoraRank` to the adapter's rank; it is 64 when absent.",
)


def _each(subject: subjects.Subject) -> Iterator[tuple[str, adviser.Adapter, bool]]:
    """Yields each adapter's field, what is known of it, and whether its name alone says that."""
    for index, entry in enumerate(subject.spec.lora_adapters or []):
        field = f"spec.loraAdapters[{index}]"
        if entry.name in subject.adapters:
            yield field, subject.adapters[entry.name], False
        elif entry.repository is not None:
            rank = _RANK.search(entry.repository)
            named = adviser.Adapter(_named_base(entry.repository), int(rank[1]) if rank else None)
            yield field, named, True


_RANK = re.compile(r"(?i)[-_.](?:r|rank)[-_]?([1-9][0-9]{1,3})(?=$|[-_.])")

# What owners append to the name of a model.
_SUFFIX = re.compile(
    r"(-(instruct|thinking|it|base|chat|hf|fp8|awq|gptq|bnb|nvfp4|[0-9]{4})(?=[-*]|$)|[*]).*"
)


@functools.cache
def _stems() -> tuple[str, ...]:
    """Returns the names of the catalogue's models without their endings, the longest first."""
    names = (name.rpartition("/")[2].lower() for name in catalogue.names())
    stems = {_SUFFIX.sub("", name).removeprefix("meta-").strip("-") for name in names}
    return tuple(sorted((s for s in stems if re.search(r"-[0-9.]+b", s)), key=len, reverse=True))


def _named_base(repository: str) -> str | None:
    """Returns the model that the name of a repository says it was made from, or None."""
    name = repository.rpartition("/")[2].lower()
    within = (stem for stem in _stems() if stem in name)
    return next(
        (s for s in within if re.search(rf"(?<![a-z0-9.]){re.escape(s)}(?![a-z0-9.])", name)),
        None,
    )


def foreign(subject: subjects.Subject) -> subjects.Broken:
    """Yields adapters of another model."""
    if subject.spec.model.repository is None:
        return
    served = _named_base(subject.repository)
    for field, adapter, named in _each(subject):
        if named:
            # A name that nobody knows says nothing.
            if served and adapter.base and not (served in adapter.base or adapter.base in served):
                words = f"its name says {adapter.base}, and the claim serves {subject.repository}"
                words += adviser.UNREAD
                yield FOREIGN_ADAPTER.broken(field, f"{words}: take an adapter of this model")
        elif adapter.base is not None and not _kin(adapter.base, subject.repository):
            words = f"its base is {adapter.base}, and the claim serves {subject.repository}"
            yield FOREIGN_ADAPTER.broken(field, f"{words}: take an adapter of this model")


def _kin(one: str, other: str) -> bool:
    """Tells whether two repositories are one model: other owners and packings of it too."""
    names = [name.rpartition("/")[2].lower() for name in (one, other)]
    return names[0].startswith(names[1]) or names[1].startswith(names[0])


def rank(subject: subjects.Subject) -> subjects.Broken:
    """Yields adapters of a rank that is not set."""
    most = base.given(subject.spec.model.max_lora_rank, arguments.LORA_RANK)
    for field, adapter, named in _each(subject):
        if adapter.rank is not None and adapter.rank > most:
            says = "its name says rank" if named else "its rank is"
            words = (
                f"{says} {adapter.rank}, and at most {most} is set{adviser.UNREAD if named else ''}"
            )
            severity = _WARNING if named else _ERROR
            yield ADAPTER_RANK.broken(field, f"{words}: raise spec.model.maxLoraRank", severity)


LORA_POOLING = rules.Rule(
    "lora-with-pooling",
    _WARNING,
    "`spec.loraAdapters` are given to a model that embeds, classifies or ranks.",
    "vLLM loads adapters for few pooling models, and ends for the others.",
    "Take the adapters away, or serve a checkpoint that they are merged into.",
)


def pooling(subject: subjects.Subject) -> subjects.Broken:
    """Yields adapters of a model that few are for."""
    pooling = subject.facts is not None and subject.facts.runner is capacity.Runner.POOLING
    if subject.spec.lora_adapters and (subject.pools or pooling):
        words = f"{subject.repository} runs as a pooling model, which few adapters are for: take"
        yield LORA_POOLING.broken("spec.loraAdapters", f"{words} them away, or merge them")
