"""Weights in a bucket, as a rendered claim has its engine read them, from a store on loopback.

`python -m tests.engines.vllm.buckets` renders `examples/features/weights-in-bucket.yaml` for
stores of several kinds. For each it runs what vLLM does at its start, with the variables, the
arguments and the address that the claim's container has, and nothing else: vLLM's own code and the
released streamer (`tools/engine/reading.py`). It compares what was read with what was put there,
and whom the process asked for and connected to with what the claim's network policy opens. It ends
with 1 where they differ. No GPU: tensors end on the host.
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from tests import cluster, documents
from tests.resources import scene
from tools.engine import parsers, streamer

VLLM = "0.25.1"
EXAMPLE = "examples/features/weights-in-bucket.yaml"
SECRET = "hub-token-models"
PREFIX = "llm/qwen3-8b"
SMALL = ("config.json", "tokenizer.json", "tokenizer.model", "merges.txt", "parts/more.json")
# The first is read in several parts.
SIZES = (80 << 20, 3 << 20, 1000)
_CONNECT = re.compile(r"sa_family=AF_INET6?, sin6?_port=htons\((\d+)\).*?\"([^\"]+)\"")


@dataclasses.dataclass(frozen=True)
class Case:
    """A store, and what a claim's engine makes of it.

    Attributes:
        title: What the case is, in a line.
        site: Settings of the claim's platform.
        asks: Names that are asked for.
        says: What the engine says as it ends; None when it reads all.
        domain: Name of the store.
        port: Its port.
        region: Its region.
        tls: It is asked by TLS, and the container trusts its certificate.
        up: It runs.
        secret: The keys that the claim's Secret has.
        uri: Where the claim says that the weights are.
        beside: An object that the list has and the bucket has not.
    """

    title: str
    site: dict[str, Any]
    asks: frozenset[str]
    says: str | None = None
    domain: str = "objects.example.com"
    port: int = 9000
    region: str = "eu-west-3"
    tls: bool = False
    up: bool = True
    secret: tuple[tuple[str, str], ...] = tuple(streamer.KEYS.items())
    uri: str = f"s3://models/{PREFIX}"
    beside: str = ""


HTTP = {"endpoint": "http://objects.example.com:9000"}
PATH = HTTP | {"pathStyle": True}
STORE, BUCKET = "objects.example.com", "models.objects.example.com"
AWS = "s3.eu-west-3.amazonaws.com"
OTHER = (("AWS_ACCESS_KEY_ID", "reader"), ("AWS_SECRET_ACCESS_KEY", "other"))

CASES = (
    Case("buckets in the path", {"objectStore": PATH}, frozenset({STORE})),
    Case("buckets in the name", {"objectStore": HTTP}, frozenset({STORE, BUCKET})),
    Case(
        "by TLS",
        {"objectStore": PATH | {"endpoint": "https://objects.example.com:9000"}},
        frozenset({STORE}),
        tls=True,
    ),
    Case(
        "the names of AWS",
        {"objectStore": {}},
        frozenset({f"models.{AWS}"}),
        domain=AWS,
        port=443,
        tls=True,
    ),
    Case(
        "a store of another region than the settings'",
        {"objectStore": PATH},
        frozenset({STORE}),
        says="http_status=400",
        region="us-east-1",
    ),
    Case(
        "a store of another region, which is said",
        {"objectStore": PATH | {"bucketRegion": "us-east-1"}},
        frozenset({STORE}),
        region="us-east-1",
    ),
    Case(
        "a wrong secret",
        {"objectStore": PATH},
        frozenset({STORE}),
        says="SignatureDoesNotMatch",
        secret=OTHER,
    ),
    Case(
        "no keys",
        {"objectStore": PATH},
        frozenset(),
        says="Unable to locate credentials",
        secret=(),
    ),
    Case(
        "no such bucket",
        {"objectStore": PATH},
        frozenset({STORE}),
        says="NoSuchBucket",
        uri="s3://nothing/llm/qwen3-8b",
    ),
    Case(
        "nothing below the address",
        {"objectStore": PATH},
        frozenset({STORE}),
        says="Cannot find any safetensors model weights",
        uri="s3://models/llm/other",
    ),
    Case(
        "an object that went away",
        {"objectStore": PATH},
        frozenset({STORE}),
        says="http_status=404",
        beside=f"s3://models/{PREFIX}/gone.safetensors",
    ),
    Case(
        "a store that is down",
        {"objectStore": PATH},
        frozenset({STORE}),
        says="Could not connect to the endpoint URL",
        up=False,
    ),
    Case(
        "a name that nobody knows",
        {"objectStore": PATH | {"endpoint": "http://nowhere.example.com:9000"}},
        frozenset({"nowhere.example.com"}),
        says="Could not connect to the endpoint URL",
        up=False,
    ),
)


def rendered(case: Case) -> cluster.Cluster:
    """Returns the cluster with the example's claim, for the case's store."""
    claimed = documents.copied(cluster.load(EXAMPLE))
    model = claimed["spec"]["model"]
    model["uri"] = case.uri
    if case.secret:
        model["credentialsSecretRef"] = {"name": SECRET}
    model["streaming"] = {"concurrency": 4}
    return scene.serving(claimed, scene.site(**case.site))


def variables(container: cluster.Object, case: Case) -> dict[str, str]:
    """Returns a container's variables, with the values that a kubelet would put there."""
    secret, told = dict(case.secret), dict[str, str]()
    for name, value in scene.environment(container).items():
        if isinstance(value, str):
            told[name] = value
        elif "secretKeyRef" in value and value["secretKeyRef"]["key"] in secret:
            told[name] = secret[value["secretKeyRef"]["key"]]
    return told


