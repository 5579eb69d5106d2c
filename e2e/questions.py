"""A program of ours in Go that is asked in JSON: a line in, a line out."""

from __future__ import annotations

import json
import os
import subprocess
import types
import typing

from e2e.controlplane import toolchain


class QuestionError(Exception):
    """The program ended, or answered something else than what it was asked."""


class Program:
    """One process, asked one question at a time; a context manager that starts and ends it."""

    def __init__(self, group: str, name: str) -> None:
        self._place = (group, name)
        self._count = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> typing.Self:
        """Start the program.

        Raises:
            toolchain.MissingToolsError: It is not built.
        """
        self._process = subprocess.Popen(
            [toolchain.program(*self._place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # The heap of an answer is small, and is looked through hundreds of times a second.
            env=os.environ | {"GOGC": "1000"},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """End it, by the end of its input."""
        if self._process is not None:
            self._process.communicate()

    def number(self) -> int:
        """The number of the next question."""
        self._count += 1
        return self._count

    def ask(self, **request: typing.Any) -> dict[str, typing.Any]:
        """The answer to a question."""
        return self.send(json.dumps({"id": self.number(), **request}))

    def send(self, line: str) -> dict[str, typing.Any]:
        """The answer to a question that bears the last number.

        Raises:
            QuestionError: The program ended, or answered something else.
        """
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            message = f"{self._place[1]} is not running: use it in a with statement"
            raise QuestionError(message)
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answered = process.stdout.readline()
        given: dict[str, typing.Any] = json.loads(answered) if answered else {}
        if given.get("id") != self._count:
            message = f"request {self._count} was answered by {answered!r}"
            raise QuestionError(message)
        return given
