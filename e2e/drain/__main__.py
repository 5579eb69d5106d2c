"""The drain of the rendered pods with a real engine, in real time.

`python -m e2e.drain --vllm .../bin/vllm --model DIRECTORY`: two replicas of an example on the
reference platform, replaced one by one under 48 clients. Takes minutes, and a vLLM that runs here:
its CPU build with any small model of random weights will do. Exits non-zero when a request is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import pathlib
import sys
import tempfile

from e2e.drain import clock as clocks
from e2e.drain import kubelet as kubelets
from e2e.drain import scenario

CLAIM = "xplane-qwen-coder"
# What a machine without a GPU can take of the rendered command line.
KEPT = ("--shutdown-timeout", "--max-num-seqs")


def _command(options: argparse.Namespace, pod: kubelets.Pod) -> list[str]:
    arguments = pod.container["args"]
    kept = [argument for argument in arguments if argument.partition("=")[0] in KEPT]
    assert len(kept) == len(KEPT)
    return [
        *(options.vllm, "serve", options.model, f"--served-model-name={CLAIM}"),
        *("--host=127.0.0.1", f"--port={pod.port}", "--enforce-eager", "--max-model-len=4096"),
        *kept,
    ]


def main() -> None:
    """Run it and say what became of pods and requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vllm", required=True, help="the engine's program")
    parser.add_argument("--model", required=True, help="directory of a small model")
    parser.add_argument("--tokens", type=int, default=600, help="of the shortest request")
    parser.add_argument("--profile", default="reference", help="one by one; plain: surge")
    options = parser.parse_args()
    logs = pathlib.Path(tempfile.mkdtemp(prefix="drain-"))
    print(f"logs: {logs}", flush=True)
    outcome = asyncio.run(
        scenario.run(
            scenario.Scenario(options.profile, CLAIM, replicas=2),
            clocks.Clock(1),
            lambda pod: _command(options, pod),
            [options.tokens * (1 + number % 3) for number in range(scenario.CLIENTS)],
            logs,
        )
    )
    for pod in outcome.old:
        spent = f"{pod.ended - pod.terminated:.1f} s" if pod.ended and pod.terminated else "?"
        end = "killed" if pod.killed else f"status {pod.status}"
        print(f"{pod.name}: {end}, {spent} after SIGTERM")
    problems = collections.Counter(one.problem or "answered whole" for one in outcome.requests)
    refused = sum(one.refused for one in outcome.requests)
    print(f"in flight at the first deletion: {len(outcome.in_flight)}")
    print(f"in flight at a SIGTERM: {len(outcome.draining)}")
    print(f"requests: {dict(problems)}; refused connections: {refused}")
    sys.exit(1 if outcome.lost or refused else 0)


if __name__ == "__main__":
    main()
