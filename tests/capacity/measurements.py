"""Measured starts of vLLM, and the models that they ran."""

import csv
import dataclasses
import functools
import pathlib
from typing import Any

from function.capacity import arrangements, cards, facts, interval, reading

DIRECTORY = pathlib.Path(__file__).parent / "measured"
GIB = 1024**3

CARDS = {
    card.name: card
    for card in (
        cards.Card("L4", 22.03, 300, 121, 242),
        cards.Card("A10G", 22.06, 600, 70, 0),
        cards.Card("A100-SXM-40GB", 39.39, 1555, 312, 0),
        cards.Card("L40S", 44.39, 864, 362, 733),
        cards.Card("H100-SXM-80GB", 79.19, 3350, 989, 1978),
        cards.Card("H200-SXM-141GB", 139.8, 4800, 989, 1978),
        cards.Card("B200-SXM", 178.35, 7700, 2250, 4500),
    )
}


def rows(name: str) -> list[dict[str, str]]:
    """Rows of one of the files beside this."""
    with (DIRECTORY / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def _number(text: str) -> int:
    return int(text or 0)


def _packing(method: str, bits: int) -> dict[str, Any]:
    """A checkpoint's `quantization_config`, with groups of 128 where weights have 4 bits."""
    if method == "compressed-tensors":
        weights = {"num_bits": bits, "strategy": "channel", "symmetric": True}
        return {"quant_method": method, "config_groups": {"all": {"weights": weights}}}
    return {"quant_method": method, "bits": bits, "group_size": 128, "sym": True}


def _config(row: dict[str, str]) -> dict[str, Any]:
    """The fields of a config.json that decide about memory."""
    layers, windows = int(row["layers"]), _number(row["windowed"])
    config: dict[str, Any] = {
        "architectures": [row["architecture"]],
        "hidden_size": int(row["hidden"]),
        "vocab_size": int(row["vocabulary"]),
        "num_hidden_layers": layers,
        "num_attention_heads": int(row["heads"]),
        "num_key_value_heads": int(row["kv_heads"]),
        "head_dim": int(row["head_size"]),
        "intermediate_size": _number(row["dense_intermediate"]) or int(row["intermediate"]),
        "max_position_embeddings": int(row["context"]),
        "tie_word_embeddings": row["tied"] == "true",
    }
    if row["experts"]:
        config |= {
            "moe_intermediate_size": int(row["intermediate"]),
            "num_local_experts": int(row["experts"]),
            "num_experts_per_tok": int(row["chosen"]),
            "shared_expert_intermediate_size": _number(row["shared"]),
            "first_k_dense_replace": _number(row["dense_layers"]),
            "intermediate_size_mlp": _number(row["dense_intermediate"]) or 1,
        }
    if row["latent"]:
        rotary = 64
        config |= {
            "kv_lora_rank": int(row["latent"]) - rotary,
            "qk_rope_head_dim": rotary,
            "qk_nope_head_dim": int(row["head_size"]) - rotary,
            "v_head_dim": int(row["head_size"]) - rotary,
        }
    if windows:
        kinds = ["sliding_attention"] * windows + ["full_attention"] * (layers - windows)
        window = int(row["window"])
        config |= {
            "layer_types": kinds,
            "sliding_window": window,
            "attention_chunk_size": window,
        }
    if row["rope_factor"]:
        config["rope_scaling"] = {"rope_type": "linear", "factor": float(row["rope_factor"])}
    if row["packing"]:
        config["quantization_config"] = _packing(row["packing"], int(row["bits"]))
    return config


def _facts(row: dict[str, str]) -> facts.Facts:
    model = reading.read(_config(row), row["model"], source="tests/capacity/measured/models.csv")
    return dataclasses.replace(
        model,
        dtype_bytes=int(row["dtype_bytes"]),
        tower_parameters=_number(row["tower"]),
        runner=facts.Runner.POOLING if "embedding" in row["model"] else facts.Runner.GENERATE,
    )


@functools.cache
def models() -> dict[str, facts.Facts]:
    """The models of all measured starts."""
    return {row["model"]: _facts(row) for row in rows("models")}


@dataclasses.dataclass(frozen=True)
class Start:
    """One start of an engine and what it logged, in bytes.

    Attributes:
        name: Its name at the source.
        model: What it ran.
        card: On which GPU, or with which GPU's memory.
        arrangement: Its flags.
        weights: Bytes of weights and adapters on a GPU.
        activations: Peak of the trial step.
        process: Beside torch's allocator.
        reserved: Set aside for CUDA graphs.
        available: For the cache.
        blocks: Of the cache.
        sequences: Sequences of the full context, or None where it was not logged.
        graphs: CUDA graphs, or None.
        used: Of the device in the end, or None.
    """

    name: str
    model: facts.Facts
    card: cards.Card
    arrangement: arrangements.Arrangement
    weights: interval.Interval
    activations: float
    process: float
    reserved: float
    available: float
    blocks: int
    sequences: float | None
    graphs: float | None
    used: float | None


def _bytes(text: str) -> float:
    return float(text) * GIB


def _optional(text: str) -> float | None:
    return _bytes(text) if text else None


def _start(row: dict[str, str]) -> Start:
    return Start(
        name=row["start"],
        model=models()[row["model"]],
        card=CARDS[row["card"]],
        arrangement=arrangements.Arrangement(
            version=row["version"],
            runner=row["runner"] or None,
            context=int(row["context"]),
            sequences=int(row["sequences"]),
            utilization=float(row["utilization"]),
            batched_tokens=int(row["batched_tokens"]),
            quantization=row["quantization"] or None,
            cache_dtype=row["cache_dtype"],
            tensor=int(row["tensor"]),
            pipeline=int(row["pipeline"]),
            adapter_slots=int(row["adapter_slots"]),
            adapter_rank=int(row["adapter_rank"]) or 16,
            eager=row["eager"] == "true",
            cold=row["cold"] == "true",
        ),
        weights=interval.exactly(_bytes(row["weights_gib"])),
        activations=_bytes(row["activations_gib"]),
        process=_bytes(row["process_gib"]),
        reserved=_bytes(row["reserved_gib"]),
        available=_bytes(row["available_gib"]),
        blocks=int(row["blocks"]),
        sequences=float(row["sequences_of_context"]) if row["sequences_of_context"] else None,
        graphs=_optional(row["graphs_gib"]),
        used=_optional(row["used_at_end_gib"]),
    )


@functools.cache
def starts(version: str) -> tuple[Start, ...]:
    """Starts of one version: 0.19 or 0.25.1."""
    return tuple(_start(row) for row in rows(f"memory-vllm-{version}"))


@dataclasses.dataclass(frozen=True)
class Peak:
    """Activations of a first and a second start of vLLM 0.25.1, in bytes.

    Attributes:
        name: Its name at the source; the end names the card.
        model: What it ran.
        row: Its flags, as written.
        first: The first start's peak.
        second: The second's.
    """

    name: str
    model: facts.Facts
    row: dict[str, str]
    first: float
    second: float

    @property
    def card(self) -> cards.Card:
        """Whose kernels it ran: those that unpack fp8 were forced in one start."""
        forced = "VLLM_TEST_FORCE_FP8_MARLIN" in self.row["env"]
        return CARDS["A10G" if forced else "H200-SXM-141GB"]

    def arrangement(self, *, cold: bool) -> arrangements.Arrangement:
        """Its flags."""
        return arrangements.Arrangement(
            version="0.25.1",
            runner="V1" if "VLLM_USE_V2_MODEL_RUNNER" in self.row["env"] else None,
            context=int(self.row["context"]),
            sequences=int(self.row["sequences"]),
            utilization=0.9,
            batched_tokens=int(self.row["batched_tokens"]),
            quantization=self.row["quantization"] or None,
            adapter_slots=int(self.row["adapter_slots"]),
            eager=self.row["eager"] == "true",
            cold=cold,
        )


@functools.cache
def peaks() -> tuple[Peak, ...]:
    """All measured pairs of peaks."""
    return tuple(
        Peak(
            row["start"],
            models()[row["model"]],
            row,
            _bytes(row["first_gib"]),
            _bytes(row["second_gib"]),
        )
        for row in rows("activations-vllm-0.25.1")
    )
