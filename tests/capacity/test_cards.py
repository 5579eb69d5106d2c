"""Which card a name means."""

import pytest

from function.capacity import cards


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("NVIDIA-L40S", "L40S"),
        ("NVIDIA-L4", "L4"),
        ("Tesla-T4", "T4"),
        ("NVIDIA-A10G", "A10G"),
        ("NVIDIA-A100-SXM4-40GB", "A100-SXM-40GB"),
        ("NVIDIA-A100-SXM4-80GB", "A100-SXM-80GB"),
        ("NVIDIA-H100-80GB-HBM3", "H100-SXM-80GB"),
        ("NVIDIA-H200", "H200-SXM-141GB"),
        ("NVIDIA-B200", "B200-SXM"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "RTX-PRO-6000-Server"),
        ("AMD_Instinct_MI300X_OAM", "MI300X"),
        ("NVIDIA-L4-SHARED", "L4"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM-80GB"),
        ("l40s", "L40S"),
        # One of two sizes, another product, or one that no source tells of.
        ("A100", None),
        ("NVIDIA-A10", None),
        ("NVIDIA-H100-PCIe", None),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", None),
        ("", None),
    ],
)
def test_a_name_means_a_card_or_none(name: str, card: str | None) -> None:
    answer = cards.lookup(name)
    assert (None if answer is None else answer.name) == card


@pytest.mark.parametrize("card", cards.CARDS, ids=lambda card: card.name)
def test_each_card_is_found_by_its_own_name(card: cards.Card) -> None:
    assert cards.lookup(card.name) is card


def test_cards_say_whether_they_compute_in_fp8() -> None:
    assert {card.name for card in cards.CARDS if card.fp8} >= {"L4", "L40S", "H100-SXM-80GB"}
    assert not any(card.fp8 for card in cards.CARDS if card.name.startswith(("A100", "T4", "A10G")))


@pytest.mark.parametrize(
    ("name", "fp8"),
    [("L4", True), ("A100-SXM-80GB", False), ("NVIDIA-A10", False), ("h100", None), ("l4", None)],
)
def test_a_card_that_nobody_knows_has_fp8_or_not(name: str, *, fp8: bool | None) -> None:
    named = {card.name: card for card in cards.CARDS}
    assert named.get(name, cards.Card(name, 80, 0, 0, 0)).fp8 is fp8
