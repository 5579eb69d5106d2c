"""The program: plan in, exit code and termination message out."""

import contextlib
import errno
import os
import pathlib
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from preload import exits, hub, plan, removal, report, settings, users, weights


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


def _publish_all(
    wanted: plan.Plan, configuration: settings.Settings, log: report.Log
) -> list[tuple[str, Mapping[str, Any]]]:
    models = wanted.models_directory
    source = hub.Hub(configuration, log)
    published: list[tuple[str, Mapping[str, Any]]] = []
    for item in wanted.items:
        with _volume_errors(f"{models / item.directory} ({item.repository})"):
            document = weights.Publication(
                models, wanted.user, item, source, configuration, log
            ).run()
        published.append((item.directory, document))
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


def _carry_out(wanted: plan.Plan, configuration: settings.Settings, log: report.Log) -> bytes:
    """Do what the plan says; returns the termination message."""
    _require_volume(wanted.models_directory)
    if wanted.remove:
        return report.removal(_remove_all(wanted, configuration, log))
    return report.success(_publish_all(wanted, configuration, log))


def run(environment: Mapping[str, str], log: report.Log) -> tuple[exits.Exit, bytes]:
    """Do what the environment asks for.

    Args:
        environment: `PRELOAD_PLAN` and what `settings` reads.
        log: Told the token, so that it can be kept out of every line.

    Returns:
        The exit code and the termination message.
    """
    try:
        configuration = settings.of_environment(environment)
        log.secret = configuration.token
        wanted = plan.parse(environment.get("PRELOAD_PLAN", ""))
        message = _carry_out(wanted, configuration, log)
    except exits.PreloadError as failure:
        log("failed", "error", reason=failure.exit_code.reason, message=failure.message)
        return failure.exit_code, report.failure(failure.exit_code, failure.message)
    except exits.Stopped:
        log("stopped", "warning")
        words = "stopped by a signal; the next run continues"
        return exits.Exit.STOPPED, report.failure(exits.Exit.STOPPED, words)
    except Exception as error:
        log("failed", "error", reason=exits.Exit.BUG.reason, traceback=traceback.format_exc())
        words = f"unforeseen {type(error).__name__}: {error}"
        return exits.Exit.BUG, report.failure(exits.Exit.BUG, words)
    log("done")
    return exits.Exit.DONE, message


def main() -> exits.Exit:
    """Run with the process's own environment and leave the termination message."""
    log = report.Log()
    exit_code, message = run(os.environ, log)
    path = os.environ.get("TERMINATION_LOG") or settings.Settings.termination_log
    report.terminate(path, message, log)
    return exit_code
