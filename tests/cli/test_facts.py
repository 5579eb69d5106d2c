"""`inference-service facts`: from the catalogue, from files, from a hub."""

import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from click import testing

from function.capacity import catalogue, forms
from function.cli import facts, main
from tests import cluster
from tests.capacity import configurations
from tests.cli import command


def run(*arguments: str) -> testing.Result:
    return command.verb("facts", *arguments)


def written(directory: pathlib.Path, **files: Any) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(json.dumps(content))
    return str(directory)


# --- the catalogue


def test_a_repository_of_the_catalogue_is_printed_in_the_short_form() -> None:
    result = run("Qwen/Qwen3-8B")
    assert result.exit_code == 0
    form = yaml.safe_load(result.stdout)
    assert form["blocks"] == [
        {
            "count": 36,
            "mixer": {
                "kind": "full",
                "heads": 32,
                "kvHeads": 8,
                "headSize": 128,
                "valueSize": 128,
            },
            "network": {"intermediate": 12288},
        }
    ]
    assert (form["toolParser"], form["reasoningParser"]) == ("hermes", "qwen3")
    assert forms.read(form) == catalogue.lookup("Qwen/Qwen3-8B")


def test_the_page_shows_what_is_printed() -> None:
    page = (cluster.ROOT / "docs/command-line.md").read_text()
    assert run("Qwen/Qwen3-8B").stdout.removeprefix("---\n") in page


def test_the_page_has_every_option() -> None:
    page = (cluster.ROOT / "docs/command-line.md").read_text()
    section = page.split("## Facts of a model")[1].split("\n## ")[0]
    options = [option for one in facts.facts.params for option in one.opts if option[0] == "-"]
    assert [option for option in options if f"`{option}" not in section] == []


def test_json_is_the_same() -> None:
    shown = json.loads(run("Qwen/Qwen3-8B", "--output", "json").stdout)
    assert shown == yaml.safe_load(run("Qwen/Qwen3-8B").stdout)


def test_a_line_is_the_catalogues_own() -> None:
    model = catalogue.lookup("Qwen/Qwen3-8B")
    assert model is not None
    assert run("Qwen/Qwen3-8B", "-o", "line").stdout == catalogue.line(model) + "\n"


def test_an_unknown_repository_is_told_what_to_do() -> None:
    result = run("org/model")
    assert result.exit_code == 1
    assert "org/model is not in the catalogue" in result.stderr
    assert "--hub" in result.stderr


# --- files


def test_a_directory_gives_packing_and_bytes_too(tmp_path: pathlib.Path) -> None:
    directory = written(
        tmp_path / "model",
        config__json=configurations.LLAMA_8B,
        hf_quant_config__json={"quantization": {"quant_algo": "NVFP4"}},
    )
    (tmp_path / "model" / "model.safetensors").write_bytes(b"0" * 100)
    form = yaml.safe_load(run(directory, "--name", "org/model").stdout)
    assert form["name"] == "org/model"
    assert form["quantization"] == {"method": "modelopt", "bits": 4, "group": 16, "scaleBits": 8}
    assert form["checkpointBytes"] == 100


def test_the_index_is_more_than_the_files_that_lie_there(tmp_path: pathlib.Path) -> None:
    directory = written(tmp_path, config__json=configurations.LLAMA_8B)
    index = {"metadata": {"total_size": 16}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert yaml.safe_load(run(directory).stdout)["checkpointBytes"] == 16
    assert yaml.safe_load(run(f"{directory}/config.json").stdout)["checkpointBytes"] == 16


def test_a_directory_of_the_hubs_cache_has_the_repositorys_name(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "models--meta-llama--Llama-3.1-8B-Instruct" / "snapshots" / "abc"
    written(directory, config__json=configurations.LLAMA_8B)
    form = yaml.safe_load(run(str(directory)).stdout)
    assert (form["name"], form["toolParser"], form["gated"]) == (
        "meta-llama/Llama-3.1-8B-Instruct",
        "llama3_json",
        True,
    )


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (configurations.LLAMA_8B | {"hidden_size": None}, 1, "hidden_size is missing"),
        (["no", "mapping"], 2, "config.json: is no mapping"),
    ],
)
def test_a_file_that_says_too_little_is_an_error(
    tmp_path: pathlib.Path, content: Any, code: int, message: str
) -> None:
    result = run(written(tmp_path, config__json=content))
    assert result.exit_code == code
    assert message in result.stderr


