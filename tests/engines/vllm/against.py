"""Generated command lines, judged by our contract and by vLLM's own parsers.

`python -m tests.engines.vllm.against LINES VERSION...` renders that many generated claims for each
version, adds arguments that are right, nearly right and wrong, and asks both. It ends with 1 and
the lines when they differ.
"""

import argparse
import collections
import dataclasses
import random
import sys
from collections.abc import Iterator, Sequence

import hypothesis

from function.api import base, claim, settings
from function.cluster import checkpoints
from function.engines import semver
from function.engines.vllm import arguments, contract, managed, recordings, serving
from function.findings import rules
from function.planning import plans
from tests import pools, strategies
from tests.resources import scene
from tools.engine import parsers

# Values by type, right and wrong ones.
_VALUES: dict[str, tuple[str, ...]] = {
    "integer": ("1", "-1", "8k", "1.5", "x", "None", "auto", ""),
    "size": ("1", "8k", "8K", "1.5k", "x", "auto", "8kk", "None"),
    "number": ("0.5", "1", "x", "None", "1e3", "8k"),
    "json": ("{}", "{", "[]", "x", '{"a": 1}', '{"a":', "None", "1"),
    "text": ("x", "auto", "None", ""),
}
_ODD = ("--no-such-flag", "--swap-space=4", "--max-num=1", "--x.y=1", "--Seed=1", "--enforce_eager")


@dataclasses.dataclass
class Result:
    """What a run came to.

    Attributes:
        counts: Lines by what both said.
        differences: Lines of which the two say different things.
    """

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    differences: list[str] = dataclasses.field(default_factory=list)


def added(parser: recordings.Parser, chance: random.Random) -> Iterator[str]:
    """Yields arguments: most of them right."""
    for _ in range(chance.randrange(3)):
        spelling = chance.choice([name for name in parser.options if name.startswith("--")])
        option = parser.options[spelling]
        if option.name == "help" or option.name in managed.FLAGS:
            continue
        if chance.random() < 0.1:
            yield chance.choice(_ODD)
        elif chance.random() < 0.1:
            yield spelling[: chance.randrange(5, len(spelling) + 5)]
        elif option.type == "switch":
            yield spelling if chance.random() < 0.9 else f"{spelling}=true"
        else:
            pool = (*option.choices, *option.names[:5], *_VALUES[option.type])
            yield f"{spelling}={chance.choice(pool)}"


def rendered(count: int, version: str) -> list[list[str]]:
    """Returns the command lines of generated claims."""
    site = settings.assemble({}, {}, [scene.site()])
    lines: list[list[str]] = []

    @hypothesis.settings(
        max_examples=count * 6,  # up to two thirds of them are refused before they have a line
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.claims(hatches=False))
    def render(document: pools.Json) -> None:
        if len(lines) == count:
            return
        document["spec"]["engine"] = {"version": version}
        try:
            resource = base.parse(claim.InferenceService, document, what="claim")
            plan = plans.make(resource, site, checkpoints.Facts())
        except base.InvalidError:
            return
        assert isinstance(plan.serving, serving.Serving)
        lines.append(arguments.serve(plan, plan.serving))

    render()
    return lines


def compare(count: int, version: str) -> Result:
    """Asks the contract and the parser of a version about generated lines."""
    number, result = semver.parse(version), Result()
    chance = random.Random(version)
    table = recordings.parser(number)
    with parsers.Parser(version) as real:
        for line in rendered(count, version):
            tokens = [*line, *added(table, chance)]
            ours = [
                finding
                for finding in contract.judge(tokens, number)
                if finding.severity is rules.Severity.ERROR
            ]
            theirs = real.errors(tokens)
            if bool(ours) == (theirs is not None):
                result.counts["refused" if ours else "accepted"] += 1
            else:
                words = "; ".join(map(str, ours)) or "accepted"
                result.differences.append(f"{tokens}\n  ours: {words}\n  vLLM: {theirs}")
    return result


def main(words: Sequence[str] | None = None) -> int:
    """Compares; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines.vllm.against")
    parser.add_argument("lines", type=int)
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    options = parser.parse_args(words)
    different = False
    for version in options.versions:
        try:
            result = compare(options.lines, version)
        except parsers.UnavailableError as error:
            print(f"the parser of vLLM {version} cannot be had: {error}", file=sys.stderr)
            return 1
        for difference in result.differences:
            print(difference)
        total = sum(result.counts.values()) + len(result.differences)
        print(
            f"vLLM {version}: {total} lines, {result.counts['accepted']} accepted and"
            f" {result.counts['refused']} refused by both, {len(result.differences)} differ"
        )
        different |= bool(result.differences) or total < options.lines
    return int(different)


if __name__ == "__main__":
    sys.exit(main())
