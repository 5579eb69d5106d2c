"""Small models of random numbers, as files that text-embeddings-inference loads.

`python -m tests.engines.tei.weights DIRECTORY` writes each of `MODELS` below that directory.
"""

import array
import dataclasses
import itertools
import json
import pathlib
import random
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("a", "the", "what", "is", "deep", "learning", "cheese", "made", "of", "milk")
_VOCABULARY = (*_SPECIAL, *WORDS)


@dataclasses.dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        architecture: As config.json names it.
        model_type: The same.
        labels: What it tells apart; one of a reranker, none of a model that makes vectors.
        layers: How many.
        hidden: Width of each.
        context: Longest text in tokens.
        config: What config.json says besides.
        pooling: Whether it says how vectors are pooled.
        more_words: Of its tokenizer, beyond those of its table.
    """

    architecture: str
    model_type: str = "bert"
    labels: tuple[str, ...] = ()
    layers: int = 2
    hidden: int = 32
    context: int = 512
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pooling: bool = True
    more_words: tuple[str, ...] = ()


MODELS: Mapping[str, Model] = {
    "embeds": Model("BertModel"),
    "ranks": Model("BertForSequenceClassification", labels=("LABEL_0",), pooling=False),
    "classifies": Model("BertForSequenceClassification", labels=("no", "yes"), pooling=False),
    # Slow enough to be watched.
    "slow": Model("BertModel", layers=16, hidden=96),
    "broken": Model("BertModel", more_words=("cheddar",)),
    "long": Model("BertModel", context=2048),
    # What no release reads: see function/engines/tei/models.py.
    "twice": Model("NomicBertModel", "nomic_bert", config={"n_positions": 512}),
    "generates": Model("Qwen3ForCausalLM", "qwen3", pooling=False),
    "mistral": Model(
        "MistralModel",
        "mistral",
        config={"num_key_value_heads": 4, "rms_norm_eps": 1e-5, "hidden_act": "silu"},
    ),
    "t5": Model("T5EncoderModel", "t5"),
}


def _config(model: Model) -> dict[str, Any]:
    labels = {str(place): label for place, label in enumerate(model.labels)}
    named = {"id2label": labels, "label2id": {v: int(k) for k, v in labels.items()}}
    return {
        "architectures": [model.architecture],
        "model_type": model.model_type,
        "vocab_size": len(_VOCABULARY),
        "hidden_size": model.hidden,
        "num_hidden_layers": model.layers,
        "num_attention_heads": 4,
        "intermediate_size": 4 * model.hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "max_position_embeddings": model.context,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        **(named if labels else {}),
        **model.config,
    }


def _tokenizer(model: Model) -> dict[str, Any]:
    """Returns tokenizer.json of BERT's: each word of the vocabulary is a token."""
    ids = {word: place for place, word in enumerate((*_VOCABULARY, *model.more_words))}
    added = [
        {
            "id": ids[word],
            "content": word,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for word in _SPECIAL
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", ids["[SEP]"]],
            "cls": ["[CLS]", ids["[CLS]"]],
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Returns the tensors of BERT, as backends/candle/src/models/bert.rs names them."""
    wide, middle = model.hidden, 4 * model.hidden
    root = "bert." if model.labels else ""
    shapes: dict[str, tuple[int, ...]] = {
        f"{root}embeddings.word_embeddings.weight": (len(_VOCABULARY), wide),
        f"{root}embeddings.token_type_embeddings.weight": (2, wide),
        f"{root}embeddings.position_embeddings.weight": (model.context, wide),
    }

    def linear(name: str, out: int, into: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, into), (out,)

    def norm(name: str) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (wide,), (wide,)

    norm(f"{root}embeddings.LayerNorm")
    for layer in range(model.layers):
        here = f"{root}encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{here}.attention.self.{part}", wide, wide)
        linear(f"{here}.attention.output.dense", wide, wide)
        norm(f"{here}.attention.output.LayerNorm")
        linear(f"{here}.intermediate.dense", middle, wide)
        linear(f"{here}.output.dense", wide, middle)
        norm(f"{here}.output.LayerNorm")
    if model.labels:
        linear("bert.pooler.dense", wide, wide)
        linear("classifier", len(model.labels), wide)
    return shapes


def _safetensors(shapes: Mapping[str, Sequence[int]]) -> bytes:
    """Returns a file of tensors, whose numbers repeat after the first few thousand."""
    chance = random.Random(0)
    some = array.array("f", (chance.gauss(0, 0.1) for _ in range(4099)))
    header: dict[str, Any] = {}
    numbers = array.array("f")
    for name, shape in shapes.items():
        count = 1
        for side in shape:
            count *= side
        begin = len(numbers) * 4
        numbers.extend(itertools.islice(itertools.cycle(some), count))
        offsets = [begin, len(numbers) * 4]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + numbers.tobytes()


def write(model: Model, place: pathlib.Path) -> None:
    """Writes a model's files."""
    place.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {"config.json": _config(model), "tokenizer.json": _tokenizer(model)}
    if model.pooling:
        (place / "1_Pooling").mkdir(exist_ok=True)
        kinds = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
        files["1_Pooling/config.json"] = kinds
    for name, content in files.items():
        (place / name).write_text(json.dumps(content), encoding="utf-8")
    (place / "model.safetensors").write_bytes(_safetensors(_shapes(model)))


def main() -> None:
    """Writes every model."""
    for name, model in MODELS.items():
        write(model, pathlib.Path(sys.argv[1]) / name)


if __name__ == "__main__":
    main()
