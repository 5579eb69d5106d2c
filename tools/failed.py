"""Prints the files in which a test failed, one a line: ``python tools/failed.py build/e2e.xml``.

From a report of pytest (``--junitxml``, of the family ``xunit1``, which names files). Not the tests
themselves: those that follow one another in a file cannot be tried again one by one. Needs nothing
beyond the standard library.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree


def _cases(report: pathlib.Path) -> Iterator[tuple[str, str, bool]]:
    """File and name of each test that ran, and whether it passed.

    Args:
        report: Absent when pytest did not get as far: then there are none.

    Raises:
        ElementTree.ParseError: It is not XML.
    """
    if not report.exists():
        return
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by our own pytest
        passed = all(case.find(outcome) is None for outcome in ("failure", "error", "skipped"))
        if "file" in case.attrib:
            yield case.attrib["file"], case.attrib.get("name", ""), passed


def files(report: pathlib.Path) -> list[str]:
    """The files in which a test failed, sorted.

    Raises:
        ElementTree.ParseError: The report is not XML.
    """
    return sorted({file for file, _, passed in _cases(report) if not passed})


def flaked(first: pathlib.Path, again: pathlib.Path) -> list[str]:
    """The tests that failed in one report and passed in another, as pytest names them; sorted.

    Raises:
        ElementTree.ParseError: A report is not XML.
    """
    # A test whose teardown failed too is in a report twice.
    failed = {(file, name) for file, name, passed in _cases(first) if not passed}
    still = {(file, name) for file, name, passed in _cases(again) if not passed}
    passed = {(file, name) for file, name, passed in _cases(again) if passed}
    return sorted(f"{file}::{name}" for file, name in failed & passed - still)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the files; exit status 1 without exactly one report."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        print("usage: failed.py REPORT", file=sys.stderr)
        return 1
    for name in files(pathlib.Path(given[0])):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
