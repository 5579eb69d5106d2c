"""The program: plan in, exit code and termination message out."""

import contextlib
import errno
import os
import pathlib
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from preload import crew, exits, plan, progress, removal, report, settings, users, weights

_LOOK = 0.2
"""Seconds between two looks at items that run side by side."""
_PATIENCE = 2.0
"""Seconds that items have for their clean-up after they were stopped."""


def _make_cache_directory(models: pathlib.Path, relative: str) -> None:
    """Make the engine's compile cache, writable for the group that pods share."""
    path = models
    for part in relative.split("/"):
        path = path / part
        try:
            path.mkdir()
        except FileExistsError:
            continue
        path.chmod(0o775)  # mkdir's mode is subject to the umask
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(path))


@contextlib.contextmanager
def _volume_errors(where: str) -> Iterator[None]:
    """Give errors of the volume their exit code; the hub's own are sorted where they arise."""
    try:
        yield
    except OSError as error:
        raise exits.of_storage(error, where) from error


class _Run:
    """One item's publication in a thread of its own: items wait for leases and hubs apart.

    Args:
        publication: What to run.
        where: The item, for errors of the volume.
    """

    def __init__(self, publication: weights.Publication, where: str) -> None:
        self.publication = publication
        self.document: Mapping[str, Any] = {}
        self.error: BaseException | None = None
        # A join that a signal interrupts takes the thread for ended (Python 3.11).
        self.ended = threading.Event()
        self._where = where

    def start(self) -> None:
        """Begin. A daemon: one that waits for ever does not keep the program from its end."""
        threading.Thread(target=self._run, name=self._where, daemon=True).start()

    def _run(self) -> None:
        try:
            with _volume_errors(self._where):
                self.document = self.publication.run()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()


def _finish(runs: Sequence[_Run], tally: progress.Progress) -> None:
    """Run all until they end, and raise the error of the first that has one.

    As if they came one after the other, an error stops what stands behind it in the plan, and what
    stands before it comes to its end.
    """
    try:
        for run in runs:
            run.start()
        for index, run in enumerate(runs):
            while not run.ended.wait(min(tally.due(), _LOOK)):
                tally.tell()
                _stop_behind(runs)
            if run.error is not None:
                _stop(runs[index:])
                raise run.error
    except BaseException:
        _stop(runs)
        raise


def _stop_behind(runs: Sequence[_Run]) -> None:
    failed = next((index for index, run in enumerate(runs) if run.error is not None), len(runs))
    for run in runs[failed:]:
        run.publication.stop()


def _stop(runs: Sequence[_Run]) -> None:
    """Stop runs; one that waits for a server, or for the volume, is left behind."""
    for run in runs:
        run.publication.stop()
    until = time.monotonic() + _PATIENCE
    for run in runs:
        if not run.ended.wait(max(0.0, until - time.monotonic())):
            run.publication.abandon()


def _publish_all(
    wanted: plan.Plan,
    configuration: settings.Settings,
    tally: progress.Progress,
    log: report.Log,
) -> list[tuple[str, Mapping[str, Any]]]:
    models = wanted.models_directory
    with crew.Crew(configuration.connections, log) as workers:
        runs = [
            _Run(
                weights.Publication(models, wanted.user, item, configuration, workers, tally, log),
                f"{models / item.directory} ({item.repository})",
            )
            for item in wanted.items
        ]
        _finish(runs, tally)
    published = [
        (item.directory, run.document) for item, run in zip(wanted.items, runs, strict=True)
    ]
    if wanted.cache_directory is not None:
        with _volume_errors(str(models / wanted.cache_directory)):
            _make_cache_directory(models, wanted.cache_directory)
    return published


def _require_volume(models: pathlib.Path) -> None:
    with _volume_errors(str(models)):
        if not models.is_dir():
            raise exits.PreloadError(
                exits.Exit.VOLUME_UNUSABLE, f"{models}: no such directory; is the volume mounted?"
            )


def _remove_all(
    wanted: plan.Plan, configuration: settings.Settings, log: report.Log
) -> dict[str, str | None]:
    """For each directory why it stays, or None when it is gone."""
    result: dict[str, str | None] = {}
    for directory in wanted.remove:
        with _volume_errors(str(wanted.models_directory / directory)):
            weights.require_directories(wanted.models_directory, f"{directory}/{users.NAME}")
            home = wanted.models_directory / directory
            reason = removal.remove(home, wanted.user, configuration, log)
        log("removed" if reason is None else "kept", directory=directory, reason=reason)
        result[directory] = reason
    return result


def _carry_out(
    wanted: plan.Plan,
    configuration: settings.Settings,
    tally: progress.Progress,
    log: report.Log,
) -> bytes:
    """Do what the plan says; returns the termination message."""
    _require_volume(wanted.models_directory)
    if wanted.remove:
        return report.removal(_remove_all(wanted, configuration, log))
    return report.success(_publish_all(wanted, configuration, tally, log))


def run(environment: Mapping[str, str], log: report.Log) -> tuple[exits.Exit, bytes]:
    """Do what the environment asks for.

    Args:
        environment: `PRELOAD_PLAN` and what `settings` reads.
        log: Told the token, so that it can be kept out of every line.

    Returns:
        The exit code and the termination message.
    """
    tally = progress.Progress(settings.Settings.report_seconds, log)
    try:
        configuration = settings.of_environment(environment)
        log.secret = configuration.token
        wanted = plan.parse(environment.get("PRELOAD_PLAN", ""))
        message = _carry_out(wanted, configuration, tally, log)
    except exits.PreloadError as failure:
        reason, counts = failure.exit_code.reason, tally.summary()
        log("failed", "error", reason=reason, message=failure.message, **counts)
        return failure.exit_code, report.failure(failure.exit_code, failure.message)
    except exits.Stopped:
        log("stopped", "warning", **tally.summary())
        words = "stopped by a signal; the next run continues"
        return exits.Exit.STOPPED, report.failure(exits.Exit.STOPPED, words)
    except Exception as error:
        log("failed", "error", reason=exits.Exit.BUG.reason, traceback=traceback.format_exc())
        words = f"unforeseen {type(error).__name__}: {error}"
        return exits.Exit.BUG, report.failure(exits.Exit.BUG, words)
    log("done", "info", **tally.summary())
    return exits.Exit.DONE, message


def main() -> exits.Exit:
    """Run with the process's own environment and leave the termination message."""
    log = report.Log()
    exit_code, message = run(os.environ, log)
    path = os.environ.get("TERMINATION_LOG") or settings.Settings.termination_log
    report.terminate(path, message, log)
    return exit_code