def test_a_directory_without_a_config_is_an_error(tmp_path: pathlib.Path) -> None:
    result = run(str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path}: there is no config.json in it" in result.stderr


@pytest.mark.parametrize(
    ("total", "note"),
    [
        (16_060_522_496, ""),
        # Weights of 32 bits, or of another model.
        (32_121_044_992, "files have 29.9 GiB, and config.json makes 15.0 GiB of tensors"),
        (8_030_261_248, "files have 7.5 GiB"),
    ],
)
def test_an_index_that_disagrees_is_noted(tmp_path: pathlib.Path, total: int, note: str) -> None:
    index = {"metadata": {"total_size": total}}
    written(tmp_path, config__json=configurations.LLAMA_8B)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    result = run(str(tmp_path))
    assert result.exit_code == 0
    assert note in result.stderr
    assert bool(note) == bool(result.stderr)


# --- a hub


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers for three repositories, and remembers which tokens came."""

    tokens: list[str | None] = []
    port = 0

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("Authorization"))
        if self.path.startswith("/moved/"):
            self.send_response(302)
            place = self.path.replace("/moved/", "/org/")
            self.send_header("Location", f"http://localhost:{self.port}{place}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/gated/"):
            self._answer(403, b"")
        elif self.path == "/org/broken/resolve/main/config.json":
            self._answer(200, b"<html>")
        elif self.path == "/org/model/resolve/main/config.json":
            self._answer(200, json.dumps(configurations.QWEN3_8B).encode())
        elif self.path == "/org/model/resolve/main/model.safetensors.index.json":
            self._answer(200, b'{"metadata": {"total_size": 16381470720}}')
        else:
            self._answer(404, b"")

    def _answer(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    Hub.tokens, Hub.port = [], server.server_port
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_hub_is_asked_for_what_the_catalogue_has_not(hub: type[Hub]) -> None:
    form = yaml.safe_load(run("org/model", "--hub").stdout)
    assert (form["name"], form["hidden"]) == ("org/model", 4096)
    assert form["checkpointBytes"] == 16381470720
    assert form["source"] == "org/model config.json"


def test_no_hub_is_asked_for_a_name_of_the_catalogue(hub: type[Hub]) -> None:
    assert run("Qwen/Qwen3-8B", "--hub").exit_code == 0
    assert run("org/model").exit_code == 1
    assert hub.tokens == []


def test_a_token_is_sent_where_there_is_one(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("org/model", "--hub")
    monkeypatch.setenv("HF_TOKEN", "secret")
    run("org/model", "--hub")
    assert set(hub.tokens) == {None, "Bearer secret"}


def test_a_token_does_not_follow_a_redirect(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert run("moved/model", "--hub").exit_code == 0
    assert hub.tokens[:2] == ["Bearer secret", None]


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        ("org/none", "org/none: the hub has no config.json of this repository"),
        ("gated/model", "asks for a licence to be accepted: accept it, and set HF_TOKEN"),
        ("org/broken", "is no JSON"),
    ],
)
def test_a_hub_that_gives_nothing_is_an_error(
    hub: type[Hub], repository: str, message: str
) -> None:
    result = run(repository, "--hub")
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("file:///etc", "HF_ENDPOINT is 'file:///etc': must begin with https://"),
        ("http://127.0.0.1:1", "refused"),
    ],
)
def test_a_hub_that_is_none_is_an_error(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, message: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    result = run("org/model", "--hub")
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("written", ["gpt-oss-20", "OpenAI/GPT-OSS-20B"])
def test_a_name_without_its_owner_or_in_other_letters_names_the_nearest(written: str) -> None:
    result = run(written)
    assert result.exit_code in (1, 2)
    assert "; the nearest: openai/gpt-oss-20b" in result.stderr


def test_what_the_catalogue_lacks_names_the_nearest() -> None:
    result = testing.CliRunner().invoke(main.main, ["facts", "Qwen/Qwen3-9B"])
    assert (result.exit_code, "the nearest: Qwen/Qwen3.5-9B" in result.stderr) == (1, True)
