"""GPUs as the driver reports them.

Memory is `torch.cuda.get_device_properties().total_memory`: an "80 GB" H100 has 79.18 GiB.
Bandwidth and arithmetic are the vendor's figures without sparsity. A figure that no source gives is
0; a card whose memory no source gives is not here.
"""

import dataclasses
import re

from function import likeness

GIB = 1024**3

# Cards before Ada and Hopper.
_WITHOUT_FP8 = re.compile(r"(?i)(nvidia-|tesla-)?(t4|v100|a10g?|a100)(-|$)")


@dataclasses.dataclass(frozen=True)
class Card:
    """One product.

    Attributes:
        name: Product's name.
        memory_gib: GiB that the driver gives, the least of those seen where drivers differ.
        bandwidth_gb: GB (10^9 bytes) a second between memory and chip, nominal; 0 for unknown.
        tflops_16: Dense 10^12 operations a second in bf16; 0 for unknown.
        tflops_8: The same in fp8; 0 for a card that has none, or of which it is unknown: `fp8`
            tells the two apart.
        capability: NVIDIA's compute capability, by which an engine picks its kernels; None for a
            card of another vendor, or of which it is unknown.
        context_gib: GiB that a process's context takes beside the engine's budget; measured on an
            H100 and an H200.
    """

    name: str
    memory_gib: float
    bandwidth_gb: float
    tflops_16: float
    tflops_8: float
    capability: tuple[int, int] | None = None
    context_gib: float = 0.51

    @property
    def fp8(self) -> bool | None:
        """Whether the card computes in fp8, or None where nobody knows.

        Others unpack fp8 weights as they multiply.
        """
        if self.tflops_8 > 0:
            return True
        return False if _WITHOUT_FP8.match(self.name) else None

    @property
    def timed(self) -> bool:
        """Whether enough is known of the card to tell times."""
        return self.bandwidth_gb > 0 and self.tflops_16 > 0


# Memory: own measurements (H100, H200) and messages of PyTorch that name the card. Other figures:
# the system files of aisimulate 0.13 (NVIDIA, Apache-2.0), airunway's GPU models (A10G, A100-40),
# llmfit's (MI300X). No source gives memory as the driver reports it for H100 PCIe and B300: they
# are not here.
CARDS = (
    Card("T4", 14.57, 0, 0, 0, (7, 5)),
    Card("L4", 22.03, 300, 121, 242, (8, 9)),
    Card("A10G", 22.06, 600, 0, 0, (8, 6)),
    Card("L40S", 44.39, 864, 362, 733, (8, 9)),
    Card("A100-SXM-40GB", 39.38, 1555, 312, 0, (8, 0)),
    Card("A100-SXM-80GB", 79.14, 2039, 312, 0, (8, 0)),
    Card("H100-SXM-80GB", 79.18, 3350, 989, 1978, (9, 0)),
    Card("H200-SXM-141GB", 139.72, 4800, 989, 1978, (9, 0)),
    Card("B200-SXM", 178.35, 7700, 2250, 4500, (10, 0)),
    Card("RTX-PRO-6000-Server", 94.96, 1792, 467.8, 935.6, (12, 0)),
    Card("MI300X", 191.69, 5300, 0, 0),
)

# Spellings in lower case, with spaces between words: labels of GPU feature discovery, names of
# PyTorch's and of cloud providers. A name that could be either of two cards is none of them.
_SPELLINGS = (
    (r"t4", "T4"),
    (r"l4", "L4"),
    (r"a10g", "A10G"),
    (r"l40s( 48gb)?", "L40S"),
    (r"a100( sxm4?)? 40(gb)?", "A100-SXM-40GB"),
    (r"a100( sxm4?)? 80(gb)?", "A100-SXM-80GB"),
    (r"h100( sxm5?)?( 80(gb)?)?( hbm3)?", "H100-SXM-80GB"),
    (r"h200( sxm5?)?( 141(gb)?)?", "H200-SXM-141GB"),
    (r"b200( sxm6?)?", "B200-SXM"),
    (r"rtx pro 6000( blackwell)?( server( edition)?)?", "RTX-PRO-6000-Server"),
    (r"(instinct )?mi300x( oam)?", "MI300X"),
)

_BY_NAME = {card.name: card for card in CARDS}


def lookup(name: str) -> Card | None:
    """Returns a card by its product's name, or None for one that is not here.

    Args:
        name: A value of the label `nvidia.com/gpu.product`, or a usual name: `NVIDIA-L40S`,
            `NVIDIA-H100-80GB-HBM3`, `Tesla-T4`, `l4`.
    """
    words = " ".join(re.split(r"[\s_-]+", name.strip().lower()))
    words = re.sub(r"^((nvidia|amd|tesla) )+", "", words)
    # A GPU that pods share in time has all of its memory.
    words = words.removesuffix(" shared")
    fitting = (card for pattern, card in _SPELLINGS if re.fullmatch(pattern, words))
    card = next(fitting, None)
    return None if card is None else _BY_NAME[card]


def sliced(product: str) -> bool:
    """Tells whether a product's name is that of a part of a GPU (MIG)."""
    return re.search(r"(?i)(^|[-_ ])mig([-_ ]|$)", product) is not None


def nearest(product: str) -> tuple[str, ...]:
    """Returns the names of cards that resemble a product's name, the nearest first."""
    words = re.sub(r"^((nvidia|amd|tesla)[-_ ])+", "", product.strip().lower())
    models = {name.partition("-")[0].lower() for name in _BY_NAME}
    close = likeness.nearest(words.partition("-")[0], sorted(models), 2)
    names = (name for model in close for name in _BY_NAME if name.lower().startswith(model))
    return tuple(dict.fromkeys(names))[:2]
