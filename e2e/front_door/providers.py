"""Models from outside, as a front door names them."""

from __future__ import annotations

from e2e.controlplane import api
from e2e.dataplane import outside

CHATS, MESSAGES = "from-outside", "from-outside-messages"
IMPOSTOR = "from-an-impostor"
KEY = "key-of-the-provider"
AUTHORITY, STRANGER = "provider-authority", "another-authority"


def listed(provider: outside.Provider) -> list[api.Object]:
    """By OpenAI's API and by Anthropic's, and one whose certificate somebody else signed."""
    return [
        {
            "name": name,
            "api": spoken,
            "host": provider.host,
            "certificateAuthority": {"name": authority},
            "credentials": {"secretRef": {"name": "provider-key"}},
            "models": [{"name": model, "upstream": "claude-haiku-4-5"}],
        }
        for name, spoken, model, authority in (
            ("chats", "OpenAI", CHATS, AUTHORITY),
            ("messages", "Anthropic", MESSAGES, AUTHORITY),
            ("impostor", "OpenAI", IMPOSTOR, STRANGER),
        )
    ]
