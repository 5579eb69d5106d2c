"""GPUs as the driver reports them.

Memory is `torch.cuda.get_device_properties().total_memory`: an "80 GB" H100 has 79.19 GiB.
Bandwidth and arithmetic are the vendor's figures without sparsity.
"""

import dataclasses

GIB = 1024**3


@dataclasses.dataclass(frozen=True)
class Card:
    """One product.

    Attributes:
        name: Product's name, as a GPU class of the settings writes it.
        memory_gib: GiB that the driver gives, the least of those seen where drivers differ.
        bandwidth_gb: GB (10^9 bytes) a second between memory and chip, nominal.
        tflops_16: Dense 10^12 operations a second in bf16.
        tflops_8: The same in fp8; 0 for a card that has none.
        context_gib: GiB that a process's context takes beside the engine's budget.
    """

    name: str
    memory_gib: float
    bandwidth_gb: float
    tflops_16: float
    tflops_8: float
    context_gib: float = 0.51

    @property
    def fp8(self) -> bool:
        """Whether the card computes in fp8; others unpack fp8 weights as they multiply."""
        return self.tflops_8 > 0
