"""Which files of a repository are wanted: those vLLM reads, once each.

- Hidden files and directories are left out (`.gitattributes`, `.cache/`), and directories that
  hold the same weights for other software (`original`, `onnx`, `openvino`, `coreml`, `metal`, ...)
  or states of the training (`checkpoint-*`, `runs`). Other directories stay: sentence-transformers
  keeps pooling and dense layers in them. An adapter's files all lie at the top.
- Weights: in each directory the first format that is there, of safetensors, `.bin`, `.pt` and
  `.pth`; the order in which vLLM itself looks (`--load-format auto`). Optimizer and trainer states
  are no weights. Formats that vLLM does not load from such a directory (GGUF, ONNX, TensorFlow,
  Flax) are never wanted.
- Beside weights: `.json`, `.txt`, `.model`, `.jinja`, `.py`, and what a tokenizer may be made of,
  by name and suffix together: a `tokenizer.so` is no tokenizer. `.py` comes always, because claims
  with and without `trustRemoteCode` share the directory; the engine runs it with that flag alone.

Mistral's repositories hold `consolidated*.safetensors` and `model-*.safetensors`; both are kept,
because which of the two the engine reads depends on its version and arguments.
"""

import fnmatch
import pathlib
import re
from collections.abc import Iterable

from preload import plan

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_TEXT = (".json", ".txt", ".model", ".jinja", ".py", ".tiktoken", ".spm", ".bpe")
_TOKENIZER = ("tokenizer*", "vocab*", "merges*", "tekken*")
# Mistral's tokenizer.model.v3, .v7m1 and the like; sentencepiece's and word lists beside a model.
_TOKENIZER_SUFFIX = re.compile(r"\.(v[0-9]{1,3}[a-z0-9]{0,8}|vocab|vec|tsv|csv|dict|yaml|yml)")
_NO_WEIGHTS = (
    "training_args.bin",
    "optimizer*",
    "scheduler*",
    "rng_state*",
    "scaler.*",
    "trainer_state*",
)
_DIRECTORIES = (
    "original",
    "onnx",
    "openvino",
    "coreml",
    "metal",
    "gguf",
    "tf",
    "flax",
    "runs",
    "checkpoint-*",
    "global_step*",
)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _in_scope(path: pathlib.PurePosixPath, kind: plan.Kind) -> bool:
    if any(part.startswith(".") for part in path.parts):
        return False
    folders = path.parts[:-1]
    if kind == "adapter" and folders:
        return False
    return not any(_matches(folder, _DIRECTORIES) for folder in folders)


def _is_weights(path: pathlib.PurePosixPath) -> bool:
    return path.suffix.lower() in _WEIGHTS and not _matches(path.name, _NO_WEIGHTS)


def _is_text(path: pathlib.PurePosixPath) -> bool:
    suffix = path.suffix.lower()
    if suffix in _TEXT:
        return True
    return bool(_TOKENIZER_SUFFIX.fullmatch(suffix)) and _matches(path.name, _TOKENIZER)


def select(paths: Iterable[str], kind: plan.Kind) -> set[str]:
    """Choose among the paths of a repository (or of a directory that held one).

    Args:
        paths: Paths relative to the root of the repository, with `/`.
        kind: Whether it is a base model or an adapter.
    """
    wanted: set[str] = set()
    formats: dict[pathlib.PurePosixPath, dict[str, set[str]]] = {}
    for text in paths:
        path = pathlib.PurePosixPath(text)
        if not _in_scope(path, kind):
            continue
        if _is_weights(path):
            by_suffix = formats.setdefault(path.parent, {})
            by_suffix.setdefault(path.suffix.lower(), set()).add(text)
        elif _is_text(path):
            wanted.add(text)
    for by_suffix in formats.values():
        wanted |= next(by_suffix[suffix] for suffix in _WEIGHTS if suffix in by_suffix)
    return wanted


def lacks(paths: set[str], kind: plan.Kind) -> str | None:
    """Say what a selection lacks for the engine to load it, or None when nothing is missing."""
    if kind == "adapter":
        if "adapter_config.json" not in paths:
            return "it has no adapter_config.json, so it is no PEFT adapter"
    elif not {"config.json", "params.json"} & paths:
        return "it has no config.json (GGUF-only and diffusers repositories cannot be served)"
    top = (pathlib.PurePosixPath(path) for path in paths if "/" not in path)
    if not any(_is_weights(path) for path in top):
        return "it has no weights as safetensors, .bin or .pt"
    return None
