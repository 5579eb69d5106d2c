"""1, 10 and 50 claims at once: they settle, are quiet then, and what both states cost.

Quiet: reconciles that are forced write nothing to a composed object or to a claim. The costs are
printed as the table of docs/performance.md; they belong to the machine, and fail no test.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Iterator

import pytest
from prometheus_client import parser

from e2e import claims, installation, lives, shipped
from e2e.controlplane import api, crossplane, nodes, plane, polling

SIZES = (1, 10, 50)
# Reconciles of the window at least; a round is one of each claim.
_WINDOW = 40
_TIMEOUT = 900
_NAMESPACE = "quiet"
# Every third claim is one of these. Adapters would be the same for all: left out.
_EXAMPLES = ("xplane-qwen-coder", "xplane-qwen3-8b", "smallest")
_WIDE = nodes.Node(
    "l4-quiet", gpus=64, cpu="1024", memory="8Ti", labels={"karpenter.sh/nodepool": "gpu-l4"}
)
_MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Reading:
    """Counters of the function and of core at one moment.

    Attributes:
        time: Of a clock that only goes forward, in seconds.
        calls: RunFunction calls that the function answered.
        answering: Seconds that it took for them.
        function_cpu: CPU seconds of the function; likewise ``core_cpu``.
        function_memory: Its resident memory in bytes; likewise ``core_memory``.
        reconciles: Reconciles of claims that ended, by the bound of their duration in seconds,
            cumulative.
        reconciling: Seconds that core took for them.
    """

    time: float
    calls: float
    answering: float
    function_cpu: float
    function_memory: int
    core_cpu: float
    core_memory: int
    reconciles: dict[float, float]
    reconciling: float


def _read(control_plane: plane.ControlPlane, installed: installation.Installation) -> Reading:
    ours = _samples(installed.function.metrics())
    core = _samples(control_plane.crossplane.metrics())
    call = "inference_service_function_request_duration_seconds"
    running, its = control_plane.crossplane.core.usage(), installed.function.process.usage()
    return Reading(
        time=time.monotonic(),
        calls=sum(value for _, value in ours[f"{call}_count"]),
        answering=sum(value for _, value in ours[f"{call}_sum"]),
        function_cpu=its.cpu_seconds,
        function_memory=its.resident_bytes,
        core_cpu=running.cpu_seconds,
        core_memory=running.resident_bytes,
        reconciles={
            float(labels["le"]): value
            for labels, value in core[f"{claims.DURATION}_bucket"]
            if labels["controller"] == claims.CONTROLLER
        },
        reconciling=sum(
            value
            for labels, value in core[f"{claims.DURATION}_sum"]
            if labels["controller"] == claims.CONTROLLER
        ),
    )


def _samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The samples of an exposition by name."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return samples


@dataclasses.dataclass(frozen=True)
class Row:
    """What happened between two readings."""

    size: int
    state: str
    before: Reading
    after: Reading

    COLUMNS = (
        *("claims", "state", "took", "reconciles", "reconcile: mean", "95 %"),
        *("core: CPU a reconcile", "memory", "function: answer", "CPU a call", "memory"),
    )

    def cells(self) -> list[str]:
        """The row of the table."""
        before, after = self.before, self.after
        calls = after.calls - before.calls
        count = self.reconciles
        answering = (after.answering - before.answering) / calls
        mean = (after.reconciling - before.reconciling) / count
        return [
            str(self.size),
            self.state,
            f"{after.time - before.time:.0f} s",
            f"{count:.0f}",
            f"{mean * 1000:.0f} ms",
            f"≤ {self._bound(0.95) * 1000:.0f} ms",
            f"{(after.core_cpu - before.core_cpu) / count * 1000:.0f} ms",
            f"{after.core_memory / _MIB:.0f} MiB",
            f"{answering * 1000:.1f} ms",
            f"{(after.function_cpu - before.function_cpu) / calls * 1000:.1f} ms",
            f"{after.function_memory / _MIB:.0f} MiB",
        ]

    @property
    def reconciles(self) -> float:
        """How many reconciles ended: with all that they write."""
        return self.after.reconciles[math.inf] - self.before.reconciles.get(math.inf, 0)

    def _bound(self, share: float) -> float:
        """The least bound, in seconds, within which a share of the reconciles ended."""
        counts = {
            bound: value - self.before.reconciles.get(bound, 0)
            for bound, value in sorted(self.after.reconciles.items())
        }
        return next(bound for bound, value in counts.items() if value >= share * counts[math.inf])


class Fleet:
    """Claims of one namespace, more and more of them.

    Attributes:
        tenant: The namespace.
        claims: Those that were applied.
        rows: What was measured.
    """

    def __init__(
        self, control_plane: plane.ControlPlane, installed: installation.Installation
    ) -> None:
        """Make the namespace."""
        self.plane = control_plane
        self._installed = installed
        self.tenant = claims.Tenant(control_plane, control_plane.namespace(_NAMESPACE))
        self.tenant.prepare()
        self.claims: list[claims.Claim] = []
        self.rows: list[Row] = []

    def read(self) -> Reading:
        """The counters now."""
        return _read(self.plane, self._installed)

    def grow(self, size: int) -> None:
        """Apply claims up to a number, all at once, and wait until all serve."""
        before = self.read()
        while len(self.claims) < size:
            self.claims.append(self._claim(len(self.claims)).apply())
        polling.until(
            lambda: len(self.claims) == sum(map(_ready, self.tenant.claims())),
            what=f"{size} claims to be ready",
            timeout=_TIMEOUT,
            interval=1,
            ignore=api.UNREACHABLE,
        )
        self.rows.append(Row(size, "settling", before, self.read()))

    def _claim(self, index: int) -> claims.Claim:
        claim = self.tenant.example(_EXAMPLES[index % len(_EXAMPLES)])
        claim.manifest["metadata"]["name"] = f"claim-{index:02d}"
        spec = claim.manifest["spec"]
        if spec.pop("loraAdapters", None):
            spec["gateway"] = {"enabled": True}
        return self.tenant.claim(claim.manifest)

    def settle(self) -> None:
        """Wait until core has nothing left to do."""
        claims.settle(self.plane, timeout=_TIMEOUT)

    def force(self) -> None:
        """Let core reconcile every claim many times, at rest.

        By an annotation of nobody's: core's own makes it tell an Event each time.
        """
        before = self.read()
        rounds = max(2, math.ceil(_WINDOW / len(self.claims)))
        for number in range(rounds):
            goal = claims.reconciles(self.plane) + len(self.claims)
            body = {"metadata": {"annotations": {"e2e/look": f"{len(self.claims)}-{number}"}}}
            for claim in self.claims:
                self.plane.admin.patch(claim.ref, body)
            polling.until(
                lambda goal=goal: claims.reconciles(self.plane) >= goal,  # type: ignore[misc]
                what="a reconcile of each claim",
                timeout=_TIMEOUT,
                interval=0.2,
            )
        self.rows.append(Row(len(self.claims), "at rest", before, self.read()))

    def table(self) -> str:
        """What was measured, as Markdown."""
        lines = [Row.COLUMNS, ["---"] * len(Row.COLUMNS), *(row.cells() for row in self.rows)]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _ready(item: api.Object) -> bool:
    states = {api.status_of(item, kind) for kind in ("Ready", "Synced", "Current")}
    generation = lives.status(item, "observedGeneration")
    return states == {"True"} and bool(generation == item["metadata"]["generation"])


@pytest.fixture(scope="module")
def fleet(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
) -> Iterator[Fleet]:
    """No claim yet."""
    del all_kinds
    installed.configure(shipped.one(shipped.environment("reference")))
    made = Fleet(control_plane, installed)
    try:
        control_plane.kubelet.add(_WIDE)
        yield made
    finally:
        for claim in made.claims:
            claim.delete()
        made.tenant.clean()
        control_plane.kubelet.remove(_WIDE.name)


@pytest.mark.parametrize("size", SIZES)
def test_claims_settle_and_are_quiet(fleet: Fleet, size: int) -> None:
    """All of them serve; reconciled again and again, nothing of theirs is written."""
    log = fleet.plane.api.audit
    birth = log.mark()
    fleet.grow(size)
    fleet.settle()
    start = log.mark()
    fleet.force()
    # Some of the last may be under way: what they write counts too.
    fleet.settle()
    reconciles = fleet.rows[-1].reconciles
    assert reconciles >= _WINDOW
    writes = [write for write in log.writes(start) if write.namespace == _NAMESPACE]
    applied = [write for write in writes if write.user == crossplane.USER]
    assert len(applied) > 8 * reconciles, "core applies every object each time"
    born = [write for write in log.writes(birth)[: start - birth] if write.changed]
    assert crossplane.USER in {write.user for write in born}, "the log tells changes"
    ours = [write for write in writes if write.user != "admin"]
    assert [write for write in ours if write.changed is not False] == []


def test_what_it_costs(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    """The table for docs/performance.md, with how busy the machine is."""
    assert [row.size for row in fleet.rows] == [size for size in SIZES for _ in range(2)]
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    with capsys.disabled():
        print(f"\n{fleet.table()}\n{os.cpu_count()} CPUs, load {load}")
