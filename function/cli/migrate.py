"""`inference-service migrate`: claims of 0.9.0 as they are written today."""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

import click

from function import strict_yaml
from function.api import base, claim, settings
from function.cli import (
    documents,
    edits,
    migration,
    options,
    result,
    sites,
    suggestions,
    terminal,
    trees,
)

Output = Literal["yaml", "json", "summary"]

WOULD_CHANGE = 3


@dataclasses.dataclass(frozen=True)
class _Claim:
    """A claim of a file, and what becomes of it."""

    source: documents.Source
    place: edits.Place
    migrated: migration.Migrated


@dataclasses.dataclass(frozen=True)
class _File:
    """A file, as it is and as it is to be."""

    name: str
    before: str
    after: str
    claims: tuple[_Claim, ...]


@click.command()
@click.argument("claims", nargs=-1, required=True, metavar="CLAIM...", type=options.FILE)
@options.environments(
    "EnvironmentConfig with the site's settings, under which each claim has to become the"
    " same objects; repeatable. Neutral settings without one."
)
@options.output(
    "yaml",
    "json",
    "summary",
    words="yaml is the files as they would be, with their comments. json is the claims as a List."
    " summary says what is written otherwise.",
)
@click.option("--in-place", is_flag=True, help="Rewrite the files, and print the summary.")
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing, print the summary, and exit with 3 when something would change.",
)
def migrate(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    output: Output,
    in_place: bool,
    check: bool,
) -> None:
    """Write claims of 0.9.0 as they are written today, in files, directories or `-`.

    Takes files of git and what `kubectl get -o yaml` prints. A field is written otherwise only
    when the claim still becomes the same objects; what stays for that reason is told on standard
    error.

    Exit codes: 0 all was migrated. 1 a claim is refused as it is. 2 wrong usage, no claim at all,
    or something could not be read or written. 3 something would change (--check).
    """
    if in_place and check:
        raise click.UsageError("--in-place writes and --check does not: give one of them")
    names = [*claims, *environments]
    if names.count("-") > 1:
        raise click.UsageError("standard input can be read once: `-` stands there twice")
    if in_place and "-" in claims:
        raise click.UsageError("--in-place rewrites files: standard input is none")
    unreadable: list[str] = []
    site = _site(environments)
    files = list(_files(claims, site, unreadable))
    if not unreadable and not any(file.claims for file in files):
        unreadable.append(f"no InferenceService in {', '.join(claims)}")
    for line in [*unreadable, *_notes(files)]:
        terminal.complain(line)
    if in_place:
        for file in files:
            _write(file)
    terminal.write(_text(files, "summary" if in_place or check else output))
    sys.exit(_code(files, unreadable, check=check))


def _site(environments: tuple[str, ...]) -> settings.Settings:
    try:
        site = sites.read(environments, None)
    except documents.UnreadableError as error:
        terminal.complain(str(error))
        sys.exit(result.NOT_READ)
    except base.InvalidError as error:
        for problem in suggestions.hinted(error, settings.Settings, {}):
            terminal.complain(f"{error.what}: {problem}")
        sys.exit(result.CANNOT_BE_USED)
    for note in site.notes:
        terminal.complain(note)
    return site.settings


def _files(
    names: tuple[str, ...], site: settings.Settings, unreadable: list[str]
) -> Iterator[_File]:
    """Yields each file; what cannot be read is added to the list."""
    for name in names:
        for file in trees.DISK.files(name, lambda error: unreadable.append(str(error))):
            try:
                text = trees.DISK.text(file)
            except documents.UnreadableError as error:
                unreadable.append(str(error))
                continue
            stream = strict_yaml.load(text)
            if stream.error is not None:
                # A part of a file that is rewritten could lose the rest.
                place = strict_yaml.where(stream.error, text) or ()
                at = "".join(f":{number}" for number in place)
                unreadable.append(f"{file}{at}: {strict_yaml.words(stream.error)}")
                continue
            yield _file(file, text, site)


def _file(name: str, text: str, site: settings.Settings) -> _File:
    claims = []
    for place, document in _claims(text):
        source = documents.Source(name, document)
        claims.append(_Claim(source, place, migration.migrated(source, site)))
    after = text
    for one in claims:
        if one.migrated.refused:
            continue
        if _is_json(text):
            after = _json_with(after, one)
        else:
            after = edits.changed(after, one.place, one.migrated.document, one.migrated.comments)
    return _File(name, text, after, tuple(claims))


def _claims(text: str) -> Iterator[tuple[edits.Place, dict[str, Any]]]:
    """Yields the claims of a text, those of a List one by one."""
    for number, document in enumerate(edits.documents(text)):
        if not isinstance(document, dict):
            continue
        if str(document.get("kind")).endswith("List") and isinstance(document.get("items"), list):
            for index, item in enumerate(document["items"]):
                if _is_claim(item):
                    yield edits.Place(number, ("items", index)), item
        elif _is_claim(document):
            yield edits.Place(number), document


def _is_claim(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and document.get("kind") == claim.KIND
        and str(document.get("apiVersion")).startswith(f"{claim.GROUP}/")
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json_with(text: str, one: _Claim) -> str:
    """Returns JSON with a claim in its place; JSON has no comments."""
    whole = json.loads(text)
    if one.place.path:
        items = whole["items"]
        index = one.place.path[1]
        if items[index] == one.migrated.document:
            return text
        items[index] = one.migrated.document
    elif whole == one.migrated.document:
        return text
    else:
        whole = one.migrated.document
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _notes(files: list[_File]) -> Iterator[str]:
    for file in files:
        for one in file.claims:
            for words in one.migrated.refused:
                yield f"{one.source}: {words}"
            for words in one.migrated.notes:
                yield f"{one.source}: {words}"


def _text(files: list[_File], output: Output) -> str:
    """Returns what is printed."""
    if output == "yaml":
        return _stream([file.after for file in files if file.claims])
    claims = [one for file in files for one in file.claims]
    if output == "json":
        items = [one.migrated.document for one in claims if not one.migrated.refused]
        whole = {"apiVersion": "v1", "kind": "List", "items": items}
        return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return "".join(_summary(one) for one in claims)


def _stream(texts: list[str]) -> str:
    """Returns texts as one stream of documents."""
    stream = ""
    for text in texts:
        if stream and not text.startswith("---"):
            stream += "---\n"
        stream += text if text.endswith("\n") or not text else f"{text}\n"
    return stream


def _summary(one: _Claim) -> str:
    changes = one.migrated.changes
    if one.migrated.refused:
        return f"{one.source}: refused\n"
    if not changes:
        return f"{one.source}: as it is written today\n"
    return "".join([f"{one.source}:\n", *(f"  {words}\n" for words in changes)])


def _write(file: _File) -> None:
    """Puts a file in the place of the old one, whole or not at all."""
    if file.after == file.before:
        return
    path = pathlib.Path(os.path.realpath(file.name))
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
                opened.write(file.after)
            pathlib.Path(name).chmod(path.stat().st_mode & 0o7777)
            pathlib.Path(name).replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                pathlib.Path(name).unlink()
            raise
    except OSError as error:
        terminal.complain(f"{file.name}: {error.strerror or error}")
        sys.exit(result.NOT_READ)


def _code(files: list[_File], unreadable: list[str], *, check: bool) -> int:
    if unreadable:
        return result.NOT_READ
    if any(one.migrated.refused for file in files for one in file.claims):
        return result.CANNOT_BE_USED
    if check and any(file.before != file.after for file in files):
        return WOULD_CHANGE
    return result.RENDERED
