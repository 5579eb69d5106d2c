"""A hub that is hostile: the program ends, in words."""

import json
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from preload import checkpoint, exits, hub, listing, report, settings
from tests.preload import conftest, given, hub_server

pytestmark = pytest.mark.usefixtures("small_pieces")


def answer(stage: conftest.Stage, change: Callable[[dict[str, Any]], object]) -> None:
    """Let the API's answer be another one."""

    def changed(body: bytes) -> bytes:
        document = json.loads(body)
        change(document)
        return json.dumps(document).encode()

    stage.hub.faults = [hub_server.Fault("/api/", times=99, content=changed)]


def refused(stage: conftest.Stage, code: exits.Exit, *words: str) -> None:
    assert stage.run() == code
    message = stage.message()
    assert message["error"] == code.reason
    for word in words:
        assert word in message["message"]
    assert conftest.truth(stage.home) is None
    assert stage.hub.downloads() == []


# --- the list of files


def _first(document: dict[str, Any], **fields: object) -> None:
    document["siblings"][2] |= fields


def _lfs(document: dict[str, Any], **fields: object) -> None:
    for entry in document["siblings"]:
        if "lfs" in entry:
            entry["lfs"] |= fields


@pytest.mark.parametrize(
    "change",
    [
        lambda d: _first(d, size="728"),
        lambda d: _first(d, size=728.0),
        lambda d: _first(d, size=True),
        lambda d: _first(d, size=-1),
        lambda d: _first(d, size=10**40),
        lambda d: _first(d, size=None),
        lambda d: _first(d, blobId=7),
        lambda d: _first(d, blobId="../../x"),
        lambda d: _first(d, lfs="yes"),
        lambda d: _lfs(d, size="1"),
        lambda d: _lfs(d, sha256="zz"),
        lambda d: _lfs(d, sha256=["0" * 64]),
    ],
)
def test_sizes_and_hashes_that_are_none(
    stage: conftest.Stage, change: Callable[[dict[str, Any]], object]
) -> None:
    answer(stage, change)
    refused(stage, exits.Exit.VERIFICATION_FAILED, "size or hash")


@pytest.mark.parametrize(
    "path",
    [
        "a\nb.json",
        "a\x1b[2Jb.json",
        "a\0b.json",
        "a\u202egnp.json",
        "\ud800.json",
        "a/./b.json",
        "a//b.json",
        "a/",
        "",
        "..",
        "x" * 256 + ".json",
        "é" * 200 + ".json",
        "/".join(["d" * 200] * 6) + "/a.json",
    ],
)
def test_names_that_cannot_be_stored_or_printed(stage: conftest.Stage, path: str) -> None:
    answer(stage, lambda document: _first(document, rfilename=path))
    refused(stage, exits.Exit.VERIFICATION_FAILED, "not safe")


def test_a_file_that_is_a_directory_too(stage: conftest.Stage) -> None:
    entry = {"size": 2, "blobId": "0" * 40}
    more = [{"rfilename": "a.json", **entry}, {"rfilename": "a.json/b.json", **entry}]
    answer(stage, lambda document: document["siblings"].extend(more))
    refused(stage, exits.Exit.VERIFICATION_FAILED, "as a file and as a directory")


def test_a_file_that_is_listed_twice(stage: conftest.Stage) -> None:
    answer(stage, lambda document: document["siblings"].append(document["siblings"][0]))
    refused(stage, exits.Exit.VERIFICATION_FAILED, "twice")


@pytest.mark.parametrize("sha", ["../../etc", "a/b", "x" * 300, 7, "a\nb"])
def test_a_commit_that_is_none(stage: conftest.Stage, sha: object) -> None:
    answer(stage, lambda document: document.update(sha=sha))
    refused(stage, exits.Exit.VERIFICATION_FAILED, "commit")


