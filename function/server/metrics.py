"""What the server counts, in Prometheus' text format.

The format is a few lines of text. The usual client library would cost 5 MiB of resident memory and
a fifth of the time to the first answer, for its own web server above all. Labels are bounded:
a claim's name never becomes one, since a series for each claim is what the claim's status is for.
"""

import bisect
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import function

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "inference_service_function_"

# Worst result of an answer; `error` is a call that ended without one.
SEVERITIES = ("none", "normal", "warning", "fatal", "error")
RELOADS = ("success", "failure")

# Seconds. An answer takes milliseconds; core gives a whole reconcile two minutes.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one server. Written from the event loop, except reloads: see `reload`.

    Attributes:
        expiry: Returns when each certificate ends, in Unix seconds by name; none when insecure.
    """

    def __init__(self) -> None:
        self.expiry: Callable[[], Mapping[str, float]] = dict
        self._requests = dict.fromkeys(SEVERITIES, 0)
        self._reloads = dict.fromkeys(RELOADS, 0)
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._in_flight = 0
        self._started = time.time()

    def started(self) -> None:
        """Counts a call in."""
        self._in_flight += 1

    def finished(self, severity: str, seconds: float) -> None:
        """Counts a call out, with its worst severity (one of `SEVERITIES`) and its duration."""
        self._in_flight -= 1
        self._requests[severity] += 1
        self._buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    def reload(self, result: str) -> None:
        """Counts a rotation, taken over or refused. The caller holds a lock: any thread may."""
        self._reloads[result] += 1

    def render(self) -> str:
        """Returns every metric in the text format, version 0.0.4."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        requests = {f'severity="{name}"': value for name, value in self._requests.items()}
        yield from _family(
            "requests_total", "counter", "RunFunction calls by their worst result.", requests
        )
        yield from self._histogram()
        yield from _family(
            "requests_in_flight",
            "gauge",
            "RunFunction calls being answered.",
            {"": self._in_flight},
        )
        yield from _family(
            "certificate_reloads_total",
            "counter",
            "Changed certificate files, taken over or refused.",
            {f'result="{name}"': value for name, value in self._reloads.items()},
        )
        yield from _family(
            "certificate_expiry_timestamp_seconds",
            "gauge",
            "When a certificate in use ends; of several in a file the first to end.",
            {f'certificate="{name}"': value for name, value in self.expiry().items()},
        )
        build = f'version="{function.__version__}",python="{platform.python_version()}"'
        yield from _family("build_info", "gauge", "What runs; the value is 1.", {build: 1})
        yield from self._process()

    def _histogram(self) -> Iterator[str]:
        name = f"{PREFIX}request_duration_seconds"
        yield f"# HELP {name} Time to answer a RunFunction call, without the transport's."
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*BUCKETS, "+Inf"), self._buckets, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._seconds}"
        yield f"{name}_count {total}"

    def _process(self) -> Iterator[str]:
        """Yields the process metrics under the names that every client library gives them."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        process = {
            "process_cpu_seconds_total": ("counter", usage.ru_utime + usage.ru_stime),
            "process_start_time_seconds": ("gauge", round(self._started, 3)),
        }
        if sys.platform == "linux":
            with open("/proc/self/statm", encoding="ascii") as statm:
                pages = int(statm.read().split()[1])
            resident = pages * resource.getpagesize()
            process["process_resident_memory_bytes"] = ("gauge", resident)
            process["process_open_fds"] = ("gauge", len(os.listdir("/proc/self/fd")))
        for name, (kind, value) in process.items():
            yield f"# TYPE {name} {kind}"
            yield f"{name} {value}"


def _family(name: str, kind: str, text: str, samples: Mapping[str, float]) -> Iterator[str]:
    """Yields one family; `samples` are keyed by their written labels, which need no escaping."""
    if not samples:
        return
    yield f"# HELP {PREFIX}{name} {text}"
    yield f"# TYPE {PREFIX}{name} {kind}"
    for labels, value in samples.items():
        yield f"{PREFIX}{name}{{{labels}}} {value}" if labels else f"{PREFIX}{name} {value}"
