"""`make bench-weights`: the preload program beside the hub's client, curl and sha256sum.

Every number is a ratio within one round, because absolute times belong to a machine.
docs/performance.md says how to read them.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from preload import journal

ROOT = pathlib.Path(__file__).parents[2]
_CLIENT = """
import sys, huggingface_hub
huggingface_hub.snapshot_download(
    "bench/model", endpoint=sys.argv[1], local_dir=sys.argv[2], max_workers=8)
"""


_CASES = ("files", "file", "unlimited", "unlimited-files", "resumed")


@dataclasses.dataclass(frozen=True)
class Run:
    """What one process took: seconds by the clock and of CPU, and MiB at most."""

    seconds: float
    cpu: float
    memory: float


class Hub:
    """The hub's process; a context manager.

    Args:
        files: Number of large files.
        mib: Size of each.
        rate: MiB/s of each connection; 0 for no limit.
        latency: Seconds before each answer.
        tls: Where its authority's certificate is to lie; no TLS if absent.
    """

    def __init__(
        self,
        files: int,
        mib: int,
        rate: float = 0.0,
        latency: float = 0.0,
        tls: pathlib.Path | None = None,
    ) -> None:
        self.size = files * mib << 20
        self.name = f"{files} file(s) of {mib} MiB{'' if tls is None else ', TLS'}"
        self.trust = {} if tls is None else {"SSL_CERT_FILE": str(tls / "ca.crt")}
        numbers = {"files": files, "mib": mib, "rate": rate, "latency": latency}
        options = {**numbers, "tls": None if tls is None else str(tls)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.hub", json.dumps(options)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.endpoint = self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def sent(self) -> int:
        """Return the bytes of content that were sent so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._read())

    def __enter__(self) -> "Hub":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()


