"""Names the tests that failed and then passed, and keeps a record of them that outlives the run.

``python tools/flaky.py FIRST AGAIN RECORD``: a report of pytest on the whole suite, one on the
files in which something failed, tried once more (both ``--junitxml``, of the family ``xunit1``),
and the record. A line of the record is a flake whose cause is not mended yet:
``DATE TEST # CAUSE``. A test that flakes for the first time is added. One that stands there already
is the exit status 1. Needs nothing beyond the standard library.
"""

from __future__ import annotations

import datetime
import pathlib
import re
import sys
from collections.abc import Sequence

# Also run as a file: `python tools/flaky.py` has tools/, not the repository, on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tools import failed

_LINE = re.compile(r"(?P<date>\d{4}-\d\d-\d\d) (?P<test>.+?) # (?P<cause>.+)")
_UNKNOWN = "cause not looked for yet"


def recorded(record: pathlib.Path) -> dict[str, str]:
    """The lines of a record by test.

    Args:
        record: Absent when nothing ever flaked.

    Raises:
        ValueError: A line is neither a flake nor a comment.
    """
    lines = record.read_text().splitlines() if record.exists() else []
    tests = {}
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            message = f"{record}: not `DATE TEST # CAUSE`: {line}"
            raise ValueError(message)
        tests[match["test"]] = line
    return tests


def add(record: pathlib.Path, tests: Sequence[str], date: datetime.date) -> None:
    """Add tests that flaked for the first time to the end of a record."""
    lines = [f"{date} {test} # {_UNKNOWN}\n" for test in tests]
    text = record.read_text() if record.exists() else ""
    record.write_text(text + "".join(lines))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the flakes, one a line, and record them; exit status 1 when one is not the first."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 3:
        print("usage: flaky.py FIRST AGAIN RECORD", file=sys.stderr)
        return 1
    first, again, record = map(pathlib.Path, given)
    flaked = failed.flaked(first, again)
    before = recorded(record)
    new = [test for test in flaked if test not in before]
    for test in flaked:
        print(f"flaky again, {before[test]}" if test in before else f"flaky {test}")
    if new:
        add(record, new, datetime.datetime.now(datetime.UTC).date())
        print(f"commit {record} with what is known of the cause: the next flake of a test fails")
    return 1 if len(new) < len(flaked) else 0


if __name__ == "__main__":
    sys.exit(main())
