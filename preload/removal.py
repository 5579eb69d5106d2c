"""From a directory that a claim has no use for any more to free space, if nobody else wants it.

The order is what makes it safe. While another claim's name is down (`users`) only the own name
goes. Else the manifest is withdrawn, so that nobody finds the directory whole any more, and the
names are read again: whoever put one down before that has now been seen, and whoever comes later
finds no manifest and waits for the lease that is held here. Only then are files removed, and the
own name last: a removal that was killed is finished by the next one, and a run that wants the
weights after all brings them back.
"""

import contextlib
import errno
import pathlib
import shutil

from preload import lease, manifest, report, settings, users, weights


def remove(
    home: pathlib.Path, user: str, configuration: settings.Settings, log: report.Log
) -> str | None:
    """Remove a directory of weights.

    Files of 0.9.0 that `weights` is a link to stay: other claims may read them by their path.

    Args:
        home: The directory of an item.
        user: The claim that has no use for it any more, as <namespace>/<name>.
        configuration: Times.
        log: Told of each step.

    Returns:
        Why it stays, or None when it is gone.

    Raises:
        OSError: Of the volume.
    """
    if not home.is_dir():
        return None
    since = users.since(home, user)
    if lease.is_held(home / weights.LEASE, configuration.lease_seconds):
        # Perhaps this claim's own Job: the author changed his mind.
        return "somebody works there"
    try:
        with lease.Lease(home / weights.LEASE, configuration.lease_seconds, log) as held:
            reason = _withdraw(home, user, since, held)
            if reason is not None:
                return reason
            _empty(home, held)
    except lease.LostError:
        return "somebody works there"
    except FileNotFoundError:
        # Another removal was faster, and a run that wants the weights may have come after it.
        return "somebody works there" if home.is_dir() else None
    except OSError as error:
        # What an NFS client keeps of files that are removed but open.
        if error.errno not in (errno.ENOTEMPTY, errno.EBUSY):
            raise
        return "files are still open there"
    with contextlib.suppress(OSError):  # somebody came and begins anew
        home.rmdir()
    return None


def _withdraw(home: pathlib.Path, user: str, since: int | None, held: lease.Lease) -> str | None:
    """Take the manifest away; returns why not, or why nothing more may be taken."""
    document = home / manifest.NAME
    if since is None and document.exists():
        return "this claim has left no name there: who uses it is not known"
    for step in (None, document):
        if step is not None:
            held.check()
            step.unlink(missing_ok=True)
            manifest.sync_directory(home)
        others = [name for name in users.present(home) if name != user]
        if others:
            users.drop(home, user)
            return f"used by {', '.join(others)}"
        if users.since(home, user) != since:
            return "wanted again"
    return None


def _empty(home: pathlib.Path, held: lease.Lease) -> None:
    """Remove everything but the lease, the names last."""
    for path in sorted(home.iterdir(), key=lambda path: path.name == users.NAME):
        if path.name == weights.LEASE:
            continue
        held.check()
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
