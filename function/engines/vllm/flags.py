"""What each flag of `vllm serve` is and can do, for every supported version.

The table holds each flag of 0.18.0, 0.25.1, 0.32.0 and 0.33.0 (their own parsers, recorded under
`tests/engines/vllm/recorded`). What a flag can do was read in vLLM's source: where its value is
imported, opened, connected to or listened on. An author of claims is no author of pods, so the
question is what a value lets the author do that the claim's fields do not.

A flag that takes JSON is judged key by key. Where a key can carry code, a key that is not listed
counts as the worst that the flag can do. Where a flag's keys are the fields of a class and none
does harm, a key that is not listed counts as an unknown flag. A flag of text or open maps is plain
as a whole.
"""

from collections.abc import Iterator, Mapping

from function.engines import judgements
from function.engines.vllm import harmless, judged, managed, rows

# Second names of a flag, from 0.32.
ALIASES = {"device-memory-utilization": "gpu-memory-utilization"}

# Names with a single dash. An author cannot write them: an argument starts with two.
SHORT = {
    "-O": "optimization-level",
    "-ac": "attention-config",
    "-asc": "api-server-count",
    "-cc": "compilation-config",
    "-dc": "diffusion-config",
    "-dcp": "decode-context-parallel-size",
    "-dp": "data-parallel-size",
    "-dpa": "data-parallel-address",
    "-dpb": "data-parallel-backend",
    "-dpe": "data-parallel-external-lb",
    "-dph": "data-parallel-hybrid-lb",
    "-dpl": "data-parallel-size-local",
    "-dpm": "data-parallel-multi-port-external-lb",
    "-dpn": "data-parallel-rank",
    "-dpp": "data-parallel-rpc-port",
    "-dpr": "data-parallel-start-rank",
    "-ep": "enable-expert-parallel",
    "-h": "help",
    "-n": "nnodes",
    "-pcp": "prefill-context-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-q": "quantization",
    "-r": "node-rank",
    "-sc": "speculative-config",
    "-tp": "tensor-parallel-size",
}


def _table() -> Iterator[rows.Flag]:
    for name, instead in managed.INSTEAD.items():
        yield rows.Flag(
            name, judgements.Kind.MANAGED, managed.TAKES.get(name, rows.Takes.TEXT), instead
        )
    for takes, names in harmless.FLAGS.items():
        yield from (rows.Flag(name, judgements.Kind.PLAIN, takes) for name in names.split())
    for name, keys in harmless.CONFIGURATIONS.items():
        why = "is no setting of a judged version"
        yield rows.Flag(
            name, judgements.Kind.UNKNOWN, rows.Takes.JSON, why, keys=judged.ruled(keys)
        )
    yield from judged.FLAGS


TABLE: Mapping[str, rows.Flag] = {
    flag.name: flag for flag in sorted(_table(), key=lambda f: f.name)
}


def _options() -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yields each long option of any version, with its flag and whether it negates it.

    A switch has `--no-x`, and from 0.33 `--disable-x` beside `--enable-x` and the reverse.
    """
    switches = [flag.name for flag in TABLE.values() if flag.takes is rows.Takes.NOTHING]
    for name in switches:
        yield f"no-{name}", (name, True)
        for prefix, inverse in (("enable-", "disable-"), ("disable-", "enable-")):
            if name.startswith(prefix):
                yield inverse + name.removeprefix(prefix), (name, True)
    for alias, name in ALIASES.items():
        yield alias, (name, False)
    for name in TABLE:
        yield name, (name, False)


# Each long option without its dashes: the flag, and whether it is switched off. A flag's own name
# is last, and wins over a negation of the same spelling.
OPTIONS: Mapping[str, tuple[str, bool]] = dict(_options())

# Numbers of an author that planning reckons with: least and most. Seconds, of which a day is more
# than any pod is given; GiB, more than the memory of any node.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "kv-offloading-size": (0, 16384),
    "shutdown-timeout": (0, 86400),
}
