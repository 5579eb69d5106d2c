"""Prints the files in which a test failed, one a line: ``python tools/failed.py build/e2e.xml``.

From a report of pytest (``--junitxml``, of the family ``xunit1``, which names files). Not the tests
themselves: those that follow one another in a file cannot be tried again one by one. Needs nothing
beyond the standard library.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from xml.etree import ElementTree


def files(report: pathlib.Path) -> list[str]:
    """The files, sorted.

    Args:
        report: Absent when pytest did not get as far: then there are none.

    Raises:
        ElementTree.ParseError: It is not XML.
    """
    if not report.exists():
        return []
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - written by our own pytest
    found = (
        case.attrib.get("file")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    return sorted({name for name in found if name is not None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print them; exit status 1 without exactly one report."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        print("usage: failed.py REPORT", file=sys.stderr)
        return 1
    for name in files(pathlib.Path(given[0])):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
