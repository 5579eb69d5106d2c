"""Kubernetes' own validation as a process that is asked (``tools/kubernetes/validator``)."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import types
import typing
from collections.abc import Mapping

import yaml

from e2e.controlplane import api, toolchain


class ValidatorError(Exception):
    """The program ended, or answered something else than what it was asked."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the program says to one request.

    Attributes:
        errors: Why Kubernetes refuses, each with its path; empty when it does not.
        value: A quantity as a decimal number; empty in other answers.
    """

    errors: list[str]
    value: str = ""


class Validator:
    """One process, asked one question at a time; a context manager that starts and ends it."""

    def __init__(self) -> None:
        self._count = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Validator:
        """Start the program.

        Raises:
            toolchain.MissingToolsError: It is not built.
        """
        self._process = subprocess.Popen(
            [toolchain.program("kubernetes", "validator")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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

    def object(self, manifest: Mapping[str, typing.Any]) -> list[str]:
        """Why a new object would be refused, or the pod that it makes; empty when neither is."""
        return self._ask(verb="object", object=manifest).errors

    def update(self, old: Mapping[str, typing.Any], new: Mapping[str, typing.Any]) -> list[str]:
        """Why an apply of ``new`` over the stored object ``old`` would be refused."""
        return self._ask(verb="object", object=new, old=old).errors

    def text(self, manifest: str) -> list[str]:
        """Why an object in JSON would be refused: a mapping cannot hold a key twice."""
        request = '{"id": %d, "verb": "object", "object": %s}'
        return self._send(request % (self._next(), manifest)).errors

    def define(self, definition: pathlib.Path | api.Object) -> list[str]:
        """Why a CustomResourceDefinition would be refused; its kind is served if it is not.

        Args:
            definition: The file, or the object.
        """
        if isinstance(definition, pathlib.Path):
            return self._ask(verb="crd", text=definition.read_text()).errors
        return self._ask(verb="crd", text=yaml.safe_dump(definition)).errors

    def pod_security(self, template: Mapping[str, typing.Any]) -> list[str]:
        """How a pod template breaks the profile ``restricted`` of Pod Security."""
        return self._ask(verb="pod", object=template).errors

    def quantity(self, text: str) -> Answer:
        """What ``resource.ParseQuantity`` makes of a text."""
        return self._ask(verb="quantity", text=text)

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _ask(self, **request: typing.Any) -> Answer:
        return self._send(json.dumps({"id": self._next(), **request}))

    def _send(self, line: str) -> Answer:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            message = "the validator is not running: use it in a with statement"
            raise ValidatorError(message)
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answered = process.stdout.readline()
        given = json.loads(answered) if answered else {}
        if given.get("id") != self._count:
            message = f"request {self._count} was answered by {answered!r}"
            raise ValidatorError(message)
        return Answer(given["errors"], given.get("value", ""))