def opened(world: cluster.Cluster) -> set[tuple[str, int]]:
    """Returns the names and ports that the claim's policy opens to its pods."""
    (policy,) = [item for key, item in world.objects.items() if key.endswith("-cilium-netpol")]
    return {
        (name["matchName"], int(port["port"]))
        for rule in policy["spec"]["egress"]
        for name in rule.get("toFQDNs", ())
        for port in rule["toPorts"][0]["ports"]
    }


def _content(name: str) -> bytes:
    return f"the content of {name}\n".encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def weights(directory: pathlib.Path) -> dict[str, str]:
    """Writes a model; returns the hash of each tensor, by its name."""
    chance, hashes = random.Random(7), dict[str, str]()
    for name in SMALL:
        path = directory / PREFIX / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_content(name))
    for number, size in enumerate(SIZES):
        header, body = dict[str, Any](), b""
        for name, length in ((f"large.{number}", size), (f"odd.{number}", 12_345)):
            content = chance.randbytes(length)
            span = [len(body), len(body) + length]
            header[name] = {"dtype": "U8", "shape": [length], "data_offsets": span}
            hashes[name] = _hash(content)
            body += content
        head = json.dumps(header).encode()
        path = directory / PREFIX / f"model-{number}.safetensors"
        path.write_bytes(struct.pack("<Q", len(head)) + head + body)
    return hashes


class Reader:
    """Runs what vLLM does, and tells whom it connected to."""

    def __init__(self, directory: pathlib.Path, sources: pathlib.Path) -> None:
        """Takes a directory for what it writes, and vLLM's sources."""
        self.directory, self.sources = directory, sources
        self.python = streamer.environment()
        self.connected: set[tuple[str, int]] = set()

    def put(self, model: pathlib.Path, told: dict[str, str]) -> None:
        """Puts a model into the bucket `models` by boto3, large files in parts."""
        command = [self.python, parsers.HERE / "reading.py", "put", model, "models"]
        subprocess.run([str(word) for word in command], env=told, check=True)

    def read(
        self, container: cluster.Object, told: dict[str, str], beside: str
    ) -> subprocess.CompletedProcess[str]:
        """Reads as the container would."""
        trace, cache = self.directory / "connected", self.directory / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        command = [streamer.program("strace"), "-f", "-qq", "-e", "trace=connect", "-o", str(trace)]
        command += [str(self.python), str(parsers.HERE / "reading.py"), "read", str(self.sources)]
        command += [json.dumps(container["args"]), *([beside] if beside else [])]
        # The mount of the container is not there.
        there = told | {"VLLM_CACHE_ROOT": str(cache), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=there, capture_output=True, text=True)
        found = _CONNECT.findall(trace.read_text())
        self.connected = {(address, int(port)) for port, address in found}
        return done


