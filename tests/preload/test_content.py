"""Which files a download needs, and which facts the program reads from them."""

import json
import pathlib
from collections.abc import Mapping

import pytest

from preload import checkpoint, plan, selection

SAFE = {"config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        (SAFE | {"pytorch_model.bin", "model.gguf", "tf_model.h5", "flax_model.msgpack"}, SAFE),
        ({"config.json", "pytorch_model.bin", "model.pth"}, {"config.json", "pytorch_model.bin"}),
        ({"config.json", "model.pt"}, {"config.json", "model.pt"}),
        (SAFE | {"onnx/model.onnx", "onnx/config.json", "original/params.json"}, SAFE),
        (SAFE | {"metal/model.bin", "runs/x/events.json", "checkpoint-1/model.safetensors"}, SAFE),
        (SAFE | {".gitattributes", ".cache/a.json", "README.md", "LICENSE", "a.png"}, SAFE),
        (SAFE | {"training_args.bin", "optimizer.pt", "rng_state_0.pth"}, SAFE),
        ({"config.json", "training_args.bin"}, {"config.json"}),
        # Each directory has its own choice of format.
        (
            {"config.json", "pytorch_model.bin", "2_Dense/model.safetensors", "2_Dense/a.bin"},
            {"config.json", "pytorch_model.bin", "2_Dense/model.safetensors"},
        ),
    ],
)
def test_selects_weights_of_one_format(present: set[str], wanted: set[str]) -> None:
    assert selection.select(present, "base") == wanted


def test_selects_what_tokenizers_and_remote_code_are_made_of() -> None:
    texts = {
        "1_Pooling/config.json",
        "chat_template.jinja",
        "merges.txt",
        "modeling_x.py",
        "preprocessor_config.json",
        "qwen.tiktoken",
        "spiece.model",
        "tekken.json",
        "tokenizer.model.v3",
        "vocab.bpe",
    }
    assert selection.select(texts | {"vocab.gguf", "tokenizer.h5"}, "base") == texts


@pytest.mark.parametrize("stem", ["tokenizer", "tokenizer.model", "vocab", "merges", "tekken"])
@pytest.mark.parametrize(
    "suffix",
    [
        *(".so", ".so.1", ".SO", ".dll", ".dylib", ".pyd", ".pyc", ".exe", ".sh", ".vbs", ""),
        *(".pkl", ".pickle", ".jar", ".whl", ".node", ".wasm", ".tar", ".7z", ".joblib", ".npy"),
    ],
)
def test_a_library_or_a_program_is_no_tokenizer(stem: str, suffix: str) -> None:
    if stem == "tokenizer.model" and not suffix:
        return
    assert selection.select(SAFE | {f"{stem}{suffix}"}, "base") == SAFE


def test_an_adapter_lies_at_the_top() -> None:
    files = {"adapter_config.json", "adapter_model.safetensors"}
    more = {"sub/adapter_model.safetensors", "adapter_model.bin", "1_Pooling/config.json"}
    assert selection.select(files | more, "adapter") == files


@pytest.mark.parametrize(
    ("kind", "paths", "words"),
    [
        ("base", {"config.json"}, "weights"),
        ("base", {"config.json", "2_Dense/model.safetensors"}, "weights"),
        ("base", {"model.safetensors"}, "config.json"),
        ("adapter", {"config.json", "model.safetensors"}, "adapter_config.json"),
        ("adapter", {"adapter_config.json"}, "weights"),
    ],
)
def test_says_what_is_missing(kind: plan.Kind, paths: set[str], words: str) -> None:
    assert words in (selection.lacks(paths, kind) or "")


def test_nothing_is_missing() -> None:
    assert selection.lacks(SAFE, "base") is None
    assert selection.lacks({"params.json", "consolidated.safetensors"}, "base") is None
    assert selection.lacks({"adapter_config.json", "adapter_model.bin"}, "adapter") is None


def describe(
    directory: pathlib.Path, kind: plan.Kind = "base", **files: object
) -> Mapping[str, object]:
    for name, content in files.items():
        (directory / f"{name}.json").write_text(json.dumps(content))
    return checkpoint.describe(directory, kind, [path.name for path in directory.iterdir()])


def safetensors(path: pathlib.Path, *tensors: tuple[str, int]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for index, (dtype, size) in enumerate(tensors):
        span = [position, position + size]
        header[f"t{index}"] = {"dtype": dtype, "shape": [size], "data_offsets": span}
        position += size
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + bytes(position))


