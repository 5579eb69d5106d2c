"""A local hub with small models, which preload Jobs on the machines download."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping

from e2e.controlplane import api
from tests.preload import hub_server

# What model directories have besides weights, of a Qwen2.5-Coder-7B.
_CONFIG: api.Object = {
    "architectures": ["Qwen2ForCausalLM"],
    "dtype": "bfloat16",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "model_type": "qwen2",
    "tie_word_embeddings": False,
}
# Addresses of the programs beside the cluster (`e2e.controlplane.addresses`).
_OUTSIDE = "198.18.0.0/15"


@contextlib.contextmanager
def serving() -> Iterator[hub_server.Server]:
    """A hub on a port of loopback."""
    server = hub_server.Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings(endpoint: str) -> api.Object:
    """The ``hub`` of the settings for a hub beside the cluster."""
    return {"endpoint": endpoint, "egressCidrs": [_OUTSIDE]}


def model() -> Mapping[str, bytes]:
    """The files of a model, small ones in place of the weights."""
    return {
        "config.json": json.dumps(_CONFIG).encode(),
        "tokenizer.json": b"{}",
        "model-00001-of-00002.safetensors": bytes(2_000_000),
        "model-00002-of-00002.safetensors": bytes(1_000_000) + b"2",
    }


def adapter(base: str) -> Mapping[str, bytes]:
    """The files of an adapter.

    Args:
        base: The repository of its model.
    """
    config = {"base_model_name_or_path": base, "peft_type": "LORA", "r": 16, "lora_alpha": 32}
    return {
        "adapter_config.json": json.dumps(config).encode(),
        "adapter_model.safetensors": bytes(500_000) + base.encode(),
    }
