"""What a release says and holds, for the workflow that makes it.

``python tools/release.py check v1.2.3`` compares a tag with the version and the change log,
``notes`` prints the release text, ``outputs`` and ``images`` what the workflow signs and describes.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Sequence

# Also run as a file: `python tools/release.py` has tools/, not the repository, on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import function
import preload
from tools import build, package

CHANGELOG = package.ROOT / "CHANGELOG.md"
# What the preload image is made from and does; a new base alone is no reason for a new version.
_PRELOAD_SOURCES = ("preload", "exporter", "judge", "requirements/preload.txt")
# Names of what is released, as in the outputs of the workflow's steps.
_NAMES = {
    package.FUNCTION: "function",
    package.CONFIGURATION: "configuration",
    package.PRELOAD: "preload",
}


class ReleaseError(Exception):
    """A tag cannot be released; the message says why."""


def section(version: str, text: str) -> tuple[str, str]:
    """What the change log says of a version, and when it was released.

    Args:
        version: Such as ``1.2.3``.
        text: The change log, in the format of Keep a Changelog.

    Returns:
        What follows the heading of the version, up to the next one; and the heading's last word.

    Raises:
        ReleaseError: The version has no section, or nothing is in it.
    """
    heading = re.search(rf"^## \[{re.escape(version)}\] - (\S+)$", text, re.MULTILINE)
    if heading is None:
        message = f"the change log has no section [{version}]"
        raise ReleaseError(message)
    rest = text[heading.end() :]
    end = re.search(r"^## ", rest, re.MULTILINE)
    content = rest[: end.start()] if end else rest
    if not content.strip():
        message = f"the change log says nothing of {version}"
        raise ReleaseError(message)
    return content.strip() + "\n", heading[1]


def check(tag: str, text: str) -> None:
    """See to it that a tag is what the tree is.

    Args:
        tag: Such as ``v1.2.3``.
        text: The change log.

    Raises:
        ReleaseError: The tag is of another version, or the change log has no date for it.
    """
    if tag != f"v{function.__version__}":
        message = f"tag {tag} is not the version of the tree, v{function.__version__}"
        raise ReleaseError(message)
    _, date = section(function.__version__, text)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", date) is None:
        message = f"the change log has no date for {tag}, but {date!r}"
        raise ReleaseError(message)


def check_preload(tag: str, root: pathlib.Path) -> None:
    """See to it that a changed preload program has a version of its own.

    The image of a version is pushed once: under the old version a changed program would not be
    released at all.

    Args:
        tag: What is about to be released.
        root: The repository, with the tags of earlier releases.

    Raises:
        ReleaseError: An earlier release has another program under the same version.
    """
    for earlier in _git(root, "tag", "--list", "v*").split():
        if earlier == tag:
            continue
        there = _git(root, "ls-tree", "--name-only", earlier, "preload/__init__.py")
        text = _git(root, "show", f"{earlier}:preload/__init__.py") if there else ""
        if f'__version__ = "{preload.__version__}"' not in text:
            continue
        changed = _git(root, "diff", "--name-only", earlier, "--", *_PRELOAD_SOURCES).split()
        if changed:
            message = (
                f"preload {preload.__version__} was released with {earlier} and has changed since"
                f" ({', '.join(changed)}): raise preload.__version__"
            )
            raise ReleaseError(message)


def _git(root: pathlib.Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", root, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        message = f"git {arguments[0]}: {done.stderr.strip()}"
        raise ReleaseError(message)
    return done.stdout


def notes(tag: str, text: str, references: Sequence[str]) -> str:
    """The release text: the section of the change log, and what to install, by digest.

    Links into the repository are made absolute, because the text stands elsewhere.

    Raises:
        ReleaseError: The change log says nothing of the tag's version.
    """
    content, _ = section(tag.removeprefix("v"), text)
    source = package.source()
    content = re.sub(r"\]\((?![a-z]+:)([^)]+)\)", rf"](https://{source}/blob/{tag}/\1)", content)
    listed = "\n".join(references)
    return f"{content}\n### Packages\n\n```text\n{listed}\n```\n" if references else content


def outputs(references: Sequence[str]) -> dict[str, str]:
    """Repository and digest of each reference, for the steps of a workflow.

    Args:
        references: ``<repository>:<tag>@<digest>`` each.
    """
    values: dict[str, str] = {}
    for reference in references:
        tagged, _, digest = reference.partition("@")
        repository = tagged.rpartition(":")[0]
        name = _NAMES[repository.rpartition("/")[2]]
        values |= {f"{name}_name": repository, f"{name}_digest": digest}
    return values


def images(references: Sequence[str]) -> dict[str, str]:
    """The images with software in them, one for each architecture, by name.

    Raises:
        package.PackageError: The registry did not answer.
    """
    by_name = {}
    for reference in references:
        tagged, _, _ = reference.partition("@")
        repository = tagged.rpartition(":")[0]
        name = repository.rpartition("/")[2]
        if name == package.CONFIGURATION:  # nothing but YAML
            continue
        index = json.loads(package.run("crane", "manifest", reference))
        for entry in index["manifests"]:
            architecture = entry["platform"]["architecture"]
            by_name[f"{name}-{architecture}"] = f"{repository}@{entry['digest']}"
    return by_name


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check and describe a release.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("check", "compare a tag with the versions and the change log"),
        ("notes", "print the release text"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("tag", help="such as v1.2.3")
        if name == "notes":
            command.add_argument("references", type=pathlib.Path, nargs="?")
    for name, text in (
        ("outputs", "print repositories and digests as outputs of a workflow's step"),
        ("images", "print name and reference of each image"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("references", type=pathlib.Path, help="file with one on each line")
    return parser.parse_args(arguments)


def _output(options: argparse.Namespace) -> str:
    """What a command prints.

    Raises:
        ReleaseError: The tag cannot be released.
        package.PackageError: The registry did not answer.
    """
    text = CHANGELOG.read_text()
    given = getattr(options, "references", None)
    references = given.read_text().split() if given else []
    if options.command == "check":
        check(options.tag, text)
        check_preload(options.tag, package.ROOT)
        return ""
    if options.command == "notes":
        return notes(options.tag, text, references)
    if options.command == "outputs":
        return "".join(f"{name}={value}\n" for name, value in outputs(references).items())
    return "".join(f"{name} {value}\n" for name, value in images(references).items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked for; exit status 1 when that fails."""
    try:
        print(_output(_arguments(arguments)), end="")
    except (ReleaseError, package.PackageError, build.BuildError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
