"""Runs in the environment of LiteLLM: which names keys may ask for, by its own check."""

import asyncio
import json
import sys

import litellm  # type: ignore[import-not-found]
import yaml
from litellm.proxy._types import (  # type: ignore[import-not-found]
    ProxyException,
    UserAPIKeyAuth,
)
from litellm.proxy.auth.auth_checks import (  # type: ignore[import-not-found]
    can_key_call_model,
)


async def main() -> None:
    """Reads one question and writes one answer."""
    asked = json.load(sys.stdin)
    with open(asked["file"], encoding="utf-8") as stream:
        read = yaml.safe_load(stream)
    router = litellm.Router(model_list=read["model_list"], **read["router_settings"])
    answer: dict[str, list[str]] = {}
    for who, models in asked["groups"].items():
        key = UserAPIKeyAuth(api_key="sk-key", models=models)
        answer[who] = []
        for name in asked["names"]:
            try:
                await can_key_call_model(name, read["model_list"], key, router)
            except ProxyException:
                continue
            answer[who].append(name)
    print(json.dumps(answer))


asyncio.run(main())
