"""Parameters of the towers that read images or sound, with their projectors.

Each function has the shapes of one family's module in transformers 5. The engine holds all of them
in the model's dtype, and they have no part in the cache.
"""

from collections.abc import Callable

from function.capacity import fields


def parameters(model: fields.Fields, hidden: int) -> int:
    """Returns the parameters of all towers of a model whose token vectors have this size.

    Raises:
        fields.UnreadableError: A tower has no formula here.
    """
    total = 0
    for name in ("vision_config", "audio_config"):
        tower = model.inside(name)
        if tower is None:
            continue
        kind = tower.text("model_type") or model.text("model_type")
        formula = _TOWERS.get(kind)
        if formula is None:
            raise fields.UnreadableError(
                f"config.json: {tower.place}model_type is {kind!r}: no formula for this tower yet: "
                f"write the model's facts by hand, with tower.parameters"
            )
        total += formula(model, tower, hidden)
    return total


def _layer(
    width: int, inner: int, *, gated: bool = False, bias: bool = True, norms: int = 4
) -> int:
    """Returns the parameters of a layer of a transformer; `norms` counts vectors of its width."""
    matrices = 4 * width * width + (3 if gated else 2) * width * inner
    biases = 4 * width + (2 if gated else 1) * inner + width
    return matrices + (biases if bias else 0) + norms * width


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _qwen2_5_vl(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width = tower.whole("hidden_size")
    patch = tower.whole("patch_size") ** 2 * tower.whole("temporal_patch_size", default=2) * 3
    merged = width * tower.whole("spatial_merge_size", default=2) ** 2
    layer = _layer(width, tower.whole("intermediate_size"), gated=True, norms=2)
    merger = width + _linear(merged, merged) + _linear(merged, hidden)
    return patch * width + tower.whole("depth") * layer + merger


def _qwen3_vl(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width = tower.whole("hidden_size")
    patch = tower.whole("patch_size") ** 2 * tower.whole("temporal_patch_size", default=2) * 3
    merged = width * tower.whole("spatial_merge_size", default=2) ** 2
    projector = _linear(merged, merged) + _linear(merged, hidden)
    deep = len(tower.items("deepstack_visual_indexes") or []) * (2 * merged + projector)
    return (
        _linear(patch, width)
        + tower.whole("num_position_embeddings") * width
        + tower.whole("depth") * _layer(width, tower.whole("intermediate_size"))
        + 2 * width
        + projector
        + deep
    )


def _siglip(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width, patch = tower.whole("hidden_size"), tower.whole("patch_size")
    positions = (tower.whole("image_size") // patch) ** 2
    if model.text("model_type").startswith("llava"):
        layers = model.items("vision_feature_layer") or [-1]
        # Layers from which features are taken are joined; a row marks the end of a line of patches.
        projector = _linear(width * len(layers), hidden) + _linear(hidden, hidden) + hidden
    else:
        projector = width * hidden + width
    return (
        _linear(3 * patch**2, width)
        + positions * width
        + tower.whole("num_hidden_layers") * _layer(width, tower.whole("intermediate_size"))
        + 2 * width
        + projector
    )


def _pixtral(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width, patch = tower.whole("hidden_size"), tower.whole("patch_size")
    layer = _layer(width, tower.whole("intermediate_size"), gated=True, bias=False, norms=2)
    merged = width * model.whole("spatial_merge_size", default=2) ** 2
    projector = width + merged * width + width * hidden + hidden * hidden
    return (3 * patch**2) * width + width + tower.whole("num_hidden_layers") * layer + projector


def _llama4(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width, patch = tower.whole("hidden_size"), tower.whole("patch_size")
    inner = tower.whole("intermediate_size")
    positions = (tower.whole("image_size") // patch) ** 2 + 1
    middle = tower.whole("projector_input_dim")
    adapter = inner * middle + middle * tower.whole("projector_output_dim")
    return (
        (3 * patch**2) * width
        + width
        + positions * width
        + tower.whole("num_hidden_layers") * _layer(width, inner)
        + 4 * width
        + adapter
        + tower.whole("vision_output_dim") * hidden
    )


def _moonvit(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width = tower.whole("vt_hidden_size", "hidden_size")
    inner = tower.whole("vt_intermediate_size", "intermediate_size")
    layers = tower.whole("vt_num_hidden_layers", "num_hidden_layers")
    patch = tower.whole("patch_size")
    positions = tower.whole("init_pos_emb_height") * tower.whole("init_pos_emb_width")
    merged = width * 4
    return (
        _linear(3 * patch**2, width)
        + positions * width
        + layers * _layer(width, inner)
        + 2 * width
        + 2 * width
        + _linear(merged, merged)
        + _linear(merged, hidden)
    )


def _gemma4(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width, patch = tower.whole("hidden_size"), tower.whole("patch_size")
    head = tower.whole("head_dim")
    inner = tower.whole("intermediate_size")
    layer = _layer(width, inner, gated=True, bias=False) + 2 * head
    standard = 2 * width if tower.flag("standardize") else 0
    # Clipped layers remember the least and greatest input and output of each of their matrices.
    clips = 4 * 7 if tower.flag("use_clipped_linears") else 0
    return (
        3 * patch**2 * width
        + 2 * tower.whole("position_embedding_size") * width
        + tower.whole("num_hidden_layers") * (layer + clips)
        + standard
        + width * hidden
    )


def _whisper(model: fields.Fields, tower: fields.Fields, hidden: int) -> int:
    width, inner = tower.whole("hidden_size"), tower.whole("intermediate_size")
    # Keys have no bias in Whisper.
    layer = _layer(width, inner) - width
    return (
        _linear(3 * tower.whole("num_mel_bins"), width)
        + _linear(3 * width, width)
        + tower.whole("max_source_positions") * width
        + tower.whole("num_hidden_layers") * layer
        + 2 * width
        + inner * hidden
        + hidden * hidden
    )


_TOWERS: dict[str, Callable[[fields.Fields, fields.Fields, int], int]] = {
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_vl_moe": _qwen3_vl,
    "qwen3_5": _qwen3_vl,
    "qwen3_5_vision": _qwen3_vl,
    "qwen3_5_moe": _qwen3_vl,
    "qwen3_5_moe_vision": _qwen3_vl,
    "siglip_vision_model": _siglip,
    "pixtral": _pixtral,
    "llama4_vision_model": _llama4,
    "kimi_k25": _moonvit,
    "moonvit": _moonvit,
    "gemma4_vision": _gemma4,
    "voxtral_encoder": _whisper,
}
