"""Answers to claims at rest, as text: of this process, or of `python -m tests.answers`."""

import json
import sys

from function.server import runner
from tests import cluster


def of(claims: list[cluster.Object]) -> str:
    """Returns the last answers to some claims on the reference platform, one a line."""
    lines = []
    for claim in claims:
        world = cluster.Cluster(claim, cluster.environment("reference"))
        world.converge()
        answer = runner.run(world.request(), world.log)
        lines.append(answer.SerializeToString(deterministic=True).hex())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(of(json.load(sys.stdin)))
