"""The function without its question for names that are taken: ``python -m e2e.unasking`` serves it.

What is left to keep strangers' objects from being adopted is the admission policy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from function import composition, main
from function.boundary import adoption
from function.cluster import observed


def _nothing(
    world: observed.Observed,
    unobserved: Iterable[composition.Composed],
    optional: Collection[tuple[str, str]],
) -> dict[str, composition.Selector]:
    del world, unobserved, optional
    return {}


if __name__ == "__main__":
    adoption.questions = _nothing
    main.main()
