"""The stage of these tests: a hub, a volume, and ways to run the program."""

import dataclasses
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import huggingface_hub
import pytest

from preload import attempts, exits, program, report, settings
from tests.preload import hub_server, launcher

ROOT = pathlib.Path(__file__).parents[2]


def blob(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def config(**more: object) -> bytes:
    document = {
        "architectures": ["Qwen3ForCausalLM"],
        "dtype": "bfloat16",
        "max_position_embeddings": 40960,
        **more,
    }
    return json.dumps(document).encode()


MODEL: dict[str, bytes] = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"# A model\n",
    "config.json": config(),
    "generation_config.json": b"{}",
    "model-00001-of-00002.safetensors": blob(1_500_000, 1),
    "model-00002-of-00002.safetensors": blob(900_001, 2),
    "model.safetensors.index.json": b'{"weight_map": {}}',
    "original/consolidated.00.pth": blob(2_000, 3),
    "pytorch_model.bin": blob(2_000, 4),
    "tokenizer.json": blob(30_000, 5),
    "tokenizer_config.json": b"{}",
}
WANTED = {
    "config.json",
    "generation_config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
ADAPTER: dict[str, bytes] = {
    "README.md": b"# An adapter\n",
    "adapter_config.json": json.dumps(
        {"r": 16, "base_model_name_or_path": "Qwen/Qwen3-8B", "peft_type": "LORA"}
    ).encode(),
    "adapter_model.safetensors": blob(120_000, 6),
    "checkpoint-500/adapter_model.safetensors": blob(120_000, 7),
    "optimizer.pt": blob(1_000, 8),
}
BASE = {
    "kind": "base",
    "repository": "Qwen/Qwen3-8B",
    "revision": "main",
    "directory": "base-0123456789ab",
}

USER = "llm/xplane-coder"


def truth(home: pathlib.Path) -> bool | None:
    """Whether a manifest is there (None) and every byte is what it says (True or False)."""
    try:
        manifest = json.loads((home / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None
    for file in manifest["files"]:
        try:
            content = (home / "weights" / file["path"]).read_bytes()
        except FileNotFoundError:
            return False
        digest = hub_server.sha256 if "sha256" in file else hub_server.git_sha1
        if len(content) != file["size"] or digest(content) != (
            file.get("sha256") or file["gitSha1"]
        ):
            return False
    return True


def files_below(root: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@dataclasses.dataclass
class Stage:
    """A volume, a hub, and the program between them."""

    hub: hub_server.Server
    models: pathlib.Path
    capture: pytest.CaptureFixture[str]
    environment: dict[str, str]
    log: str = ""

    @property
    def home(self) -> pathlib.Path:
        return self.models / str(BASE["directory"])

    def plan(self, *items: Mapping[str, object], **more: object) -> dict[str, str]:
        """The environment of a Job with these items (the base model if none)."""
        wanted = {} if "remove" in more else {"items": list(items or (BASE,))}
        document = {"modelsDirectory": str(self.models), "user": USER, **wanted, **more}
        return {**self.environment, "PRELOAD_PLAN": json.dumps(document)}

    def run(self, *items: Mapping[str, object], **more: object) -> exits.Exit:
        """Run in this process; keeps the log and leaves the termination message."""
        return self.run_with(self.plan(*items, **more))

    def run_with(self, environment: Mapping[str, str]) -> exits.Exit:
        log = report.Log()
        code, message = program.run(environment, log)
        report.terminate(environment["TERMINATION_LOG"], message, log)
        self.log = self.capture.readouterr().out
        return code

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.splitlines()]

    def message(self) -> dict[str, Any]:
        content = pathlib.Path(self.environment["TERMINATION_LOG"]).read_bytes()
        assert len(content) <= 4000
        return dict(json.loads(content))

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "manifest.json").read_bytes()))


@pytest.fixture(scope="session", autouse=True)
def _session() -> Iterator[None]:
    """One HTTP client for all tests: making one reads the CA bundle, which takes 0.2 s."""
    yield
    huggingface_hub.close_session()


@pytest.fixture
def hub() -> Iterator[hub_server.Server]:
    with hub_server.Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.publish("Qwen/Qwen3-8B", MODEL)
        server.publish("org/adapter", ADAPTER)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def stage(
    hub: hub_server.Server,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    models = tmp_path / "models"
    models.mkdir()
    termination = tmp_path / "termination-log"
    termination.touch()
    original = settings.of_environment
    monkeypatch.setattr(
        settings,
        "of_environment",
        lambda environment: dataclasses.replace(original(environment), first_wait=0.01),
    )
    environment = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DOWNLOAD_TIMEOUT": "5",
        "HF_HUB_ETAG_TIMEOUT": "5",
        "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "*",
        "PRELOAD_LEASE_SECONDS": "0.3",
        "PRELOAD_RETRY_SECONDS": "5",
        "TERMINATION_LOG": str(termination),
    }
    return Stage(hub, models, capsys, environment)


class Launcher:
    """The other side of `launcher.py`, whose imports take longer than most runs.

    Attributes:
        output: What the runs of one test print, in the test's own file.
        waits: Whether it has not answered yet: for ever, where a run hangs.
    """

    def __init__(self) -> None:
        self.output = pathlib.Path(os.devnull)
        self.waits = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", launcher.__name__],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_PROXY": "*"},
        )

    def _ask(self, **request: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        self.waits = True
        answer = int(json.loads(self._process.stdout.readline()))
        self.waits = False
        return answer

    def start(self, environment: Mapping[str, str], **hooks: object) -> int:
        """Start one run; returns its process id."""
        return self._ask(do="start", environment=environment, output=str(self.output), hooks=hooks)

    def wait(self, pid: int) -> int:
        """Reap it; returns its exit code, negative for a signal."""
        return self._ask(do="wait", pid=pid)

    def run(self, environment: Mapping[str, str], **hooks: object) -> int:
        return self.wait(self.start(environment, **hooks))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self.waits:
            self._process.kill()
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def _launchers() -> Iterator[list[Launcher]]:
    made: list[Launcher] = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def launch(_launchers: list[Launcher], tmp_path: pathlib.Path) -> Launcher:
    if not _launchers or _launchers[-1].waits:
        _launchers.append(Launcher())
    _launchers[-1].output = tmp_path / "output"
    return _launchers[-1]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the shards come in pieces, over several connections."""
    monkeypatch.setattr(attempts, "PIECE", 100_000)
