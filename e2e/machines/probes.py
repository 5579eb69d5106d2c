"""Flows that are tried: each end has a program in its own network (``prober``)."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Sequence

_PROBER = pathlib.Path(__file__).with_name("prober.py")


@dataclasses.dataclass(frozen=True)
class Place:
    """An end of flows.

    Attributes:
        address: Where it is reached.
        process: A process in its network, by its id; 0 for one that is never asked to ask.
        machine: The machine of a pod.
        source: The address that it asks from, where it has more than one.
    """

    address: str
    process: int = 0
    machine: str = ""
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Try:
    """A flow to try."""

    source: Place
    destination: Place
    protocol: str
    port: int


class Probers:
    """The programs; a context manager that starts and ends them."""

    def __init__(self, processes: Iterable[int], ports: Iterable[int]) -> None:
        """Describe them.

        Args:
            processes: A process in each network.
            ports: What they listen at.
        """
        self._processes = set(processes) - {0}
        self._ports = sorted(set(ports))
        self._running: dict[int, subprocess.Popen[str]] = {}

    def __enter__(self) -> Probers:
        for process in self._processes:
            enter = ("nsenter", f"--target={process}", "--net", "--")
            prober = (sys.executable, "-I", "-S", str(_PROBER), *map(str, self._ports))
            self._running[process] = subprocess.Popen(
                [*enter, *prober], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        # Their first answer comes after they began to listen.
        for process in self._processes:
            self._ask(process, [])
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running.values():
            running.communicate()

    def outcomes(self, tries: Sequence[Try]) -> list[str]:
        """What became of flows: empty for what passes, and else what came in place of an answer."""
        by_asker: dict[int, list[int]] = {}
        for index, one in enumerate(tries):
            by_asker.setdefault(one.source.process, []).append(index)
        answers = [""] * len(tries)
        with concurrent.futures.ThreadPoolExecutor(len(by_asker) or 1) as pool:
            asked = {
                process: pool.submit(self._ask, process, [tries[index] for index in indices])
                for process, indices in by_asker.items()
            }
        for process, indices in by_asker.items():
            for index, answer in zip(indices, asked[process].result(), strict=True):
                answers[index] = answer
        return answers

    def _ask(self, process: int, tries: Sequence[Try]) -> list[str]:
        running = self._running[process]
        if running.stdin is None or running.stdout is None:
            raise AssertionError
        questions = [
            {
                "protocol": one.protocol,
                "address": one.destination.address,
                "port": one.port,
                "source": one.source.source,
            }
            for one in tries
        ]
        running.stdin.write(json.dumps(questions) + "\n")
        running.stdin.flush()
        answer: list[str] = json.loads(running.stdout.readline())
        return answer
