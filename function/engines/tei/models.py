"""Which models the engine computes, and which of those its releases cannot read.

backends/candle/src/lib.rs of 1.9.3, `CandleBackend::new`. The engine picks by `model_type` of
config.json; here that is told by the architecture. The preload Job fetches no ONNX files, so that
the CPU image computes with candle too (preload/selection.py).
"""

import dataclasses
import fnmatch
import re
from collections.abc import Iterator

from function.capacity import cards
from function.engines import semver
from function.engines.tei import versions

# Texts that candle takes into a batch on a CPU, whatever --max-batch-requests says: more or fewer
# (`CandleBackend::max_batch_size`, with `run` in router/src/lib.rs). ONNX Runtime takes 8.
BATCH_ON_CPU = 4

_HALF, _SINGLE = "float16", "float32"


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that one piece of the engine's code computes.

    Attributes:
        name: For people.
        begins: How names of their architectures begin, in small letters.
        on_cpu: Whether the CPU computes them too.
        dtypes: What it computes them in.
        capability: Least compute capability of a GPU, or None where any will do.
        ranks: Whether it computes those too that rank or classify.
        remark: On that, or empty.
        arrays: Arrays of heads x tokens x tokens that a CPU holds at once: for one text, and for a
            batch of several.
    """

    name: str
    begins: tuple[str, ...]
    on_cpu: bool = True
    dtypes: tuple[str, ...] = (_HALF, _SINGLE)
    capability: tuple[int, int] | None = None
    ranks: bool = False
    remark: str = ""
    arrays: tuple[int, int] = (2, 3)


FAMILIES = (
    Family("BERT, also Jina's", ("bert", "jinabert"), ranks=True),
    Family("CamemBERT, RoBERTa, XLM-RoBERTa", ("camembert", "roberta", "xlmroberta"), ranks=True),
    Family("DeBERTa-v2, DeBERTa-v3", ("debertav2",), ranks=True),
    # flash_distilbert.rs, which GPUs from 8.0 on take for float16, classifies nothing.
    Family("DistilBERT", ("distilbert",), ranks=True, remark=", on GPUs in `float32`"),
    Family("Gemma 3", ("gemma3text",), dtypes=(_SINGLE,)),
    Family("GTE", ("gte", "new"), ranks=True),
    Family("Llama, also in both directions", ("llama", "llamabidirectional"), False, (_HALF,)),
    # Flash attention 2 alone, which the image for 7.5 lacks.
    Family("Mistral", ("mistral",), False, (_HALF,), (8, 0)),
    Family("ModernBERT", ("modernbert",), ranks=True),
    Family("MPNet", ("mpnet",)),
    Family("Nomic's BERT", ("nomicbert",)),
    Family("Perplexity's Qwen3 in both directions", ("pplxqwen3",), dtypes=(_SINGLE,)),
    Family("Qwen2", ("qwen2",), False, (_HALF,)),
    # The mask of later tokens has an array of its own, of one text too (qwen3.rs, `forward` and
    # `get_causal_attention_bias`).
    Family("Qwen3", ("qwen3",), arrays=(3, 4)),
)
_BY_BEGINNING = {begins: family for family in FAMILIES for begins in family.begins}
_FAMILY = re.compile(r"(?i)(.+?)(Model|For[A-Z].*)?")


def family(architecture: str) -> Family | None:
    """Returns the family of an architecture, or None where not even a GPU computes it."""
    match = _FAMILY.fullmatch(architecture)
    return None if match is None else _BY_BEGINNING.get(match[1].lower())


def lacks(model: Family, card: cards.Card | None) -> bool:
    """Tells whether a card is known to be too old for a family."""
    known = None if card is None else card.capability
    return model.capability is not None and known is not None and known < model.capability


def table() -> Iterator[tuple[str, ...]]:
    """Yields the families as rows: name, on CPUs, on GPUs, types, whether they may rank."""
    for one in FAMILIES:
        least = "yes" if one.capability is None else f"from {'.'.join(map(str, one.capability))}"
        dtypes = ", ".join(f"`{dtype}`" for dtype in one.dtypes)
        ranks = f"yes{one.remark}" if one.ranks else "no"
        yield one.name, "yes" if one.on_cpu else "no", least, dtypes, ranks


@dataclasses.dataclass(frozen=True)
class Unread:
    """Models whose files no release reads so far.

    Attributes:
        repositories: Patterns of their names.
        last: The last version that is known to fail.
        why: What it says, as the end of a sentence that the model begins.
        way: What to do.
        since: The day from which their `main` is so, or None where it always was.
    """

    repositories: tuple[str, ...]
    last: semver.Version
    why: str
    way: str
    since: str | None = None


_UNREAD = (
    # huggingface/text-embeddings-inference#927; mended by #876, which no release has. `ModelConfig`
    # of router/src/lib.rs takes one name for another, and serde refuses both at once.
    Unread(
        ("nomic-ai/nomic-embed-text-v1", "nomic-ai/nomic-embed-text-v1.5"),
        versions.JUDGED,
        "has n_positions and max_position_embeddings in its config.json, which tei takes for one"
        " field that stands twice",
        "pin spec.model.revision to a commit that is older, or take engine.kind vllm",
        since="2026-04-07",
    ),
    # huggingface/text-embeddings-inference#643. Their architecture is one of no classification, and
    # without 1_Pooling/config.json the program ends (`get_backend_model_type`).
    Unread(
        ("Qwen/Qwen3-Reranker-*",),
        versions.JUDGED,
        "ranks by the words yes and no, which tei does not read",
        "take engine.kind vllm, or a reranker of BERT's families",
    ),
)


def unread(repository: str, version: semver.Version) -> Unread | None:
    """Returns why a version cannot read the files of a model, or None where nobody knows of it.

    Args:
        repository: The model.
        version: The engine's.
    """
    for one in _UNREAD:
        named = any(fnmatch.fnmatchcase(repository, pattern) for pattern in one.repositories)
        if named and version <= one.last:
            return one
    return None
