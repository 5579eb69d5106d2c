"""A logger for what is asked without a server."""

from typing import Any


class Quiet:
    """A logger that keeps the last exception."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def info(self, *_: Any, **__: Any) -> None:
        """Says nothing."""

    def exception(self, message: str, **_: Any) -> None:
        """Keeps the message: a test that meets a bug should fail."""
        self.errors.append(message)
