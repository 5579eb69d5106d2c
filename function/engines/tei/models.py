"""Which models the engine computes: backends/candle/src/lib.rs of 1.9.3, `CandleBackend::new`.

The engine picks by `model_type` of config.json; here that is told by the architecture. The preload
Job fetches no ONNX files, so that the CPU image computes with candle too (preload/selection.py).
"""

import re

# The beginning of an architecture's name, in small letters; whether the CPU computes it too.
_SERVED: tuple[tuple[str, bool], ...] = (
    ("bert", True),
    ("camembert", True),
    ("debertav2", True),
    ("distilbert", True),
    ("gemma3text", True),
    ("gte", True),
    ("jinabert", True),
    ("llama", False),
    ("mistral", False),
    ("modernbert", True),
    ("mpnet", True),
    ("new", True),
    ("nomicbert", True),
    ("qwen2", False),
    ("qwen3", True),
    ("roberta", True),
    ("xlmroberta", True),
)
_FAMILY = re.compile(r"(?i)(.+?)(Model|For[A-Z].*)?")


def on_cpu(architecture: str) -> bool | None:
    """Returns whether the CPU computes an architecture, or None where not even a GPU does."""
    match = _FAMILY.fullmatch(architecture)
    family = "" if match is None else match[1].lower()
    return dict(_SERVED).get(family)


def scores(architecture: str) -> bool:
    """Tells whether a model ranks or classifies texts, and makes no vectors of them.

    router/src/lib.rs, `get_backend_model_type`.
    """
    return architecture.endswith("Classification")
