"""The configuration of each client, as its own documentation has it. No key is ever written."""

import json
import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

from function import strict_yaml
from function.clients import offers

# The name under which editors and agents list the models.
# No provider that a client knows by itself has it: OpenCode would add the models of one.
PROVIDER = "inference-service"


class Form(NamedTuple):
    """The configuration of one client.

    Attributes:
        file: Where it goes, for people.
        write: Returns its text.
    """

    file: str
    write: Callable[[offers.Access], str]


def _yaml(document: Any) -> str:
    return str(yaml.dump(document, Dumper=strict_yaml.Dumper, sort_keys=False, width=100))


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _openwebui(access: offers.Access) -> str:
    """Returns environment variables. Its documents are embedded by the gateway too, if it can."""
    lines = {
        "ENABLE_OLLAMA_API": "false",
        "OPENAI_API_BASE_URL": access.endpoint,
        "OPENAI_API_KEY": f"${{{access.key_variable}}}",
    }
    chats, embeds = access.of("chat"), access.of("embed")
    if chats:
        lines["DEFAULT_MODELS"] = chats[0].name
        lines["TASK_MODEL_EXTERNAL"] = (access.small or chats[0]).name
    if embeds:
        lines |= {
            "RAG_EMBEDDING_ENGINE": "openai",
            "RAG_EMBEDDING_MODEL": embeds[0].name,
            "RAG_OPENAI_API_BASE_URL": access.endpoint,
            "RAG_OPENAI_API_KEY": f"${{{access.key_variable}}}",
        }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


_ROLES = {"chat": ["chat", "edit", "apply"], "complete": ["autocomplete"], "embed": ["embed"]}


def _continue(access: offers.Access) -> str:
    def model(offer: offers.Offer) -> dict[str, Any]:
        limits = _present(contextLength=offer.context, maxTokens=offer.answer)
        return _present(
            name=offer.name,
            provider="openai",
            model=offer.name,
            apiBase=access.endpoint,
            apiKey=f"${{{{ secrets.{access.key_variable} }}}}",
            roles=_ROLES[offer.kind],
            capabilities=["tool_use"] if offer.tools else None,
            # Fill-in-the-middle goes by the tokens of a prompt, which the chat's form would wrap.
            useLegacyCompletionsEndpoint=True if offer.kind == "complete" else None,
            defaultCompletionOptions=limits if limits and offer.kind != "embed" else None,
        )

    return _yaml(
        {
            "name": PROVIDER,
            "version": "1.0.0",
            "schema": "v1",
            "models": [model(offer) for offer in access.offers if offer.kind in _ROLES],
        }
    )


def _opencode(access: offers.Access) -> str:
    def model(offer: offers.Offer) -> dict[str, Any]:
        limit = None
        if offer.context is not None:
            limit = {"context": offer.context, "output": offer.answer}
        return _present(
            name=offer.name, tool_call=offer.tools, reasoning=offer.reasoning, limit=limit
        )

    chats = access.of("chat")
    return _json(
        {
            "$schema": "https://opencode.ai/config.json",
            "provider": {
                PROVIDER: {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": PROVIDER,
                    "options": {
                        "baseURL": access.endpoint,
                        "apiKey": f"{{env:{access.key_variable}}}",
                    },
                    "models": {offer.name: model(offer) for offer in chats},
                }
            },
            **_present(model=f"{PROVIDER}/{chats[0].name}" if chats else None),
        }
    )


def _aider(access: offers.Access) -> str:
    """Returns its YAML file. The key is OPENAI_API_KEY of the environment."""
    chats, small = access.of("chat"), access.small
    return _yaml(
        {
            "openai-api-base": access.endpoint,
            **_present(
                model=f"openai/{chats[0].name}" if chats else None,
                **{"weak-model": f"openai/{small.name}" if small else None},
            ),
            # It has no facts of models of ours, and would say so at each start.
            "show-model-warnings": False,
        }
    )