def test_more_files_than_any_model_has(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_MOST_FILES", 5)
    refused(stage, exits.Exit.VERIFICATION_FAILED, "more than 5")


@pytest.mark.parametrize(
    "page", [given.DEEP, b"[" * 100_000, b'{"sha": "a", "siblings": [7]}', b'{"sha":' + b"9" * 5000]
)
def test_json_that_is_no_answer_is_tried_again(stage: conftest.Stage, page: bytes) -> None:
    stage.hub.faults = [hub_server.Fault("/api/", content=lambda _: page)]
    assert stage.run() == 0
    assert stage.events().count("retry") == 1


def test_an_answer_without_end_is_cut(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_LARGEST_ANSWER", 100_000)
    stage.hub.faults = [hub_server.Fault("/api/", times=9, content=lambda _: b" " * 50_000_000)]
    refused(stage, exits.Exit.VERIFICATION_FAILED, "more than 100000 bytes")
    (request,) = stage.hub.requests
    assert request.sent < 50_000_000


def test_an_answer_that_trickles_is_given_up(
    stage: conftest.Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes within the time-out of one read."""
    monkeypatch.setattr(hub_server, "_counts", lambda _: True)
    stage.hub.pause = 0.1
    stage.hub.faults = [hub_server.Fault("/api/", times=9, content=lambda _: b" " * (1 << 22))]
    stage.environment |= {"HF_HUB_ETAG_TIMEOUT": "0.2", "PRELOAD_RETRY_SECONDS": "0.5"}
    began = time.monotonic()
    refused(stage, exits.Exit.HUB_UNAVAILABLE, "takes longer than 1 s")
    assert time.monotonic() - began < 5


def test_an_error_of_any_length_says_a_line(stage: conftest.Stage) -> None:
    body = json.dumps({"error": "no\ud800\x1b[2J" + "x" * 10_000}).encode()
    for status, code in ((404, 11), (401, 10)):
        fault = hub_server.Fault("/api/", status=status, content=lambda _: body)
        stage.hub.faults = [fault]
        assert stage.run() == code
        assert "(no\ufffd\ufffd[2Jxxx" in stage.message()["message"]


@pytest.mark.parametrize(
    "value", ["\xb2", "9" * 5000, "Fri, 99 Jan 99999 00:00:00 GMT", "-1", "1e309"]
)
def test_a_wait_that_is_none(stage: conftest.Stage, value: str) -> None:
    headers = {"Retry-After": value, "ratelimit": f'"api";r=0;t={"9" * 5000}'}
    stage.hub.faults = [hub_server.Fault("/api/", status=503, headers=headers)]
    assert stage.run() == 0


def test_compressed_content_is_not_unpacked(stage: conftest.Stage) -> None:
    coded = {"Content-Encoding": "gzip"}
    stage.hub.faults = [hub_server.Fault("/config.json", times=99, more=coded)]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    assert stage.run() == 13
    assert "compressed content" in stage.message()["message"]


# --- redirects


@pytest.mark.parametrize("path", ["/api/models/", "/resolve/", "/cdn/"])
@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/", "http://10.0.0.1/x", "file:///etc/passwd", "ftp://x/y"],
)
def test_no_redirect_leads_inside(stage: conftest.Stage, path: str, location: str) -> None:
    stage.hub.faults = [
        hub_server.Fault(path, times=99, status=307, headers={"Location": location})
    ]
    began = time.monotonic()
    assert stage.run() == 13
    assert time.monotonic() - began < 4  # not worth a retry
    assert "hub.egressCidrs" in stage.message()["message"]
    assert conftest.truth(stage.home) is None


def test_redirects_in_a_circle_end(stage: conftest.Stage) -> None:
    stage.hub.faults = [
        hub_server.Fault("/api/", times=10**6, status=307, headers={"Location": "/api/models/x"})
    ]
    stage.environment["PRELOAD_RETRY_SECONDS"] = "0.1"
    refused(stage, exits.Exit.HUB_UNAVAILABLE, "more than 10 redirects")


def test_a_repository_with_a_new_name_is_followed_with_its_token(stage: conftest.Stage) -> None:
    stage.hub.gated.add("Qwen/Qwen3-8B")
    stage.environment["HF_TOKEN"] = stage.hub.token
    new = {"Location": "/api/models/Qwen/Qwen3-8B/revision/main?blobs=true"}
    stage.hub.faults = [hub_server.Fault("/api/models/Qwen/Old/", status=307, headers=new)]
    source = hub.Hub(settings.of_environment(stage.environment), report.Log())
    assert source.snapshot("Qwen/Old", "main").sha == stage.hub.revisions["Qwen/Qwen3-8B", "main"]
    assert {request.authorization for request in stage.hub.requests} == {
        f"Bearer {stage.hub.token}"
    }


def test_another_port_of_the_endpoints_host_gets_no_token(stage: conftest.Stage) -> None:
    with hub_server.Server() as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        away = {"Location": f"{other.endpoint}/api/models/a/b/revision/main"}
        stage.hub.faults = [hub_server.Fault("/api/", times=9, status=302, headers=away)]
        stage.environment["HF_TOKEN"] = stage.hub.token
        stage.run()
        other.shutdown()
        thread.join()
        assert [request.authorization for request in other.requests] == [None]


# --- the endpoint, and the manifest


def test_another_endpoint_vouches_for_itself(stage: conftest.Stage) -> None:
    """What one hub published is compared with what the other lists: file by file, by hash."""
    assert stage.run() == 0
    assert stage.manifest()["endpoint"] == stage.hub.endpoint
    before = conftest.files_below(stage.home / "weights")
    (stage.home / "manifest.json").write_text(
        json.dumps({**stage.manifest(), "endpoint": "https://huggingface.co"})
    )
    stage.hub.requests.clear()
    assert stage.run() == 0
    assert "unpublished" in stage.events()
    assert stage.manifest()["endpoint"] == stage.hub.endpoint
    assert stage.hub.downloads() == []  # the same content
    assert conftest.files_below(stage.home / "weights") == before


def test_a_mirrors_content_does_not_stay_for_the_hubs(stage: conftest.Stage) -> None:
    changed = {**conftest.MODEL, given.SHARD: conftest.blob(1_500_000, 99)}
    stage.hub.publish("Qwen/Qwen3-8B", changed)
    assert stage.run() == 0
    published = {**stage.manifest(), "endpoint": "https://mirror.example.com"}
    (stage.home / "manifest.json").write_text(json.dumps(published))
    # The hub knows no such commit.
    del stage.hub.revisions["Qwen/Qwen3-8B", published["sha"]]
    stage.hub.publish("Qwen/Qwen3-8B", conftest.MODEL)
    assert stage.run() == 0
    there = conftest.files_below(stage.home / "weights")
    assert there[given.SHARD] == conftest.MODEL[given.SHARD]


def test_a_manifest_of_an_earlier_version_stays_true(stage: conftest.Stage) -> None:
    assert stage.run() == 0
    published = stage.manifest()
    del published["endpoint"]
    (stage.home / "manifest.json").write_text(json.dumps(published))
    stage.hub.requests.clear()
    assert stage.run() == 0
    assert stage.hub.requests == []
    assert stage.manifest() == published


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("HTTPS://Hub.Example.com:443/", "https://hub.example.com"),
        ("http://hub.example.com:80/a/", "http://hub.example.com/a"),
        ("https://hub.example.com:8443", "https://hub.example.com:8443"),
    ],
)
def test_an_endpoint_has_one_spelling(given: str, wanted: str) -> None:
    assert settings.of_environment({"HF_ENDPOINT": given}).endpoint == wanted


# --- what a repository says of itself


@pytest.mark.parametrize(
    "content",
    [
        given.DEEP,
        b'{"text_config":' * 900 + b"{}" + b"}" * 900,
        b'{"architectures": ["\\ud800", "' + b"A" * 100_000 + b'"], "dtype": "\\ud800\\n"}',
        b'{"max_position_embeddings": ' + b"9" * 4000 + b"}",
        b'{"max_position_embeddings": -1, "architectures": [{"a": 1}]}',
        b'{"quantization_config": {"quant_method": "' + b"x" * 100_000 + b'"}}',
    ],
)
def test_a_configuration_of_any_kind_is_described(stage: conftest.Stage, content: bytes) -> None:
    stage.hub.publish("Qwen/Qwen3-8B", {**conftest.MODEL, "config.json": content})
    assert stage.run() == 0
    (item,) = stage.message()["items"]
    assert item["sha"] == stage.manifest()["sha"]
    described = stage.manifest()["checkpoint"]
    assert all(len(json.dumps(value)) < 4000 for value in described.values())
    assert described["contextLimit"] is None


def test_a_configuration_of_any_length_is_not_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_bytes(conftest.config())
    assert checkpoint.describe(tmp_path, "base", [])["contextLimit"] == 40960
    monkeypatch.setattr(checkpoint, "_LARGEST_CONFIG", 20)
    assert checkpoint.describe(tmp_path, "base", [])["contextLimit"] is None


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"dtype": 5, "data_offsets": [0, 1]}}',
        b'{"a": {"dtype": "F32", "data_offsets": ["x", 1]}}',
        b'{"a": {"dtype": "F32", "data_offsets": [0, Infinity]}}',
        b'{"a": {"dtype": "F32", "data_offsets": [0, 1e400]}}',
        b'{"a": {"dtype": "F32", "data_offsets": [9, 1]}}',
        b'{"a": {"dtype": ["F32"], "data_offsets": [0, 1]}}',
        b'{"a":' * 100_000,
    ],
)
def test_a_header_of_any_kind_is_described(tmp_path: pathlib.Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    checkpoint.describe(tmp_path, "base", [path.name])


def test_a_message_with_half_a_character_is_written() -> None:
    assert b"?" in report.failure(exits.Exit.NOT_FOUND, "\ud800")


# --- the token, and the environment


def secrets(stage: conftest.Stage, tmp_path: pathlib.Path, **contents: str) -> pathlib.Path:
    """Secrets as a kubelet mounts them: a directory for each."""
    root = tmp_path / "hub-token"
    root.mkdir(exist_ok=True)
    for path, content in contents.items():
        place, _, key = path.partition("__")
        (root / place).mkdir(exist_ok=True)
        (root / place / key).write_text(content)
    stage.environment["PRELOAD_SECRETS_DIRECTORY"] = str(root)
    stage.hub.gated.add("Qwen/Qwen3-8B")
    return root


@pytest.mark.parametrize(
    ("contents", "wanted"),
    [
        ({"00__HF_TOKEN": "hf_a\n", "01__HF_TOKEN": "hf_b"}, "hf_a"),
        ({"01__HF_TOKEN": "hf_b", "02__HF_TOKEN": "hf_c"}, "hf_b"),
        ({"00__HUGGING_FACE_HUB_TOKEN": "hf_old", "01__HF_TOKEN": "hf_b"}, "hf_b"),
        ({"00__HUGGING_FACE_HUB_TOKEN": "hf_old"}, "hf_old"),
        ({"00__HF_TOKEN": "", "01__HF_TOKEN": "hf_b"}, "hf_b"),
        ({"00__OTHER": "x"}, None),
    ],
)
def test_the_first_secret_with_a_token(
    stage: conftest.Stage, tmp_path: pathlib.Path, contents: dict[str, str], wanted: str | None
) -> None:
    secrets(stage, tmp_path, **contents)
    assert settings.of_environment(stage.environment).token == wanted
    given = {**stage.environment, "HF_TOKEN": "hf_own"}
    assert settings.of_environment(given).token == "hf_own"


def test_a_secret_that_comes_after_the_pod_is_waited_for(
    stage: conftest.Stage, tmp_path: pathlib.Path
) -> None:
    secrets(stage, tmp_path)
    stage.environment["PRELOAD_SECRETS_SECONDS"] = "10"
    late = threading.Timer(
        0.5, lambda: secrets(stage, tmp_path, **{"00__HF_TOKEN": stage.hub.token})
    )
    late.start()
    assert stage.run() == 0
    assert "token-wait" in stage.events()
    assert stage.hub.token not in stage.log


def test_a_secret_that_never_comes_ends_as_without_one(
    stage: conftest.Stage, tmp_path: pathlib.Path
) -> None:
    secrets(stage, tmp_path)
    stage.environment["PRELOAD_SECRETS_SECONDS"] = "0.2"
    assert stage.run() == 10
    assert "HF_TOKEN" in stage.message()["message"]


def test_a_public_model_waits_for_no_secret(stage: conftest.Stage, tmp_path: pathlib.Path) -> None:
    secrets(stage, tmp_path)
    stage.hub.gated.clear()
    assert stage.run() == 0
    assert "token-wait" not in stage.events()


def test_variables_that_are_not_meant_do_nothing() -> None:
    kept = {"PRELOAD_PLAN": "{}", "HF_TOKEN": "x", "NO_PROXY": "*", "HTTPS_PROXY": "http://p"}
    strange = {
        "https_proxy": "http://evil",
        "ALL_PROXY": "http://evil",
        "SSLKEYLOGFILE": "/models/keys",
        "NETRC": "/models/netrc",
        "HF_TOKEN_PATH": "/models/token",
        "HF_HUB_OFFLINE": "1",
        "CURL_CA_BUNDLE": "/models/ca",
        "LD_PRELOAD": "/models/x.so",
        "PYTHONPATH": "/models",
    }
    environment = kept | strange
    settings.isolate(environment)
    assert environment == kept


def test_nothing_on_the_volume_is_imported(stage: conftest.Stage, tmp_path: pathlib.Path) -> None:
    """The image's own entry point, in a directory and with variables that an author chose."""
    text = (conftest.ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["/usr/bin/preload"]' in text
    flags = text.partition("#!/usr/bin/python3 ")[2].partition("'")[0]
    assert "I" in flags
    evil = tmp_path / "evil"
    (evil / "preload").mkdir(parents=True)
    for name in ("json.py", "huggingface_hub.py", "usercustomize.py", "preload/__init__.py"):
        (evil / name).write_text("import sys; sys.exit('shadowed')")
    launcher = tmp_path / "launcher"
    launcher.write_text(
        f"import sys\nsys.path.append({str(conftest.ROOT)!r})\n"
        "from preload.__main__ import main\nsys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, flags, str(launcher)],
        cwd=evil,
        env={**stage.plan(), "PYTHONPATH": str(evil), "PYTHONSTARTUP": str(evil / "json.py")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert conftest.truth(stage.home) is True
