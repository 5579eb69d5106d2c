"""From an item of the plan to a published manifest.

Below the item's directory lie `weights`, `manifest.json`, and four notes of this program's own:
`.lease` while somebody works here, `.users`, the claims that want what lies here (`users`),
`.received`, what has arrived of large files until all are whole (`journal`), and
`.resolved.json`, the commit that a started download belongs to. With the last a run that resumes
after `main` moved finishes what it began, and a repair brings back what was published rather than
something newer.
"""

import functools
import os
import pathlib
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from preload import (
    attempts,
    crew,
    digests,
    exits,
    hub,
    journal,
    lease,
    listing,
    manifest,
    plan,
    progress,
    report,
    selection,
    settings,
    transfer,
    users,
)

LEASE = ".lease"
_RESOLVED = ".resolved.json"


def _walk(root: pathlib.Path) -> Iterator[str]:
    """All files and symbolic links below a directory, as relative paths with `/`."""
    for folder, names, files in os.walk(root):
        here = pathlib.Path(folder)
        links = [name for name in names if (here / name).is_symlink()]
        for name in (*files, *links):
            yield (here / name).relative_to(root).as_posix()


def require_directories(models: pathlib.Path, relative: str) -> None:
    """See to it that an item's place leads nowhere else.

    Raises:
        exits.PreloadError: A part of the path is a link, a file, or something stranger. Whoever
            made a link decides where this program writes and removes.
    """
    path = models
    for part in relative.split("/"):
        path = path / part
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise exits.PreloadError(
                exits.Exit.VOLUME_UNUSABLE,
                f"{path}: is no directory, or a symbolic link to one. This program made no such "
                "thing: look at it, and remove it.",
            )


