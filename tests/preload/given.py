"""What the tests of the program begin with, and how it ends."""

from preload import exits
from tests.preload import conftest, hub_server

BASE = conftest.BASE
MODEL = conftest.MODEL
SHARD = "model-00001-of-00002.safetensors"
# JSON that is too deep to be read.
DEEP = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
ADAPTER = {
    "kind": "adapter",
    "repository": "org/adapter",
    "revision": "main",
    "directory": "adapter-0123456789ab",
}


def cdn(path: str) -> str:
    """The part of a CDN URL that belongs to a file of the model."""
    return hub_server.sha256(MODEL[path])


def failed(stage: conftest.Stage, code: exits.Exit, *words: str) -> None:
    message = stage.message()
    assert message["error"] == code.reason
    for word in words:
        assert word in message["message"]
    assert conftest.truth(stage.home) is None