def test_describes_a_plain_model(tmp_path: pathlib.Path) -> None:
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "torch_dtype": "bfloat16",
        "max_position_embeddings": 40960,
    }
    assert describe(tmp_path, config=config) == {
        "architectures": ["Qwen3ForCausalLM"],
        "dtype": "bfloat16",
        "quantization": None,
        "contextLimit": 40960,
        "loraRank": None,
        "baseModel": None,
        "config": config,
        "tensors": None,
    }


def test_looks_into_the_text_part(tmp_path: pathlib.Path) -> None:
    text = {
        "max_position_embeddings": 131072,
        "dtype": "torch.float16",
        "quantization_config": {"quant_method": "AWQ"},
    }
    description = describe(tmp_path, config={"architectures": ["X"], "text_config": text})
    assert description["contextLimit"] == 131072
    assert description["dtype"] == "float16"
    assert description["quantization"] == "awq"


def test_the_outermost_value_wins(tmp_path: pathlib.Path) -> None:
    config = {"max_position_embeddings": 8, "text_config": {"max_position_embeddings": 16}}
    assert describe(tmp_path, config=config)["contextLimit"] == 8


def test_recognises_modelopt(tmp_path: pathlib.Path) -> None:
    quant = {"quantization": {"quant_algo": "FP8"}}
    assert describe(tmp_path, config={}, hf_quant_config=quant)["quantization"] == "modelopt"


def test_dtype_of_most_bytes_in_the_header(tmp_path: pathlib.Path) -> None:
    safetensors(tmp_path / "model.safetensors", ("F32", 10), ("BF16", 600), ("F32", 20))
    assert describe(tmp_path, config={})["dtype"] == "bfloat16"


def test_bytes_by_type_of_all_files_that_an_engine_reads(tmp_path: pathlib.Path) -> None:
    """Mistral's repositories hold the weights a second time."""
    safetensors(tmp_path / "model-1.safetensors", ("F32", 10), ("BF16", 600))
    safetensors(tmp_path / "model-2.safetensors", ("BF16", 400), ("F8_E4M3", 7))
    safetensors(tmp_path / "consolidated.safetensors", ("BF16", 1000))
    whole = {"F32": 10, "BF16": 1000, "F8_E4M3": 7}
    assert describe(tmp_path)["tensors"] == whole
    (tmp_path / "model-2.safetensors").write_bytes(b"\xff" * 8)
    assert describe(tmp_path)["tensors"] is None, "a part is not all"


def test_keeps_the_figures_of_a_configuration(tmp_path: pathlib.Path) -> None:
    figures = {
        "architectures": ["X"],
        "experts_per_token": 4,
        "rope_parameters": {"factor": 8.0},
        "layer_types": ["full_attention", None],
        "tied": False,
    }
    noise = {
        "id2label": {"0": "LABEL_0"},
        "bos_token_id": 1,
        "eos_token_ids": [1, 2],
        "auto_map": {"AutoConfig": "code.C"},
        "nothing": None,
        "long": "x" * 2000,
        "control": "a\nb",
        "beyond": 2**60,
        "endless": float("inf"),
    }
    assert describe(tmp_path, config=figures | noise)["config"] == figures


def test_the_figures_of_modelopt_s_own_file_stand_beside(tmp_path: pathlib.Path) -> None:
    packing = {"quantization": {"quant_algo": "FP8"}}
    config = {"architectures": ["X"]}
    described = describe(tmp_path, config=config, hf_quant_config=packing)["config"]
    assert described == config | {"hf_quant_config": packing}


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_size": 8},
        {"architectures": ["X"], "layers": list(range(100_000))},
    ],
    ids=["of another form", "too long"],
)
def test_a_configuration_without_figures(tmp_path: pathlib.Path, config: dict[str, object]) -> None:
    assert describe(tmp_path, config=config)["config"] is None


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x05\0\0\0\0\0\0\0nope!", b"[1,2,3]"])
def test_a_strange_header_is_no_error(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert describe(tmp_path, config={})["dtype"] is None


def test_describes_an_adapter(tmp_path: pathlib.Path) -> None:
    adapter = {"r": 16, "rank_pattern": {"q_proj": 64}, "base_model_name_or_path": "Qwen/Qwen3-8B"}
    description = describe(tmp_path, "adapter", adapter_config=adapter)
    assert description["loraRank"] == 64
    assert description["baseModel"] == "Qwen/Qwen3-8B"


@pytest.mark.parametrize("content", ["[]", "{", '{"max_position_embeddings": true, "r": "16"}'])
def test_a_strange_config_is_no_error(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "adapter_config.json").write_text(content)
    description = checkpoint.describe(tmp_path, "adapter", [])
    assert description["contextLimit"] is None
    assert description["loraRank"] is None
    assert description["architectures"] == []
