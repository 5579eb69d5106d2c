"""Promptfoo's results: which cases passed, which failed, and which had no answer.

In the file of Promptfoo 0.106 to 0.123 `results.results` has an entry for each case. `success` says
whether it passed, and `failureReason` is 2 where no answer came (src/types/index.ts).
"""

import dataclasses
import json
import pathlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

PASSED, FAILED, ERROR = "passed", "failed", "error"
_NO_ANSWER = 2
# A case that does not say what it is of: the author's own.
_OWN = "own"
_LARGEST = 64 * 2**20


class ResultsError(Exception):
    """The results cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Results:
    """What came of an evaluation.

    Attributes:
        cases: How many cases of each name ended how.
        seconds: How long all of them took, or None where nobody wrote it.
    """

    cases: Mapping[tuple[str, str], int]
    seconds: float | None

    @property
    def ratio(self) -> float:
        """The share of cases that passed."""
        passed = sum(count for (_, how), count in self.cases.items() if how == PASSED)
        return passed / sum(self.cases.values())


def read(path: pathlib.Path) -> Results:
    """Returns the results in a file.

    Raises:
        ResultsError: There is no such file, it is no result of Promptfoo's, or no case was asked.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ResultsError(f"{path} is larger than {_LARGEST} bytes")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ResultsError(f"{path} is no JSON: {error}") from error
    entries = _at(document, "results", "results")
    if not isinstance(entries, list):
        raise ResultsError(f"{path} has no list results.results: it is not Promptfoo's")
    if not entries:
        raise ResultsError(f"{path} has no case: nothing was asked")
    took = _at(document, "results", "stats", "durationMs")
    return Results(
        Counter((_name(entry), _end(entry)) for entry in entries),
        took / 1000 if isinstance(took, int | float) else None,
    )


def _name(entry: Any) -> str:
    name = _at(entry, "testCase", "metadata", "case")
    return name if isinstance(name, str) and name else _OWN


def _end(entry: Any) -> str:
    if _at(entry, "success") is True:
        return PASSED
    return ERROR if _at(entry, "failureReason") == _NO_ANSWER else FAILED


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
