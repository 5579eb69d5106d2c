"""How a checkpoint packs its matrices, from `quantization_config` or `hf_quant_config`.

The names of methods are vLLM's (`vllm/model_executor/layers/quantization`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from function.capacity import facts, fields

Exceptions = tuple[tuple[str, int], ...]

_FLOAT_4 = (4, 16, 8)
_MXFP4 = (4, 32, 8)

_NUMBER = re.compile(r"layers\.([0-9]+)\b")
# Stands in a pattern for the number of any layer, and is in no name.
_LAYER = "#"
_TRANSLATED = re.compile(r"[\w.*-]*")
_MOST_TEMPLATES = 1000

# Names of modules in checkpoints, by the part or the matrix that they are of.
_MODULES: dict[str, tuple[str, ...]] = {
    facts.Part.MIXER: ("self_attn", "attn", "attention", "linear_attn", "mamba"),
    facts.Part.SHARED: ("mlp.shared_experts", "mlp.shared_expert", "ffn.shared_experts"),
    facts.Part.DENSE: ("mlp.gate_proj", "mlp.gate_up_proj"),
    "qkv": ("self_attn.q_proj", "self_attn.qkv_proj"),
    "q": ("self_attn.q_proj",),
    "qkv_a": ("self_attn.q_a_proj", "self_attn.kv_a_proj_with_mqa"),
    "q_b": ("self_attn.q_b_proj",),
    "kv_b": ("self_attn.kv_b_proj",),
    "out": ("self_attn.o_proj",),
}


def read(config: fields.Fields, layers: int) -> facts.Quantization | None:
    """Returns how a model's checkpoint packs matrices, or None for one that does not.

    Args:
        config: The root of config.json.
        layers: Layers of the model: an exception counts when it covers at least half of them.

    Raises:
        fields.UnreadableError: The method is none of those that have a formula here.
    """
    given = config.inside("quantization_config")
    if given is None:
        text = config.inside("text_config")
        given = text.inside("quantization_config") if text is not None else None
    if given is None:
        outer = config.inside("hf_quant_config")
        given = outer.inside("quantization") if outer is not None else None
    if given is None:
        return None
    method = given.text("quant_method", "modelopt" if "quant_algo" in given else "")
    exceptions = _exceptions(_left_out(given), layers)
    if given.text("quant_algo") == "MIXED_PRECISION":
        return _mixed(method, given)
    if method in ("fp8", "fbgemm_fp8"):
        return _fp8(method, given, exceptions)
    if method in ("awq", "gptq", "auto-round"):
        return _grouped(method, given, exceptions)
    if method == "mxfp4":
        # All but the experts stays (vLLM, `Mxfp4Config`).
        return facts.Quantization(method, *_MXFP4, experts_only=True)
    if method == "modelopt":
        return _modelopt(given, exceptions)
    if method == "compressed-tensors":
        return _compressed(given, exceptions)
    if method == "bitsandbytes":
        bits = 4 if given.flag("load_in_4bit") else 8
        return facts.Quantization(method, bits, 64 if bits == 4 else 0, 32 if bits == 4 else 0)
    raise given.wrong(
        "quant_method",
        "one of fp8, fbgemm_fp8, awq, gptq, auto-round, mxfp4, modelopt, compressed-tensors, "
        "bitsandbytes; write the facts of other checkpoints by hand",
    )


def _fp8(method: str, given: fields.Fields, exceptions: Exceptions) -> facts.Quantization:
    block = given.items("weight_block_size")
    if given.text("expert_dtype") == "fp4":
        rest = tuple((part, 8) for part in (facts.Part.MIXER, facts.Part.DENSE, facts.Part.SHARED))
        return facts.Quantization(method, *_MXFP4, exceptions=rest)
    group = int(block[0]) * int(block[-1]) if block else 0
    return facts.Quantization(method, 8, group, 32 if group else 0, exceptions=exceptions)


def _grouped(method: str, given: fields.Fields, exceptions: Exceptions) -> facts.Quantization:
    bits = given.whole("bits", "w_bit", default=4)
    group = given.whole("group_size", "q_group_size", default=128, least=-1)
    zero = method == "awq" or not given.flag("sym", default=True)
    return facts.Quantization(
        method,
        bits,
        max(group, 0),
        16 + (bits if zero else 0),
        exceptions=exceptions,
    )


def _modelopt(given: fields.Fields, exceptions: Exceptions) -> facts.Quantization:
    algorithm = given.text("quant_algo", "FP8")
    if algorithm.startswith("FP8"):
        return facts.Quantization("modelopt", 8, exceptions=exceptions)
    if algorithm == "NVFP4":
        return facts.Quantization("modelopt", *_FLOAT_4, exceptions=exceptions)
    if algorithm == "MXFP8":
        return facts.Quantization("modelopt", 8, 32, 8, exceptions=exceptions)
    raise given.wrong("quant_algo", "FP8, NVFP4, MXFP8 or MIXED_PRECISION")


def _mixed(method: str, given: fields.Fields) -> facts.Quantization:
    """Returns a checkpoint that packs the networks in 4 bits, and the mixing halves in 8."""
    groups = given.inside("config_groups")
    if groups is None:
        raise given.wrong("config_groups", "there for MIXED_PRECISION")
    tables = any(
        "lm_head" in (weights.items("targets") or weights.items("targets__first") or [])
        for weights in (groups.inside(name) for name in groups.values)
        if weights is not None
    )
    packed: list[tuple[str, int]] = [(facts.Part.MIXER, 8)]
    if given.text("moe_quant_algo"):
        packed += [(facts.Part.SHARED, 8), (facts.Part.DENSE, 8)]
    return facts.Quantization(method, *_FLOAT_4, exceptions=tuple(packed), tables=tables)


def _compressed(given: fields.Fields, exceptions: Exceptions) -> facts.Quantization:
    groups = given.inside("config_groups")
    first = next((groups.inside(name) for name in groups.values), None) if groups else None
    weights = first.inside("weights") if first is not None else None
    if weights is None:
        raise given.wrong("config_groups", "a group with weights")
    bits = weights.whole("num_bits")
    group = weights.whole("group_size", default=0, least=-1)
    scale = 0
    if group > 0:
        micro = weights.text("scale_dtype") == "torch.uint8" or "fp4" in given.text("format")
        scale = 8 if micro else 16
        scale += 0 if weights.flag("symmetric", default=True) else bits
    return facts.Quantization(
        "compressed-tensors", bits, max(group, 0), scale, exceptions=exceptions
    )


def _left_out(given: fields.Fields) -> list[str]:
    """Returns the patterns of modules that stay as they are."""
    lists = (
        given.items(name)
        for name in ("ignore", "ignored_layers", "modules_to_not_convert", "exclude_modules")
    )
    return [str(pattern) for listed in lists for pattern in listed or []]


def _exceptions(patterns: Iterable[str], layers: int) -> Exceptions:
    """Returns the parts and matrices that a list of patterns leaves in 16 bits."""
    listed = _templates(patterns, layers)
    apart: dict[str, int] = {}
    for name, modules in _MODULES.items():
        if any(_covers(listed, module, layers) for module in modules):
            apart[name] = 16
    whole = facts.Part.MIXER in apart
    return tuple((k, v) for k, v in apart.items() if isinstance(k, facts.Part) or not whole)


def _templates(patterns: Iterable[str], layers: int) -> dict[str, set[str]]:
    """Returns the numbers of the layers that each pattern is about, by the pattern without them.

    Raises:
        fields.UnreadableError: There are more than any checkpoint has, or one has no translation.
    """
    every = {str(number) for number in range(layers)}
    numbers: dict[str, set[str]] = {}
    for pattern in patterns:
        for plain in _plain(pattern):
            named = _NUMBER.search(plain)
            if named is None:
                numbers[plain] = every
            else:
                template = f"{plain[: named.start(1)]}{_LAYER}{plain[named.end(1) :]}"
                numbers.setdefault(template, set()).add(named[1])
        if len(numbers) > _MOST_TEMPLATES:
            raise fields.UnreadableError(
                f"config.json: the quantization leaves out more than {_MOST_TEMPLATES} kinds of"
                " modules: write the facts of such a checkpoint by hand"
            )
    return numbers


def _plain(pattern: str) -> list[str]:
    """Returns the patterns with `*` that one pattern means, in the names that `_MODULES` has."""
    plain = re.sub(r"\b(language_model\.model|model\.language_model|backbone)\.", "model.", pattern)
    plain = plain.replace(".mixer.", ".self_attn.")
    return _expressions(plain) if plain.startswith("re:") else [plain]


def _expressions(pattern: str) -> list[str]:
    """Returns a regular expression as patterns with `*`.

    It is never run: a repository is anybody's, and an expression can take years. The expressions of
    checkpoints have dots, wildcards, numbers and one choice.

    Raises:
        fields.UnreadableError: It has something else.
    """
    text = pattern.removeprefix("re:").removeprefix("^")
    text, end = (text[:-1], "") if text.endswith("$") else (text, "*")
    text = re.sub(r"\.\*|\\d[+*]|\[0-9\][+*]", "*", text).replace("\\.", ".")
    before, opened, rest = text.partition("(")
    choices, _, after = rest.partition(")")
    plain = [f"{before}{choice}{after}{end}" for choice in choices.split("|")]
    if not opened:
        plain = [f"{text}{end}"]
    if not all(_TRANSLATED.fullmatch(one) for one in plain):
        raise fields.UnreadableError(
            f"config.json: the quantization leaves out {pattern[:60]!r}: nobody translates such an"
            " expression: write the facts of such a checkpoint by hand"
        )
    return plain


def _covers(templates: Mapping[str, set[str]], module: str, layers: int) -> bool:
    """Tells whether patterns leave a module out of at least half of the layers."""
    name = f"model.layers.{_LAYER}.{module}"
    apart = [numbers for template, numbers in templates.items() if _matches(template, name)]
    return 2 * len(set().union(*apart)) >= layers


def _matches(pattern: str, module: str) -> bool:
    """Tells whether a pattern leaves out a module, or one inside it."""
    if "*" not in pattern:
        return module == pattern or module.startswith(pattern + ".")
    return _fits(pattern, module) or _fits(pattern, module + ".x")


def _fits(pattern: str, text: str) -> bool:
    """Tells whether a text is what a pattern with `*` says, in one pass."""
    first, *middle, last = pattern.split("*")
    position = len(first)
    for piece in middle:
        begin = text.find(piece, position)
        if begin < 0:
            return False
        position = begin + len(piece)
    return text.startswith(first) and text.endswith(last) and position + len(last) <= len(text)
