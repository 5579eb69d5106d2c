"""Kubernetes quantities (k8s.io/apimachinery/pkg/api/resource/quantity.go), exactly."""

import decimal
import re

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


# What Kubernetes keeps of an amount: a larger one it cuts, silently.
MOST = 2**63 - 1

# Digits of the largest whole number that a claim or a template can hold are fewer.
_EXACT = decimal.Context(prec=400)

# A bounded exponent: to write 1e999999 out would take seconds.
_FORM = re.compile(
    r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?)([A-Za-z]{0,2})"
)


def parse(value: int | str) -> decimal.Decimal:
    """Returns the quantity as a number of base units (bytes, cores).

    Raises:
        ValueError: The text is no quantity.
    """
    if isinstance(value, int):
        return decimal.Decimal(value)
    written = _FORM.fullmatch(value)
    if written is None or written[2] not in _UNITS:
        raise ValueError(f"{value!r} is not a quantity")
    return _EXACT.multiply(decimal.Decimal(written[1]), _UNITS[written[2]])


def divides(step: decimal.Decimal, amount: decimal.Decimal) -> bool:
    """Tells whether an amount is a whole number of steps.

    In decimal's own context a quotient of more than 28 digits is an error.
    """
    return _EXACT.remainder(amount, step) == 0


def add_gib(value: int | str, gib: int) -> str:
    """Returns a memory quantity with so many GiB on top, in the largest exact binary unit."""
    with decimal.localcontext(_EXACT):
        total = parse(value) + gib * _UNITS["Gi"]
        for unit in ("Gi", "Mi", "Ki"):
            if total % _UNITS[unit] == 0:
                return f"{int(total / _UNITS[unit])}{unit}"
        return str(int(total.to_integral_value(decimal.ROUND_CEILING)))
