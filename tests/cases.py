"""One test for all cases of a table, where a test for each would cost more than its body.

Collecting, sending and reporting a test takes some milliseconds in each worker. Use it where a case
takes less than that and leaves nothing behind.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


Cases = Iterable[tuple[Any, Any]]


def together(argument: str, cases: Cases | Callable[[], Cases]) -> Callable[[Test], Test]:
    """Asks a test of every case, also after one has failed; the failure names all that do.

    Args:
        argument: The test's parameter that takes a case.
        cases: Each with a name of its own; a function that returns them is asked when the test
            runs, and not in every worker.
    """

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        others = [one for name, one in signature.parameters.items() if name != argument]

        def whole(**given: Any) -> None:
            listed = list(cases() if callable(cases) else cases)
            assert len({str(name) for name, _ in listed}) == len(listed) > 0, "cases need names"
            broken: list[tuple[str, Exception]] = []
            for name, case in listed:
                try:
                    test(**given, **{argument: case})
                except Exception as error:  # all of them are told
                    broken.append((str(name), error))
            if broken:
                (_, first), *_ = broken
                first.add_note(f"{len(broken)} of {len(listed)} cases fail:")
                for name, one in broken:
                    first.add_note(f"- {name}: {next(iter(str(one).splitlines()), '')}")
                raise first

        whole.__name__, whole.__doc__ = test.__name__, test.__doc__
        whole.__module__, whole.__qualname__ = test.__module__, test.__qualname__
        whole.__dict__.update(test.__dict__)
        whole.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return whole

    return decorate


def named(rows: Iterable[Any]) -> list[tuple[str, Any]]:
    """Returns rows of a table, each by its own name."""
    return [(row.name, row) for row in rows]
