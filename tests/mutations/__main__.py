"""Puts each seeded defect into a copy of the tree and runs the tests that must notice it.

    python -m tests.mutations                        all of them
    python -m tests.mutations life objects           those of two lists
    python -m tests.mutations -k probe               those with `probe` in their names
    python -m tests.mutations --tests tests/golden   which of them these tests notice

Exit codes: 0 all are noticed, 1 some are not, 2 the tests fail without any defect.
"""

import argparse
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent import futures

from tests import crds, mutations

# A file's bytecode is believed by its time in seconds: each writing gets one of its own.
_LATER = 2


def copy(target: pathlib.Path) -> pathlib.Path:
    """Copies everything that git knows, or would, to a folder, and returns that."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=mutations.ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        source = mutations.ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def failures(tree: pathlib.Path, tests: tuple[str, ...]) -> list[str]:
    """Returns the lines in which pytest names what fails in a tree."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=no", "-rfE", *tests],
        cwd=tree,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(tree)},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode not in (0, 1, 2) or bool(lines) is (done.returncode == 0):
        raise RuntimeError(done.stdout + done.stderr)
    return lines


def is_of(line: str, test: str) -> bool:
    """Tells whether pytest's line about a failure is about a test, or one of a file's."""
    _, _, named = line.partition(" ")
    return named.startswith(test) and named.removeprefix(test)[:1] in ("", " ", "[", ":", "/")


def write(path: pathlib.Path, text: str) -> None:
    """Writes a file so that its older bytecode is not taken for it."""
    later = path.stat().st_mtime + _LATER
    path.write_text(text)
    os.utime(path, (later, later))


def unnoticed(
    mutation: mutations.Mutation, tree: pathlib.Path, override: tuple[str, ...]
) -> list[str]:
    """Returns the tests that pass in spite of the defect."""
    path = tree / mutation.file
    whole = path.read_text()
    write(path, whole.replace(mutation.old, mutation.new))
    tests = override or mutation.tests
    try:
        noticed = failures(tree, tests)
        return [test for test in tests if not any(is_of(line, test) for line in noticed)]
    finally:
        write(path, whole)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("lists", nargs="*", help="names of files of the list, all when absent")
    parser.add_argument("-k", dest="word", default="", help="only those with this in their names")
    parser.add_argument("-n", dest="jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--tests", nargs="+", default=[], help="instead of those in the list")
    options = parser.parse_args()
    chosen = [m for m in mutations.every(tuple(options.lists)) if options.word in m.name]
    lost = [problem for m in chosen if (problem := mutations.anchored(m)) is not None]
    if lost:
        print("\n".join(lost))
        return 2
    override = tuple(options.tests)
    with tempfile.TemporaryDirectory() as folder:
        if crds.SHARED.is_dir():  # beside the tree, as it is beside this one
            place = pathlib.Path(folder) / crds.SHARED.relative_to(mutations.ROOT.parent)
            place.parent.mkdir(parents=True)
            place.symlink_to(crds.SHARED)
        trees: queue.Queue[pathlib.Path] = queue.Queue()
        for number in range(options.jobs):
            trees.put(copy(pathlib.Path(folder) / str(number)))
        needed = tuple(sorted({test for m in chosen for test in override or m.tests}))
        if noticed := failures(pathlib.Path(folder) / "0", needed):
            print("these fail without any defect:", *noticed, sep="\n")
            return 2

        def attempt(mutation: mutations.Mutation) -> list[str]:
            tree = trees.get()
            try:
                return unnoticed(mutation, tree, override)
            finally:
                trees.put(tree)

        missed = 0
        with futures.ThreadPoolExecutor(options.jobs) as pool:
            for mutation, blind in zip(chosen, pool.map(attempt, chosen), strict=True):
                missed += bool(blind)
                words = f"NOT CAUGHT by {' '.join(blind)}" if blind else "caught"
                print(f"{mutation.name}: {words}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
