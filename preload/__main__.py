"""Entry point: signals and defaults of the environment first, then everything else."""

import os
import signal
import sys
import types

from preload import exits, settings


def _stop(number: int, frame: types.FrameType | None) -> None:
    # Once is enough: a second signal must not interrupt the clean-up of the first.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise exits.Stopped


def main() -> int:
    """Run the program; returns its exit code (`exits.Exit`)."""
    # As process 1 of a container SIGTERM has no default action: without a handler it is lost.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _stop)
    settings.isolate(os.environ)
    settings.set_defaults(os.environ)
    try:
        # After the defaults: huggingface_hub reads the environment when it is imported.
        from preload import program

        return program.main()
    except exits.Stopped:
        return exits.Exit.STOPPED


if __name__ == "__main__":
    sys.exit(main())