def main() -> int:
    """Measures, prints, and returns the exit code."""
    options = _options()
    print(f"{os.cpu_count()} CPUs; medians of {options.rounds}")
    rate, mib = options.rate, options.mib
    tls = pathlib.Path(options.authority.name) if options.tls else None
    cases: dict[str, Callable[[pathlib.Path], list[bool]]] = {
        "files": lambda place: _limited(place, options, Hub(8, 32, rate, 0.02, tls), 1.0),
        "file": lambda place: _limited(place, options, Hub(1, mib, rate, 0.02, tls), 4.0),
        "unlimited": lambda place: _unlimited(place, options, Hub(1, mib, tls=tls)),
        "unlimited-files": lambda place: _unlimited(place, options, Hub(4, -(-mib // 4), tls=tls)),
        "resumed": lambda place: _resumed(place, options, Hub(1, mib, rate, 0.02, tls)),
    }
    met: list[bool] = []
    for case in options.case or cases:
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            met += cases[case](pathlib.Path(directory))
    return 1 if options.check and not all(met) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.weights", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each, alternating")
    parser.add_argument("--mib", type=int, default=1024, help="size of the large file")
    parser.add_argument("--rate", type=float, default=26, help="MiB/s of a limited connection")
    parser.add_argument("--case", action="append", choices=_CASES, help="all if absent")
    parser.add_argument(
        "--connections", type=int, nargs="+", default=[8], help="of the preload program, each"
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS, as the hub does")
    parser.add_argument("--directory", help="where to write; the system's temporary one if absent")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    options.authority = tempfile.TemporaryDirectory()
    return options


def _limited(
    place: pathlib.Path, options: argparse.Namespace, hub: Hub, least: float
) -> list[bool]:
    """Connections with a limit and 20 ms, as those of a content network."""
    print(f"\n{hub.name}, {options.rate:g} MiB/s and 20 ms a connection")
    with hub:
        rounds = [
            {"hub's client, 8 workers": _client(hub, place), **_preloads(hub, place, options)}
            for _ in range(options.rounds)
        ]
    met: list[bool] = []
    client, *preloads = _columns(hub, rounds)
    for runs in preloads:
        ratio = [theirs.seconds / ours.seconds for theirs, ours in zip(client, runs, strict=True)]
        met += [
            _verdict("speed, preload / client", ratio, least, at_least=True),
            _verdict("memory, MiB", [each.memory for each in runs], 256),
        ]
    return met


def _unlimited(place: pathlib.Path, options: argparse.Namespace, hub: Hub) -> list[bool]:
    """No limit but the machine's: beside fetching and hashing by programs in C."""
    with hub:
        trust = ["--cacert", hub.trust["SSL_CERT_FILE"]] if hub.trust else []
        model = json.loads(
            _output(["curl", "-s", *trust, f"{hub.endpoint}/api/models/bench/model"])
        )
        digests = [each["lfs"]["sha256"] for each in model["siblings"] if "lfs" in each]
        print(f"\n{hub.name}, no limit")
        rounds = []
        for _ in range(options.rounds):
            target = place / "curl"
            urls = [f"{hub.endpoint}/cdn/{digest}" for digest in digests]
            outputs = [part for url in urls for part in ("-o", str(target / url[-30:]), url)]
            target.mkdir()
            programs = {
                "curl to disk": _run(["curl", "-s", *trust, *outputs]),
                "sha256sum": _run(["sha256sum", *map(str, target.iterdir())]),
                "openssl dgst -sha256": _run(["openssl", "dgst", *map(str, target.iterdir())]),
            }
            shutil.rmtree(target)
            rounds.append({**programs, **_preloads(hub, place, options)})
    met: list[bool] = []
    curl, hashed, _, *preloads = _columns(hub, rounds)
    for runs in preloads:
        triples = [*zip(curl, hashed, runs, strict=True)]
        speed = [max(a.seconds, b.seconds) / each.seconds for a, b, each in triples]
        met += [
            _verdict("speed, preload / slower of both", speed, 0.8, at_least=True),
            _verdict("CPU, preload / both", [c.cpu / (a.cpu + b.cpu) for a, b, c in triples], 1.3),
            _verdict("memory, MiB", [each.memory for each in runs], 256),
        ]
    return met


def _columns(hub: Hub, rounds: Sequence[dict[str, Run]]) -> list[list[Run]]:
    """Print a line for each program, and return its runs."""
    columns = {label: [each[label] for each in rounds] for label in rounds[0]}
    for label, runs in columns.items():
        _print(label, hub, runs)
    print(f"  load {os.getloadavg()[0]:.1f}")
    return [*columns.values()]


def _resumed(place: pathlib.Path, options: argparse.Namespace, hub: Hub) -> list[bool]:
    """Killed at 50 %: what the second run fetches beside what the first one did not note."""
    with hub:
        home = place / "models" / "base"
        program = _program(hub, place, options.connections[0])
        process = subprocess.Popen(**program)  # type: ignore[call-overload]
        while hub.sent() < hub.size // 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.5)
        before = hub.sent()
        there = sum(
            stop - start
            for each in journal.read(home / journal.NAME).values()
            for start, stop in each
        )
        _run_program(hub, place, options.connections[0])
        again = hub.sent() - before - (hub.size - there)
        shutil.rmtree(place / "models")
    print(f"\nkilled at 50 %: {there >> 20} MiB noted of {before >> 20} MiB that the hub had sent")
    return [_verdict("bytes fetched twice, of those noted", [float(max(0, again - 4096))], 0)]


def _client(hub: Hub, place: pathlib.Path) -> Run:
    target = place / "client"
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"HF_HOME": str(place / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment |= hub.trust
    run = _run([sys.executable, "-c", _CLIENT, hub.endpoint, str(target)], environment)
    shutil.rmtree(target)
    return run


def _program(hub: Hub, place: pathlib.Path, connections: int) -> dict[str, object]:
    models = place / "models"
    models.mkdir(exist_ok=True)
    item = {"kind": "base", "repository": "bench/model", "revision": "main", "directory": "base"}
    plan = {"modelsDirectory": str(models), "user": "bench/model", "items": [item]}
    environment = {
        "PATH": os.environ["PATH"],
        "HF_ENDPOINT": hub.endpoint,
        "NO_PROXY": "*",
        **hub.trust,
        "PRELOAD_CONNECTIONS": str(connections),
        "PRELOAD_LEASE_SECONDS": "1",
        "PRELOAD_PLAN": json.dumps(plan),
    }
    arguments = [sys.executable, "-m", "preload"]
    return {"args": arguments, "env": environment, "cwd": ROOT, "stdout": subprocess.DEVNULL}


def _run_program(hub: Hub, place: pathlib.Path, connections: int) -> Run:
    program = _program(hub, place, connections)
    return _timed(lambda: subprocess.Popen(**program))  # type: ignore[call-overload]


def _preloads(hub: Hub, place: pathlib.Path, options: argparse.Namespace) -> dict[str, Run]:
    runs = {}
    for connections in options.connections:
        runs[f"preload, {connections} connections"] = _run_program(hub, place, connections)
        shutil.rmtree(place / "models")
    return runs


def _run(arguments: Sequence[str], environment: dict[str, str] | None = None) -> Run:
    return _timed(
        lambda: subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    )


def _timed(start: Callable[[], "subprocess.Popen[bytes]"]) -> Run:
    begin = time.monotonic()
    process = start()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _output(arguments: Sequence[str]) -> bytes:
    return subprocess.run(arguments, check=True, capture_output=True).stdout


def _print(label: str, hub: Hub, runs: Sequence[Run]) -> None:
    seconds = statistics.median(run.seconds for run in runs)
    cpu = statistics.median(run.cpu for run in runs)
    memory = max(run.memory for run in runs)
    mib = hub.size / 2**20
    print(
        f"  {label:<26} {seconds:7.1f} s {mib / seconds:7.0f} MiB/s"
        f" {cpu * 1024 / mib:6.2f} s of CPU a GiB {memory:6.0f} MiB"
    )


def _verdict(name: str, values: Sequence[float], target: float, *, at_least: bool = False) -> bool:
    value = statistics.median(values)
    met = value >= target if at_least else value <= target
    spread = f"{min(values):.2f} to {max(values):.2f}"
    sign = ">=" if at_least else "<="
    print(f"  {name:<38} {value:8.2f}  ({spread})  {sign} {target:g}  {'yes' if met else 'NO'}")
    return met


if __name__ == "__main__":
    sys.exit(main())
