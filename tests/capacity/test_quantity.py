"""Kubernetes quantities."""

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.capacity import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        (2, "2"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        ("2k", "2000"),
        ("1M", "1000000"),
        ("1G", "1000000000"),
        ("1T", "1000000000000"),
        ("1P", "1000000000000000"),
        ("1E", "1000000000000000000"),
        ("1Ki", "1024"),
        ("1.5Ki", "1536"),
        ("16Mi", "16777216"),
        ("16Gi", "17179869184"),
        ("1Ti", "1099511627776"),
        ("1Pi", "1125899906842624"),
        ("1Ei", "1152921504606846976"),
    ],
)
def test_parse(text: int | str, value: str) -> None:
    assert quantity.parse(text) == decimal.Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1Gb", "1gi", "x", "1i", "1mG"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("value", "gib", "total"),
    [
        ("16Gi", 16, "32Gi"),
        ("16384Mi", 16, "32Gi"),
        ("1.5Gi", 1, "2560Mi"),
        ("1Ti", 1, "1025Gi"),
        ("1025Ki", 1, "1049601Ki"),
        ("1G", 1, "2073741824"),
        (0, 1, "1Gi"),
        ("500m", 1, "1073741825"),
    ],
)
def test_add_gib(value: int | str, gib: int, total: str) -> None:
    assert quantity.add_gib(value, gib) == total


@given(st.integers(0, 2**50), st.integers(0, 4096))
def test_adding_loses_nothing(value: int, gib: int) -> None:
    total = quantity.add_gib(value, gib)
    assert quantity.parse(total) == value + gib * 2**30


@pytest.mark.parametrize(
    ("step", "amount", "whole"),
    [
        ("2Mi", "9999999999999999999999999999Ei", True),
        ("1", "9999999999999999Ei", True),
        ("1", "99999999999999999999999999999.5", False),
        ("2Mi", "3Mi", False),
        ("1e60", "1", False),
    ],
)
def test_steps_of_any_length_divide(step: str, amount: str, whole: bool) -> None:
    assert quantity.divides(quantity.parse(step), quantity.parse(amount)) is whole