def _zed(access: offers.Access) -> str:
    """Returns a part of its settings. It asks for the key once."""

    def model(offer: offers.Offer) -> dict[str, Any]:
        can = {
            "tools": offer.tools,
            "images": False,
            "parallel_tool_calls": False,
            "prompt_cache_key": False,
        }
        return _present(
            name=offer.name,
            display_name=offer.name,
            max_tokens=offer.context or _ZED_TOKENS,
            max_output_tokens=offer.answer,
            capabilities=can,
        )

    provider = {
        "api_url": access.endpoint,
        "available_models": [model(offer) for offer in access.of("chat")],
    }
    return _json({"language_models": {"openai_compatible": {PROVIDER: provider}}})


# Zed wants a number for every model.
_ZED_TOKENS = 8192


_ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", {"messages": [{"role": "user", "content": "Say hello."}]}),
    "complete": ("completions", {"prompt": "def add(a, b):\n", "max_tokens": 32}),
    "embed": ("embeddings", {"input": ["hello"]}),
}
_ASKS["guard"] = _ASKS["chat"]


def _curl(access: offers.Access) -> str:
    lines = [_command(access, "models")]
    for offer in access.offers:
        path, body = _ASKS[offer.kind]
        lines.append(_command(access, path, {"model": offer.name, **body}))
    return "".join(lines)


def _command(access: offers.Access, path: str, body: dict[str, Any] | None = None) -> str:
    url = shlex.quote(f"{access.endpoint}/{path}")
    line = f'curl -fsS {url} -H "Authorization: Bearer ${access.key_variable}"'
    if body is not None:
        line += f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    return line + "\n"


def _openai(access: offers.Access) -> str:
    messages = '[{{"role": "user", "content": "Say hello."}}]'
    chat = f"client.chat.completions.create(model={{name}}, messages={messages})"
    calls = {
        "chat": chat,
        "guard": chat,
        "complete": 'client.completions.create(model={name}, prompt="def add(a, b):")',
        "embed": 'client.embeddings.create(model={name}, input=["hello"])',
    }
    lines = [
        "import os",
        "",
        "import openai",
        "",
        f"client = openai.OpenAI(base_url={json.dumps(access.endpoint)},"
        f' api_key=os.environ["{access.key_variable}"])',
    ]
    for offer in access.offers:
        lines.append(f"print({calls[offer.kind].format(name=json.dumps(offer.name))})")
    return "\n".join(lines) + "\n"


_MODES = {"chat": "chat", "guard": "chat", "complete": "completion", "embed": "embedding"}


def _litellm(access: offers.Access) -> str:
    def model(offer: offers.Offer) -> dict[str, Any]:
        prefix = "text-completion-openai" if offer.kind == "complete" else "openai"
        return {
            "model_name": offer.name,
            "litellm_params": {
                "model": f"{prefix}/{offer.name}",
                "api_base": access.endpoint,
                "api_key": f"os.environ/{access.key_variable}",
            },
            "model_info": _present(
                mode=_MODES[offer.kind],
                max_input_tokens=offer.context,
                max_output_tokens=None if offer.kind == "embed" else offer.answer,
                supports_function_calling=offer.tools,
            ),
        }

    return _yaml({"model_list": [model(offer) for offer in access.offers]})


FORMS: dict[str, Form] = {
    "openwebui": Form("environment of Open WebUI's container", _openwebui),
    "continue": Form("~/.continue/config.yaml", _continue),
    "opencode": Form("opencode.json", _opencode),
    "aider": Form(".aider.conf.yml", _aider),
    "zed": Form("~/.config/zed/settings.json, merged", _zed),
    "curl": Form("a shell", _curl),
    "openai": Form("a Python program", _openai),
    "litellm": Form("config.yaml of LiteLLM's proxy", _litellm),
}
# Of these a list without chat models is of no use.
NEEDS_CHAT = frozenset(("aider", "opencode", "zed"))
