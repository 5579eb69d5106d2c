"""One file from the hub to its place, verified, in one attempt (`attempts`) or several.

The bytes go straight to the file's final name, because the reference volume (S3 Files over NFS)
copies on rename; nobody takes a partial file for a whole one, because only a manifest says what is
whole. A file that is no longer than a piece comes in order, and its length is where the next run
resumes. A longer one may come in several pieces at once, and a note says which of them are there
(`journal`). What lies there already passes through the hash like what comes, so a file that was
left by a crash with holes, or by another commit, fails verification and comes again from its first
byte.
"""

import os
import pathlib
import stat

from preload import attempts, exits, extents, journal, listing, manifest

_CLEAN_TRIES = 2


def written(
    target: pathlib.Path, file: listing.File, notes: journal.Journal
) -> extents.Extents | None:
    """Return what of a file can be built on; None where something lies there that cannot."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return extents.Extents()
    if not stat.S_ISREG(status.st_mode) or status.st_size > file.size:
        return None
    noted = notes.of(file)
    there = extents.Extents([(0, file.size)]) if noted is None else noted
    return there.below(status.st_size)


class Transfer:
    """The download of one file: it makes the target hold the verified content.

    Args:
        context: What the item's transfers share.
        file: The file.
        target: Where to.

    Attributes:
        done: Whether the file verified.
        error: What ended the transfer instead: `exits.PreloadError` of the hub or, after two
            downloads that began at the first byte, `VERIFICATION_FAILED`; OSError of the volume; or
            what the guard raises.
    """

    def __init__(self, context: attempts.Context, file: listing.File, target: pathlib.Path) -> None:
        self.file = file
        self.done = False
        self.error: BaseException | None = None
        self._context = context
        self._target = target
        self._failed = 0
        self._in_order = not self.in_pieces
        self._attempt: attempts.Attempt | None = None

    @property
    def in_pieces(self) -> bool:
        """Whether the file's length does not say what of it is there."""
        return self.file.size > attempts.PIECE

    @property
    def subject(self) -> str:
        """The file, for messages."""
        snapshot = self._context.snapshot
        return f"{snapshot.repository}@{snapshot.sha}/{self.file.path}"

    def begin(self) -> None:
        """Resume what lies there, or start.

        Raises:
            OSError: Of the volume; `lease.LostError` of the guard.
        """
        self._target.parent.mkdir(parents=True, exist_ok=True)
        there = self._there()
        if self.in_pieces and self._context.journal.of(self.file) != there:
            self._context.journal.begin(self.file, there)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self._target, flags, 0o644)
        self._attempt = attempts.Attempt(self, self._context, handle, there, self._in_order)
        self._context.crew.add(self._attempt)

    def cancel(self) -> None:
        """Write nothing more; returns when nobody does."""
        if self._attempt is not None:
            self._attempt.close()

    def fail(self, error: BaseException) -> None:
        """End with an error. The first one counts."""
        with self._context.crew.lock:
            self.error = self.error or error
            self._context.crew.ended.notify_all()

    def settle(self, attempt: attempts.Attempt, matches: bool) -> None:
        """Decide about the end of an attempt: keep what it brought, or begin again."""
        if matches:
            attempt.sync()
        attempt.close()
        if matches:
            manifest.sync_directory(self._target.parent)
            with self._context.crew.lock:
                self.done = True
                self._context.crew.ended.notify_all()
            return
        self._context.guard.check()
        self._context.kept(-attempt.there.count())
        if self.in_pieces:
            self._context.journal.begin(self.file, extents.Extents())
        self._target.unlink(missing_ok=True)
        self._failed += not attempt.resumed
        if self._failed == _CLEAN_TRIES:
            raise exits.PreloadError(
                exits.Exit.VERIFICATION_FAILED,
                f"{self.subject}: content differs from the hub's {self.file.algorithm} "
                f"{self.file.digest} ({self.file.size} bytes) after {self._failed} clean "
                "downloads. Something between the hub and this volume changes content (proxy, "
                "mirror), or the hub's copy is damaged.",
            )
        self.begin()

    def go_on_in_order(self, attempt: attempts.Attempt) -> None:
        """Fetch the rest over one connection: the hub sends a file from its first byte alone."""
        with self._context.crew.lock:
            if self._in_order:
                return
            self._in_order = True
        attempt.close()
        handle = os.open(self._target, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        there = extents.Extents([(0, attempt.there.reach(0))])
        self._context.kept(there.count() - attempt.there.count())
        self._attempt = attempts.Attempt(self, self._context, handle, there, in_order=True)
        self._context.crew.add(self._attempt)

    def _there(self) -> extents.Extents:
        """What can be built on; whatever cannot is removed."""
        there = written(self._target, self.file, self._context.journal)
        if there is not None:
            return there
        self._context.guard.check()
        self._target.unlink()
        return extents.Extents()