def differences(
    case: Case, reader: Reader, names: streamer.Names, hashes: dict[str, str], extra: dict[str, str]
) -> Iterator[str]:
    """Yields where a case went otherwise than it is to."""
    world = rendered(case)
    container = scene.container(world)
    names.asked.clear()
    done = reader.read(container, variables(container, case) | extra, case.beside)
    if case.says is None:
        if done.returncode:
            yield f"ended with {done.returncode}: {done.stderr.strip()[-600:]}"
        else:
            told = json.loads(done.stdout.splitlines()[-1])
            if told["tensors"] != hashes:
                yield "other tensors than were put there"
            if told["files"] != {name: _hash(_content(name)) for name in SMALL}:
                yield f"other files: {told['files']}"
    elif done.returncode == 0 or case.says not in done.stderr:
        yield f"does not say {case.says!r}: {done.stderr.strip()[-600:]}"
    if names.asked != case.asks:
        yield f"asked for {sorted(names.asked)}"
    open_ = opened(world)
    shut = names.asked - {name for name, _ in open_}
    if shut:
        yield f"the policy does not open {sorted(shut)}"
    # glibc connects to port 0 to sort addresses, and sends nothing there.
    ports = {0} | {port for _, port in open_}
    for address, port in sorted(reader.connected - {(streamer.RESOLVER, 53)}):
        if address != streamer.STORE or port not in ports:
            yield f"connected to {address} on {port}"


def stage(sources: pathlib.Path, wanted: Sequence[str]) -> int:
    """Runs the cases, in namespaces of their own; returns the exit code."""
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        place = pathlib.Path(directory)
        streamer.settle(place)
        hashes = weights(place / "model")
        domains = {case.domain for case in CASES}
        tls = streamer.certificate(place, [n for d in domains for n in (d, f"*.{d}")])
        reader = Reader(place, sources)
        with streamer.Names(dict.fromkeys(domains, streamer.STORE)) as names:
            first = CASES[0]
            told = streamer.KEYS | {"AWS_ENDPOINT_URL": first.site["objectStore"]["endpoint"]}
            with streamer.store(place, domain=first.domain, port=first.port, region=first.region):
                reader.put(place / "model", told | {"AWS_REGION": first.region})
            for case in [one for one in CASES if not wanted or one.title in wanted]:
                found = list(_run(case, place, reader, names, hashes, tls))
                wrong += bool(found)
                print(f"{case.title}: {'; '.join(found) or _words(case)}", flush=True)
    return int(wrong > 0)


def _words(case: Case) -> str:
    return "read, byte for byte" if case.says is None else f"ends with {case.says!r}"


def _run(
    case: Case,
    place: pathlib.Path,
    reader: Reader,
    names: streamer.Names,
    hashes: dict[str, str],
    tls: tuple[pathlib.Path, pathlib.Path],
) -> Iterator[str]:
    extra = {"AWS_CA_BUNDLE": str(tls[0])} if case.tls else {}
    if not case.up:
        yield from differences(case, reader, names, hashes, extra)
        return
    files = tls if case.tls else None
    with streamer.store(place, domain=case.domain, port=case.port, region=case.region, tls=files):
        yield from differences(case, reader, names, hashes, extra)


def main(words: Sequence[str] | None = None) -> int:
    """Reads; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines.vllm.buckets")
    parser.add_argument("titles", nargs="*", metavar="CASE", help="its title; all by default")
    parser.add_argument("--stage", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.stage is not None:
        return stage(options.stage, options.titles)
    try:
        streamer.gateway()
        streamer.environment()
        sources = parsers.sources(VLLM)
    except (streamer.MissingError, parsers.UnavailableError) as error:
        print(error, file=sys.stderr)
        return 1
    staged = ["--stage", str(sources), *options.titles]
    return streamer.alone("tests.engines.vllm.buckets", staged)


if __name__ == "__main__":
    sys.exit(main())
