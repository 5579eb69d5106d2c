"""Kubernetes' own validation as a process that is asked (``tools/kubernetes/validator``)."""

from __future__ import annotations

import dataclasses
import pathlib
import typing
from collections.abc import Mapping

from e2e import questions
from e2e.controlplane import api


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the program says to one request.

    Attributes:
        errors: Why Kubernetes refuses, each with its path; empty when it does not.
        value: A quantity as a decimal number; empty in other answers.
    """

    errors: list[str]
    value: str = ""


class Validator(questions.Program):
    """One process, asked one question at a time; a context manager that starts and ends it."""

    def __init__(self) -> None:
        super().__init__("kubernetes", "validator")

    def object(self, manifest: Mapping[str, typing.Any]) -> list[str]:
        """Why a new object would be refused, or the pod that it makes; empty when neither is."""
        return self._ask(verb="object", object=manifest).errors

    def update(self, old: Mapping[str, typing.Any], new: Mapping[str, typing.Any]) -> list[str]:
        """Why an apply of ``new`` over the stored object ``old`` would be refused."""
        return self._ask(verb="object", object=new, old=old).errors

    def text(self, manifest: str) -> list[str]:
        """Why an object in JSON would be refused: a mapping cannot hold a key twice."""
        request = '{"id": %d, "verb": "object", "object": %s}'
        return _answer(self.send(request % (self.number(), manifest))).errors

    def define(self, definition: pathlib.Path | api.Object) -> list[str]:
        """Why a CustomResourceDefinition would be refused; its kind is served if it is not.

        Args:
            definition: The file, or the object.
        """
        if isinstance(definition, pathlib.Path):
            return self._ask(verb="crd", text=definition.read_text()).errors
        return self._ask(verb="crd", text=api.dump([definition])).errors

    def pod_security(self, template: Mapping[str, typing.Any]) -> list[str]:
        """How a pod template breaks the profile ``restricted`` of Pod Security."""
        return self._ask(verb="pod", object=template).errors

    def quantity(self, text: str) -> Answer:
        """What ``resource.ParseQuantity`` makes of a text."""
        return self._ask(verb="quantity", text=text)

    def _ask(self, **request: typing.Any) -> Answer:
        return _answer(self.ask(**request))


def _answer(given: Mapping[str, typing.Any]) -> Answer:
    return Answer(given["errors"], given.get("value", ""))
