"""Upstream schemas by pinned version and hash, for the checks in `tests.schemas`.

`crds.lock.json` names for each file its public GitHub repository, the tag or commit, the path in
it, its size in bytes and its full SHA-256. `python -m tests.crds` fills a cache with exactly those
bytes. A folder `../shared/crds` beside the repository replaces the cache where the folder exists.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import typing
import urllib.error
import urllib.request
from collections import abc

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOCK = pathlib.Path(__file__).with_name("crds.lock.json")
SHARED = ROOT.parent / "shared" / "crds"
BASE_URL = "https://raw.githubusercontent.com"
_ATTEMPTS = 3
_TIMEOUT_SECONDS = 60
_MARKER = b"---\n"


class Entry(typing.TypedDict):
    """One file of the lock.

    `document` is set when the file is a single document of a multi-document YAML file: the
    `metadata.name` of that document, which is cut out byte for byte with its `---` line.
    """

    repository: str
    ref: str
    path: str
    bytes: int
    sha256: str
    document: typing.NotRequired[str]


class FetchError(Exception):
    """The download of a file failed, or the file is not the pinned one."""


def entries() -> dict[str, Entry]:
    """Return the pinned files, keyed by their path inside the schema directory."""
    files: dict[str, Entry] = json.loads(LOCK.read_text(encoding="utf-8"))["files"]
    return files


def digest() -> str:
    """Return the identity of the lock: 16 hex digits of the SHA-256 of its bytes."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]


def cache() -> pathlib.Path:
    """Return where `python -m tests.crds` puts the files; a changed lock is another folder."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(home).expanduser() / "inference-service" / "crds" / digest()


def directory() -> pathlib.Path:
    """Return the folder that holds the schemas.

    Returns:
        `../shared/crds` where that folder exists, else the cache. The cache folder gets its name
        only when every file in it was verified, so a folder that is there is whole.

    Raises:
        FileNotFoundError: neither is there; run `make crds`.
    """
    if SHARED.is_dir():
        return SHARED
    filled = cache()
    if filled.is_dir():
        return filled
    message = f"no upstream schemas in {SHARED} or {filled}: run make crds"
    raise FileNotFoundError(message)


def fill(target: pathlib.Path, base_url: str = BASE_URL) -> None:
    """Download every pinned file into `target`, which appears only when all are verified.

    Args:
        target: the folder to make; its parents are made as needed.
        base_url: where raw files are served as `<base>/<owner>/<name>/<ref>/<path>`.

    Raises:
        FetchError: a download failed, or the bytes are not the pinned ones.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        downloads: dict[str, bytes] = {}
        for name, entry in entries().items():
            url = f"{base_url}/{entry['repository']}/{entry['ref']}/{entry['path']}"
            if url not in downloads:
                downloads[url] = _download(url)
            content = _cut(downloads[url], entry)
            _verify(name, content, entry)
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        work.chmod(0o755)  # mkdtemp makes 0700, too narrow for a shared cache
        _publish(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _publish(work: pathlib.Path, target: pathlib.Path) -> None:
    """Give the verified folder its name; another process that was faster wrote the same bytes."""
    try:
        work.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _download(url: str) -> bytes:
    """Return the body of `url`; a passing fault is tried again, a missing file is not."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 or attempt == _ATTEMPTS:
                message = f"{url}: HTTP {error.code}"
                raise FetchError(message) from error
        except (OSError, http.client.HTTPException) as error:
            if attempt == _ATTEMPTS:
                message = f"{url}: {error!r}"
                raise FetchError(message) from error
        time.sleep(0.2 * attempt)
    raise AssertionError


def _cut(content: bytes, entry: Entry) -> bytes:
    """Return the named document of a multi-document file, or the file itself."""
    name = entry.get("document")
    if name is None:
        return content
    for part in re.split(rb"(?m)^---\n", content):
        if re.search(rb"(?m)^  name: " + re.escape(name.encode()) + rb"$", part):
            return _MARKER + part
    message = f"{entry['path']}: no document named {name}"
    raise FetchError(message)


def _verify(name: str, content: bytes, entry: Entry) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry["sha256"]:
        message = f"{name}: {len(content)} bytes with SHA-256 {digest}, pinned {entry['sha256']}"
        raise FetchError(message)


def main(arguments: abc.Sequence[str] | None = None) -> int:
    """Fill the cache unless it is filled; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.crds", description=main.__doc__)
    parser.add_argument("--base-url", default=BASE_URL, help="where raw files are served")
    parser.add_argument(
        "--if-missing", action="store_true", help="do nothing where the schemas are found already"
    )
    options = parser.parse_args(arguments)
    base_url: str = options.base_url
    if options.if_missing and SHARED.is_dir():
        return 0
    target = cache()
    if not target.is_dir():
        try:
            fill(target, base_url.rstrip("/"))
        except FetchError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{len(entries())} schemas in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
