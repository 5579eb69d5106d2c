"""Which image runs on which hardware: each is built for compute capabilities of its own.

README.md and .github/workflows/matrix.json of 1.9.3. The tag is the version, and before it what the
image is built for. Without a GPU: x86 alone. The image `cuda` holds programs for 7.5, 8.0, 9.0,
10.0 and 12.0, and picks one when it starts (cuda-all-entrypoint.sh): it is taken for a GPU that
nobody knows.
"""

from function.api import settings
from function.capacity import cards

CPU = "cpu"
ANY_GPU = "cuda"
# The image without anything before the version is that of 8.0.
AMPERE = "ampere"
_BY_CAPABILITY = {
    (7, 5): "turing",
    (8, 0): AMPERE,
    (8, 6): "86",
    (8, 9): "89",
    (9, 0): "hopper",
    (10, 0): "100",
    (12, 0): "120",
}


def of_card(card: cards.Card | None) -> str:
    """Returns what the image for a GPU is built for.

    Args:
        card: The GPU, or None where nobody knows it.
    """
    capability = None if card is None else card.capability
    return ANY_GPU if capability is None else _BY_CAPABILITY.get(capability, ANY_GPU)


def image(site: settings.Settings, version: str, chosen: str) -> str:
    """Returns the image of a version, without the site's mirror.

    Args:
        site: The settings.
        version: The version, without a v.
        chosen: What it is built for.
    """
    told = site.engine.tei
    tag = version if chosen == AMPERE else f"{chosen}-{version}"
    digest = told.digests.get(chosen) if version == told.version.removeprefix("v") else None
    return f"{told.image}:{tag}" + (f"@{digest}" if digest is not None else "")
