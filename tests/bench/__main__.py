"""`make bench`: RunFunction beside an echo function on the same SDK, interleaved.

Absolute times belong to a machine; the ratios to an echo beside it travel. docs/performance.md says
how to read them.
"""

import argparse
import dataclasses
import itertools
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster
from tests.bench import requests
from tests.bench.target import Target

RSS_SAMPLES = 20

MOST_P50 = 2.5
MOST_CPU = 3.0
MOST_RSS_MIB = 96.0
MOST_GROWTH_MIB = 1.0
MOST_COLD_START = 1.5
MOST_DOOR_P50 = 20.0

DOOR_CLAIMS, DOOR_CALLS = 50, 200


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One measured number beside its target.

    Attributes:
        name: What was measured.
        value: The median of the rounds, or the only value.
        most: The target.
        unit: Of both.
        spread: Least and most among neighbouring rounds.
        quietest: From the quickest round of each, which other work on the machine disturbed least.
    """

    name: str
    value: float
    most: float
    unit: str
    spread: tuple[float, float] | None = None
    quietest: float | None = None

    @property
    def met(self) -> bool:
        """Tells whether the target is met."""
        return self.value <= self.most

    def __str__(self) -> str:
        spread = "" if self.spread is None else f"{self.spread[0]:.2f} to {self.spread[1]:.2f}"
        quietest = "" if self.quietest is None else f"{self.quietest:.2f}"
        mark = "yes" if self.met else "NO"
        value, most = f"{self.value:.2f} {self.unit}", f"{self.most:g} {self.unit}"
        return f"  {self.name:<45} {value:>10}   {spread:<14} {quietest:>8} {most:>8} {mark:>4}"


@dataclasses.dataclass(frozen=True)
class Round:
    """What one round of one target took, in milliseconds for each call."""

    p50: float
    p99: float
    cpu: float


def main() -> int:
    """Measures, prints, and returns the exit code."""
    options = _options()
    first = requests.first()
    cpus = os.cpu_count()
    print(f"Python {platform.python_version()}, {cpus} CPUs, load {os.getloadavg()[0]:.1f}")
    if options.doors:
        with Target("function", first) as function:
            return _told(list(_doors(function)), options)
    verdicts = list(_cold_starts(first, options.starts))
    with Target("echo", first) as echo, Target("function", first) as function:
        for name in ("first", "steady"):
            fleet = requests.fleet(options.claims, name)
            verdicts += _latency(name, fleet, echo, function, options)
        verdicts.append(_fleet_memory(function, options.claims))
        verdicts += _doors(function)
        verdicts += _memory(echo, function, options.soak)
    return _told(verdicts, options)


def _told(verdicts: list[Verdict], options: argparse.Namespace) -> int:
    """Prints numbers beside their targets, and returns the exit code."""
    print(f"\n  {'':<45} {'median':>10}   {'rounds':<14} {'quietest':>8} {'target':>8} {'met':>4}")
    for verdict in verdicts:
        print(verdict)
    missed = [verdict for verdict in verdicts if not verdict.met]
    return 1 if options.check and missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each target, alternating")
    parser.add_argument("--claims", type=int, default=300, help="claims, each called once a round")
    parser.add_argument("--starts", type=int, default=7, help="cold starts of each target")
    parser.add_argument("--soak", type=int, default=5000, help="calls with varying claims")
    parser.add_argument("--doors", action="store_true", help="front doors alone")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args()


def _cold_starts(first: fnv1.RunFunctionRequest, count: int) -> Iterator[Verdict]:
    seconds: dict[str, list[float]] = {"echo": [], "function": []}
    for _ in range(count + 1):
        for name, taken in seconds.items():
            with Target(name, first) as target:
                taken.append(target.cold_start)
    # The first of each warms the file cache.
    echo, function = seconds["echo"][1:], seconds["function"][1:]
    print("\nCold start: process start to first answer, in seconds (least, median, most)")
    for name, taken in (("echo", echo), ("function", function)):
        print(f"  {name:<10} {min(taken):8.3f} {statistics.median(taken):8.3f} {max(taken):8.3f}")
    yield _ratio("cold start / echo", echo, function, MOST_COLD_START)


def _ratio(name: str, echo: Sequence[float], function: Sequence[float], most: float) -> Verdict:
    """Compares medians; the spread is that of neighbouring rounds."""
    pairs = [ours / theirs for theirs, ours in zip(echo, function, strict=True)]
    value = statistics.median(function) / statistics.median(echo)
    return Verdict(name, value, most, "x", (min(pairs), max(pairs)), min(function) / min(echo))


def _latency(
    name: str,
    fleet: list[fnv1.RunFunctionRequest],
    echo: Target,
    function: Target,
    options: argparse.Namespace,
) -> Iterator[Verdict]:
    answers = [function.call(req) for req in fleet]
    fatal = [r for answer in answers for r in answer.results if r.severity == fnv1.SEVERITY_FATAL]
    assert not fatal, fatal
    read, written = (sum(m.ByteSize() for m in every) for every in (fleet, answers))
    size = f"{read / len(fleet) / 1024:.1f} KiB in, {written / len(fleet) / 1024:.1f} KiB out"
    print(f"\n{len(fleet)} claims in turn, {name} ({size}), milliseconds a call, median of rounds")
    rounds: dict[str, list[Round]] = {"echo": [], "function": []}
    for target in (echo, function):
        _round(target, fleet)
    for _ in range(options.rounds):
        for target in (echo, function):
            rounds[target.name].append(_round(target, fleet))
    for target_name, taken in rounds.items():
        p50, p99, cpu = (
            statistics.median(getattr(r, field) for r in taken) for field in ("p50", "p99", "cpu")
        )
        print(f"  {target_name:<10} p50 {p50:6.3f}   p99 {p99:6.3f}   server CPU {cpu:6.3f}")
    for field, most in (("p50", MOST_P50), ("cpu", MOST_CPU)):
        theirs, ours = ([getattr(r, field) for r in rounds[n]] for n in ("echo", "function"))
        yield _ratio(f"{name}: {field} / echo", theirs, ours, most)


def _doors(function: Target) -> Iterator[Verdict]:
    """A front door over many claims, by itself: nothing else answers such a request."""
    plain, priced = (
        requests.doors(DOOR_CALLS, DOOR_CLAIMS, priced=from_costs) for from_costs in (False, True)
    )
    answers = [function.call(req) for req in (*plain, *priced)]
    fatal = [r for answer in answers for r in answer.results if r.severity == fnv1.SEVERITY_FATAL]
    assert not fatal, fatal
    before = function.rss()
    size = plain[0].ByteSize() / 1024
    print(f"\nA front door over {DOOR_CLAIMS} claims ({size:.0f} KiB in), milliseconds a call")
    for words, asked in (("", plain), (", prices from costs", priced)):
        # Of three, as the machine may do much else.
        taken = min((_round(function, asked) for _ in range(3)), key=lambda each: each.p50)
        numbers = f"p50 {taken.p50:6.3f}   p99 {taken.p99:6.3f}   server CPU {taken.cpu:6.3f}"
        print(f"  function   {numbers}{words}")
        name = f"door of {DOOR_CLAIMS} claims{words}: p50"
        yield Verdict(name, taken.p50, MOST_DOOR_P50, "ms")
    growth = function.rss() - before
    yield Verdict(f"growth over {DOOR_CALLS} calls", growth, MOST_GROWTH_MIB, "MiB")


def _round(target: Target, fleet: list[fnv1.RunFunctionRequest]) -> Round:
    taken = []
    cpu = target.cpu()
    for req in fleet:
        begin = time.perf_counter()
        target.call(req)
        taken.append((time.perf_counter() - begin) * 1000)
    cpu = (target.cpu() - cpu) * 1000 / len(fleet)
    ordered = sorted(taken)
    return Round(statistics.median(ordered), ordered[int(len(fleet) * 0.99)], cpu)


def _fleet_memory(function: Target, claims: int) -> Verdict:
    """Returns what the server holds once it knows every claim, first and steady."""
    return Verdict(f"resident memory, {claims} claims", function.rss(), MOST_RSS_MIB, "MiB")


def _memory(echo: Target, function: Target, soak: int) -> Iterator[Verdict]:
    """Calls with ever new claims. What comes after the first half, when memories are full, grew."""
    resident: list[float] = []
    step = max(soak // RSS_SAMPLES, 1)
    for number, req in enumerate(itertools.islice(_varying(), soak), start=1):
        function.call(req)
        if number % step == 0:
            resident.append(function.rss())
    print(
        f"\nResident memory over {soak} calls with varying claims, in MiB (echo {echo.rss():.1f})"
    )
    print("  " + " ".join(f"{mib:.1f}" for mib in resident))
    settled = resident[RSS_SAMPLES // 2 :]
    yield Verdict("resident memory", max(resident), MOST_RSS_MIB, "MiB")
    yield Verdict(f"growth over {soak} calls", settled[-1] - settled[0], MOST_GROWTH_MIB, "MiB")


def _varying() -> Iterator[fnv1.RunFunctionRequest]:
    """Yields requests of claims that all differ: new ones, settled ones, refused ones."""
    names = cluster.EXAMPLES
    settled = [requests.steady(cluster.example(name)) for name in names]
    fresh = [requests.first(cluster.example(name)) for name in names]
    for number in itertools.count():
        req = fnv1.RunFunctionRequest()
        pool = settled if number % 3 == 0 else fresh
        req.CopyFrom(pool[number % len(names)])
        claim: Any = req.observed.composite.resource
        claim["metadata"]["uid"] = f"{number:032x}"
        spec = claim["spec"]
        spec["scaling"] = {"minReplicas": 1, "maxReplicas": 1 + number % 4}
        spec["model"]["maxNumSeqs"] = 1 + number % 256
        if pool is fresh:
            claim["metadata"]["name"] = f"xplane-claim-{number}"
            spec["model"]["revision"] = f"{number:040x}"
        if number % 50 == 1:
            spec["gpu"] = {"count": -number}
        yield req


if __name__ == "__main__":
    sys.exit(main())
