"""A stand-in for a provider of models outside of the cluster: no model, but its two APIs, by TLS.

It answers chat completions as OpenAI's API has them and messages as Anthropic's has them, and
remembers what it was asked. What a real provider makes of a request it cannot show.
"""

from __future__ import annotations

import dataclasses
import http.server
import json
import pathlib
from collections.abc import Mapping

from e2e.controlplane import api, certificates
from e2e.dataplane import published

NAME = "stand-in-provider"
# What each answer costs.
PROMPT_TOKENS, ANSWER_TOKENS = 7, 5


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        path: Its path.
        headers: Its headers, by lower-case name.
        body: What it had to say.
    """

    path: str
    headers: Mapping[str, str]
    body: api.Object


def _completion(model: str) -> api.Object:
    message = {"role": "assistant", "content": "from outside"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": ANSWER_TOKENS,
            "total_tokens": PROMPT_TOKENS + ANSWER_TOKENS,
        },
    }


def _message(model: str) -> api.Object:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "from outside"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": ANSWER_TOKENS},
    }


_ANSWERS = {"/v1/chat/completions": _completion, "/v1/messages": _message}


class Provider(published.Server):
    """The stand-in.

    Attributes:
        asked: What it was asked so far.
        stranger: The PEM certificate of who did not sign its own.
    """

    def __init__(self, work: pathlib.Path, namespace: str) -> None:
        """Make its certificate, and serve.

        Args:
            work: For files.
            namespace: Where its Service is to be.
        """
        self.asked: list[Asked] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append(Asked(self.path, headers, {}))
                self.send_error(404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append(Asked(self.path, headers, body))
                answer = _ANSWERS.get(self.path)
                made = {"error": "no such path"} if answer is None else answer(body["model"])
                content = json.dumps(made).encode()
                self.send_response(200 if answer is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                del arguments

        directory = work / NAME
        directory.mkdir(parents=True)
        super().__init__(NAME, namespace, directory, Handler)
        self.stranger = certificates.authority(directory, "stranger").certificate.read_text()