class Publication:
    """The steps for one item, in the order in which they are taken.

    Args:
        models: The directory that all items lie below.
        user: The claim that wants it, as <namespace>/<name>.
        item: What to publish.
        configuration: Endpoint, token and times.
        workers: Who fetches and hashes.
        tally: Told how far it is.
        log: Told of each step.
    """

    def __init__(
        self,
        models: pathlib.Path,
        user: str,
        item: plan.Item,
        configuration: settings.Settings,
        workers: crew.Crew,
        tally: progress.Progress,
        log: report.Log,
    ) -> None:
        self._models = models
        self._user = user
        self._item = item
        self._home = models / item.directory
        self._weights = self._home / manifest.WEIGHTS
        self._configuration = configuration
        self._workers = workers
        self._tally = tally
        self._stopping = threading.Event()
        self._source = hub.Hub(configuration, log, self._stopping)
        self._held: lease.Lease | None = None
        self._endpoint = configuration.endpoint
        self._log = log
        self._subject = f"{item.repository}@{item.revision}"

    def stop(self) -> None:
        """Let `run` end with `exits.Stopped` as soon as it can."""
        self._stopping.set()
        with self._workers.lock:
            self._workers.ended.notify_all()

    def abandon(self) -> None:
        """Give the lease back for a run that does not end: it waits for a server or the volume."""
        held = self._held
        if held is not None:
            held.release()

    def run(self) -> dict[str, Any]:
        """Return the manifest of the item, once it is true.

        Raises:
            exits.PreloadError: For what a person has to mend.
            exits.Stopped: After `stop`.
            OSError: Of the volume.
        """
        while True:
            try:
                return self._run()
            except lease.LostError:
                self._say("lease-lost", level="warning")
            except FileNotFoundError:
                # A removal took everything between two steps; of anything else nothing changes.
                if self._home.exists():
                    raise
                self._say("removed-meanwhile", level="warning")

    def _run(self) -> dict[str, Any]:
        require_directories(self._models, f"{self._item.directory}/{users.NAME}")
        # Before the manifest is read: a removal that missed the name has withdrawn it by then.
        users.add(self._home, self._user)
        if (published := self._published()) is not None:
            self._say("already-published", sha=published["sha"])
            return published
        seconds = self._configuration.lease_seconds
        with lease.Lease(self._home / LEASE, seconds, self._log, self._stopping) as held:
            self._held = held
            # Names go with the files, and a removal may have held the lease until now.
            users.add(self._home, self._user)
            return self._published() or self._publish(held)

    def _say(self, event: str, level: str = "info", **fields: object) -> None:
        self._log(event, level, directory=self._item.directory, item=self._subject, **fields)

    def _published(self) -> dict[str, Any] | None:
        content = manifest.read(self._home / manifest.NAME)
        if content is None or not manifest.holds(content, self._item, self._endpoint, self._home):
            return None
        return content

    def _publish(self, held: lease.Lease) -> dict[str, Any]:
        for left in self._home.glob(f"*{manifest.UNFINISHED}"):
            left.unlink(missing_ok=True)
        self._unpublish(held)
        snapshot, files = self._resolve()
        note = {"repository": self._item.repository, "revision": self._item.revision}
        manifest.write(self._home / _RESOLVED, {**note, "sha": snapshot.sha})
        place = self._take_over(files, held) or self._download(snapshot, files, held)
        document = manifest.build(
            self._item, self._endpoint, snapshot.sha, files, self._home, place
        )
        if not manifest.holds(document, self._item, self._endpoint, self._home):
            raise exits.PreloadError(
                exits.Exit.VOLUME_UNUSABLE,
                f"{self._weights}: files changed while they were verified; does something else "
                "write there?",
            )
        held.check()
        manifest.write(self._home / manifest.NAME, document)
        self._say("published", sha=snapshot.sha, bytes=document["bytes"], weights=place)
        return document

    def _unpublish(self, held: lease.Lease) -> None:
        """Withdraw a manifest that is not true any more, before anything below it is touched."""
        path = self._home / manifest.NAME
        if not os.path.lexists(path):
            return
        held.check()
        content = manifest.read(path)
        if content is not None and manifest.is_for(content, self._item):
            manifest.write(
                self._home / _RESOLVED,
                {key: content.get(key) for key in ("repository", "revision", "sha")},
            )
        path.unlink()
        manifest.sync_directory(self._home)
        self._say("unpublished", level="warning")

    def _resolve(self) -> tuple[listing.Snapshot, list[listing.File]]:
        """The commit and the wanted files of it, small ones first."""
        note = manifest.read(self._home / _RESOLVED)
        revision = self._item.revision
        if note is not None and manifest.is_for(note, self._item):
            sha = note.get("sha")
            revision = str(sha) if listing.is_commit(sha) else revision
        try:
            snapshot = self._source.snapshot(self._item.repository, revision)
        except exits.PreloadError as failure:
            if failure.exit_code != exits.Exit.NOT_FOUND or revision == self._item.revision:
                raise
            # History was rewritten since the download began.
            snapshot = self._source.snapshot(self._item.repository, self._item.revision)
        wanted = selection.select((file.path for file in snapshot.files), self._item.kind)
        if lack := selection.lacks(wanted, self._item.kind):
            raise exits.PreloadError(
                exits.Exit.NOT_FOUND, f"{self._subject} (commit {snapshot.sha}): {lack}."
            )
        files = [file for file in snapshot.files if file.path in wanted]
        self._say("resolved", sha=snapshot.sha, files=len(files), bytes=sum(f.size for f in files))
        return snapshot, sorted(files, key=lambda file: (file.size, file.path))

    def _take_over(self, files: Sequence[listing.File], held: lease.Lease) -> str | None:
        """Link `weights` to a directory of 0.9.0 if it verifies; None if it does not.

        Not asked again once a download began. 0.9.0's marker and its client's `.incomplete` files
        are not looked at, because both have lied: only hashes count.
        """
        if self._item.legacy_directory is None:
            return None
        if self._weights.is_dir() and not self._weights.is_symlink():
            return None
        legacy = self._models / self._item.legacy_directory
        target = os.path.relpath(legacy, self._home)
        try:
            if reason := self._differs(legacy, files, held):
                self._say("legacy-refused", legacy=str(legacy), reason=reason)
                return None
            if not (self._weights.is_symlink() and os.readlink(self._weights) == target):
                held.check()
                self._weights.unlink(missing_ok=True)
                self._weights.symlink_to(target)
        except OSError as error:
            self._say("legacy-refused", legacy=str(legacy), reason=str(error))
            return None
        self._say("legacy-linked", legacy=str(legacy))
        return target

    def _differs(
        self, legacy: pathlib.Path, files: Sequence[listing.File], held: lease.Lease
    ) -> str | None:
        """Why a directory is not what the hub describes, or None if it is. Sizes come first."""
        if not legacy.is_dir():
            return "no such directory"
        for file in files:
            path = legacy / file.path
            if not path.is_file() or path.stat().st_size != file.size:
                return f"{file.path} is missing or has another size"
        # 0.9.0 keyed directories by revision alone: `main` may hold files of two repositories, and
        # the engine reads whatever weights lie there.
        there = selection.select(_walk(legacy), self._item.kind)
        if strange := sorted(there - {file.path for file in files}):
            return f"{strange[0]} is no file of this commit"
        for file in files:
            if not digests.verified(legacy / file.path, file, held):
                return f"{file.path} has another {file.algorithm}"
        return None

    def _download(
        self, snapshot: listing.Snapshot, files: Sequence[listing.File], held: lease.Lease
    ) -> str:
        """Bring every file to `weights` and remove what does not belong there."""
        if self._weights.is_symlink() or (self._weights.exists() and not self._weights.is_dir()):
            held.check()
            self._weights.unlink()
        self._weights.mkdir(exist_ok=True)
        self._prune({file.path for file in files}, held)
        notes = journal.Journal(self._home)
        total = sum(file.size for file in files)
        missing = self._missing(files, notes)
        self._tally.expect(self._item.directory, total, total - missing)
        self._require_space(missing)
        kept = functools.partial(self._tally.kept, self._item.directory)
        context = attempts.Context(
            self._source, snapshot, self._workers, notes, held, self._tally.arrived, kept
        )
        try:
            self._fetch(
                transfer.Transfer(context, file, self._weights / file.path) for file in files
            )
        finally:
            notes.close()
        notes.remove()
        return manifest.WEIGHTS

    def _fetch(self, transfers: Iterable[transfer.Transfer]) -> None:
        """Carry transfers out, some at once and begun in order.

        Raises:
            exits.PreloadError: Of one of them, as are errors of the volume and of the lease.
            exits.Stopped: After `stop`.
        """
        running: list[transfer.Transfer] = []
        try:
            for each in transfers:
                self._wait(running, most=2 * self._workers.connections - 1)
                each.begin()
                running.append(each)
            self._wait(running, most=0)
        finally:
            for each in running:
                each.cancel()

    def _wait(self, running: list[transfer.Transfer], most: int) -> None:
        """Wait until no more transfers than that are running."""
        while True:
            with self._workers.lock:
                while not (
                    self._stopping.is_set()
                    or len(running) <= most
                    or any(each.done or each.error is not None for each in running)
                ):
                    self._workers.ended.wait()
            if self._stopping.is_set():
                raise exits.Stopped
            for each in [each for each in running if each.done]:
                self._tally.verified(self._item.directory, each.file.size)
                running.remove(each)
            for each in running:
                if each.error is not None:
                    raise each.error
            if len(running) <= most:
                return

    def _prune(self, wanted: set[str], held: lease.Lease) -> None:
        """Remove files of another commit: the engine loads every weights file that it finds."""
        for path in list(_walk(self._weights)):
            # .nfs*: names that an NFS client keeps for files that are removed but open.
            if path not in wanted and not path.rpartition("/")[2].startswith(".nfs"):
                held.check()
                (self._weights / path).unlink(missing_ok=True)
        for path in wanted:
            if (self._weights / path).is_dir():
                held.check()
                shutil.rmtree(self._weights / path)

    def _missing(self, files: Sequence[listing.File], notes: journal.Journal) -> int:
        """Return the bytes that are still to be downloaded."""
        needed = 0
        for file in files:
            there = transfer.written(self._weights / file.path, file, notes)
            needed += file.size - (0 if there is None else there.count())
        return needed

    def _require_space(self, missing: int) -> None:
        """Fail before hours of downloading if the rest cannot fit, with that of the other items.

        Object stores that have no such number report no blocks at all; they are believed to have
        room.
        """
        volume = os.statvfs(self._weights)
        free = volume.f_bavail * volume.f_frsize
        # After that: what arrives meanwhile is counted as free, and not as missing.
        needed = self._tally.left()
        if missing and volume.f_blocks > 0 and needed > free:
            raise exits.PreloadError(
                exits.Exit.DISK_FULL,
                f"{self._subject}: {missing} bytes are still to be downloaded to {self._weights}, "
                f"{needed} with what else comes at once, and {free} are free. Enlarge the volume "
                "or remove weights that no claim uses.",
            )
