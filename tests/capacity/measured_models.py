"""The models and cards of the measured rows, as facts: figures of the public config.json files."""

from function.capacity import cards, facts, work


def decoder(
    name: str,
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    intermediate: int,
    vocabulary: int,
    *,
    head_size: int = 128,
    tied: bool = False,
    experts: int = 0,
    chosen: int = 0,
    window: int = 0,
) -> facts.Facts:
    """Returns a decoder of equal layers with grouped attention."""
    queries, keys = heads * head_size, kv_heads * head_size
    mixer = facts.Mixer(
        kind=facts.Mixing.WINDOW if window else facts.Mixing.FULL,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        window=window,
        parameters=hidden * (queries + 2 * keys) + queries * hidden,
    )
    network = facts.Network(intermediate=intermediate, experts=experts, chosen=chosen)
    return facts.Facts(
        name=name,
        architecture="",
        hidden=hidden,
        vocabulary=vocabulary,
        tied=tied,
        dtype_bytes=2,
        blocks=(facts.Block(layers, mixer, network),),
        context=40960,
    )


MODELS = {
    model.name: model
    for model in (
        decoder("Qwen/Qwen2.5-Coder-1.5B", 1536, 28, 12, 2, 8960, 151936, tied=True),
        decoder("Qwen/Qwen3-8B", 4096, 36, 32, 8, 12288, 151936),
        decoder("Qwen/Qwen3-14B", 5120, 40, 40, 8, 17408, 151936),
        decoder("Qwen/Qwen3-32B", 5120, 64, 64, 8, 25600, 151936),
        decoder("meta-llama/Llama-3.1-8B-Instruct", 4096, 32, 32, 8, 14336, 128256),
        decoder("Qwen/Qwen3-30B-A3B", 2048, 48, 32, 4, 768, 151936, experts=128, chosen=8),
    )
}

CARDS = {
    card.name: card
    for card in (
        cards.Card("L4", 22.03, 300, 121, 242),
        cards.Card("A10G", 22.06, 600, 0, 0),
        cards.Card("L40S", 44.39, 864, 362, 733),
        cards.Card("A100-SXM-80GB", 79.15, 2039, 312, 0),
        cards.Card("RTX-PRO-6000-Server", 94.97, 1792, 467.8, 935.6),
        cards.Card("H100-SXM-80GB", 79.18, 3350, 989, 1978),
        cards.Card("H200-SXM-141GB", 139.72, 4800, 989, 1978),
        cards.Card("B200-SXM", 178.35, 7700, 2250, 4500),
        cards.Card("MI300X", 191.69, 5300, 0, 0),
    )
}
H100, H200 = CARDS["H100-SXM-80GB"], CARDS["H200-SXM-141GB"]
MEASURED_CARDS = {"H100": H100, "H200": H200}


def of(model: str, weights: str = "bf16", tensor_parallel: int = 1) -> work.Work:
    """Returns the work of a measured model, its weights in bf16 or packed as fp8 at load."""
    packing = work.FP8 if weights == "fp8" else None
    return work.of(MODELS[model], packing, tensor_parallel)
