"""Kubernetes quantities (k8s.io/apimachinery/pkg/api/resource/quantity.go), exactly."""

import decimal

_UNITS = {
    "": decimal.Decimal(1),
    "m": decimal.Decimal("0.001"),
    "k": decimal.Decimal(10) ** 3,
    "M": decimal.Decimal(10) ** 6,
    "G": decimal.Decimal(10) ** 9,
    "T": decimal.Decimal(10) ** 12,
    "P": decimal.Decimal(10) ** 15,
    "E": decimal.Decimal(10) ** 18,
    "Ki": decimal.Decimal(2) ** 10,
    "Mi": decimal.Decimal(2) ** 20,
    "Gi": decimal.Decimal(2) ** 30,
    "Ti": decimal.Decimal(2) ** 40,
    "Pi": decimal.Decimal(2) ** 50,
    "Ei": decimal.Decimal(2) ** 60,
}


def parse(value: int | str) -> decimal.Decimal:
    """Returns the quantity as a number of base units (bytes, cores).

    Raises:
        ValueError: The text is no quantity.
    """
    text = str(value)
    digits = text.rstrip("mkKMGTPEi")
    unit = text[len(digits) :]
    if unit not in _UNITS:
        raise ValueError(f"{text!r} is not a quantity")
    try:
        return decimal.Decimal(digits) * _UNITS[unit]
    except decimal.InvalidOperation:
        raise ValueError(f"{text!r} is not a quantity") from None


def add_gib(value: int | str, gib: int) -> str:
    """Returns a memory quantity with so many GiB on top, in the largest exact binary unit."""
    total = parse(value) + gib * _UNITS["Gi"]
    for unit in ("Gi", "Mi", "Ki"):
        if total % _UNITS[unit] == 0:
            return f"{int(total / _UNITS[unit])}{unit}"
    return str(int(total.to_integral_value(decimal.ROUND_CEILING)))
