"""How long a replica may take to start, and how it ends."""

import dataclasses
import math
from collections.abc import Iterator

from function import explanation
from function.api import base, claim, settings
from function.planning import running, storage

# Seconds of drain when the author names none.
DRAIN = 120

# Seconds: the startup probe's period, and the bounds of the derived budget.
STARTUP_PERIOD = 10
SHORTEST_START = 600
LONGEST_START = 1800
# Seconds for a new node, and a pull of the image. A rollout has them beside the start budget; a
# leader has them within, because it waits for the pods of its group.
NODE_AND_IMAGE = 1200
# A year and a half: deadlines that follow from it have 32 bits.
LONGEST_CHOSEN_START = running.MOST_SECONDS // 2


@dataclasses.dataclass(frozen=True)
class Start:
    """The start budget.

    Attributes:
        periods: Failures of the startup probe that end the container.
        seconds: From container start to the first 200, at most.
    """

    periods: int
    seconds: int


def drain(
    asked: int | None,
    exit_seconds: int,
    site: settings.Settings,
    class_name: str,
    notice: int | None,
    why: list[explanation.Explanation],
) -> running.Drain:
    """Returns how a replica ends.

    Args:
        asked: Seconds that the author gives to running requests, or None.
        exit_seconds: What the engine needs to exit once the last request is answered.
        site: The settings.
        class_name: Name of the GPU class.
        notice: Seconds of notice before a node of the class is reclaimed, or None.
        why: Explanations are added here.
    """
    shutdown = base.given(asked, DRAIN)
    # Endpoint removal must reach every proxy before the engine stops accepting: on SIGTERM 0.25.1
    # refuses connections at once, 0.32 answers new requests with 500 while /health says 200 (both
    # measured).
    pre_stop = site.rollout.pre_stop_seconds
    grace = pre_stop + shutdown + exit_seconds
    if notice is not None and grace > notice:
        grace, pre_stop = notice, min(pre_stop, notice)
        shutdown = max(0, min(shutdown, notice - pre_stop - 10))
    why.append(
        explanation.Explanation(
            "drain",
            f"preStop {pre_stop} s, drain {shutdown} s, grace period {grace} s",
            f"grace = preStop + drain + {exit_seconds} s, capped by the class's interruption"
            " notice",
            f"drainSeconds={base.given(asked, f'{DRAIN} (default)')},"
            f" class {class_name} notice={base.given(notice, 'none')}",
            field="spec.drainSeconds",
        )
    )
    return running.Drain(pre_stop=pre_stop, shutdown=shutdown, grace=grace)


def refusals(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields why the author's start budget cannot be: Kubernetes counts it in 32 bits."""
    chosen = base.of(spec.health_probes, "startup")
    period = int(base.given(base.of(chosen, "period_seconds"), STARTUP_PERIOD))
    seconds = period * int(base.given(base.of(chosen, "failure_threshold"), 1))
    if seconds > LONGEST_CHOSEN_START:
        yield base.Problem(
            "spec.healthProbes.startup",
            f"periodSeconds times failureThreshold is {seconds} s, and at most"
            f" {LONGEST_CHOSEN_START} s can be remembered: lower one",
        )


def start(
    spec: claim.Spec,
    site: settings.Settings,
    engine_seconds: int,
    size_gib: float | None,
    why: list[explanation.Explanation],
    *,
    spans: bool = False,
) -> Start:
    """Returns the start budget.

    A failing engine exits by itself, so a generous budget costs nothing; a tight one is a kill
    loop. The budget is a time: when the author sets another period, the number of failures follows
    and the budget stays.

    Args:
        spec: What the author asks for.
        site: The settings.
        engine_seconds: What the engine needs beside reading the weights.
        size_gib: GiB of the checkpoint, where the author names none, or None.
        why: Explanations are added here.
        spans: Whether a replica has several pods.
    """
    chosen = base.of(spec.health_probes, "startup")
    period = int(base.given(base.of(chosen, "period_seconds"), STARTUP_PERIOD))
    delay = int(base.given(base.of(chosen, "initial_delay_seconds"), 0))
    threshold = base.of(chosen, "failure_threshold")
    if threshold is not None:
        return Start(int(threshold), delay + period * int(threshold))
    size = base.given(spec.model.size_gi_b, size_gib)
    bandwidth, _ = storage.read_rate(spec, site)
    if size is None or bandwidth is None:
        seconds = float(LONGEST_START)
        inputs = f"size={base.given(size, 'unknown')}, bandwidth={base.given(bandwidth, 'unknown')}"
    else:
        seconds = max(SHORTEST_START, 2 * (engine_seconds + size * 1024 / bandwidth) + 120)
        inputs = f"size={size} GiB, bandwidth={bandwidth} MiB/s"
    rule = (
        f"2 x ({engine_seconds} s + size / bandwidth) + 120 s, at least {SHORTEST_START} s;"
        f" {LONGEST_START} s when the size or the bandwidth is unknown"
    )
    if spans:
        seconds += NODE_AND_IMAGE
        rule += f"; {NODE_AND_IMAGE} s more for the nodes and images of the replica's other pods"
    if spec.model.source == "oci":
        pull, inputs = _pull(size, site.weights.image_pull_mi_b, inputs)
        seconds += pull
        rule += (
            "; for the node's pull of the weights' image 2 x size / imagePullMiB more, and"
            f" {NODE_AND_IMAGE} s where one of them is unknown"
        )
    periods = math.ceil(seconds / period)
    why.append(
        explanation.Explanation(
            "startup budget",
            f"{delay + periods * period} s",
            rule,
            inputs,
            field="spec.healthProbes.startup",
        )
    )
    return Start(periods, delay + periods * period)


def _pull(size: float | None, rate: int | None, inputs: str) -> tuple[float, str]:
    """Returns seconds for the pull of an image of weights, and the inputs of the whole budget.

    Containers start after the pull. The budget has it all the same: alerts, deadlines and the
    autoscaler's first cooldown count from when a pod is placed.
    """
    inputs += f", imagePullMiB={base.given(rate, 'unknown')}"
    if size is None or rate is None:
        return NODE_AND_IMAGE, inputs
    return 2 * size * 1024 / rate, inputs
