"""Configuration of clients: each in its own form, with what the claims serve and no key."""

import ast
import json
import shlex
from typing import Any

import pytest
import yaml
from click import testing

from function.cli import main
from function.clients import forms, offers
from tests import cluster, documents
from tests.api import entries
from tests.cli import command

DOOR = str(cluster.ROOT / "examples/front-door/callers.yaml")
ADDRESS = "https://llm.priv.cloud.ogenki.io/v1"


def claim(name: str, **spec: Any) -> cluster.Object:
    return entries.claim(name, gateway={"enabled": True}, **spec)


CLAIMS = [
    claim("chat", loraAdapters=[{"name": "sql-dpo", "repository": "org/sql"}]),
    claim("fim", routing={"specialty": "code-fim"}),
    claim("guard", routing={"specialty": "guardrail"}),
    claim("embed", model={"repository": "BAAI/bge-m3", "runner": "pooling"}),
    entries.claim("hidden"),
]


def run(*arguments: str, claims: list[cluster.Object] | None = None) -> testing.Result:
    """Runs the verb over claims at standard input."""
    given = yaml.safe_dump_all(CLAIMS if claims is None else claims)
    whole = ("clients", "-", "--environment", command.REFERENCE, *arguments)
    return command.verb(*whole, given=given)


def text(client: str) -> str:
    result = run("--for", client)
    assert result.exit_code == 0, result.stderr
    assert "hidden" not in result.stdout
    assert "(hidden) is left out: it is not on the gateway" in result.stderr
    return str(result.stdout)


def test_continue_gives_each_model_its_role() -> None:
    config = documents.parse(text("continue"))
    models = {model["name"]: model for model in config["models"]}
    assert {name: model["roles"][0] for name, model in models.items()} == {
        "chat": "chat",
        "sql-dpo": "chat",
        "fim": "autocomplete",
        "embed": "embed",
    }
    assert {model["apiBase"] for model in models.values()} == {ADDRESS}
    assert models["chat"]["apiKey"] == "${{ secrets.INFERENCE_API_KEY }}"
    assert models["chat"]["capabilities"] == ["tool_use"]
    assert models["fim"]["useLegacyCompletionsEndpoint"] is True
    options = models["chat"]["defaultCompletionOptions"]
    assert options["maxTokens"] <= options["contextLength"] // 4


def test_opencode_and_zed_list_what_chats() -> None:
    config = json.loads(text("opencode"))
    provider = config["provider"]["inference-service"]
    assert provider["options"] == {"baseURL": ADDRESS, "apiKey": "{env:INFERENCE_API_KEY}"}
    assert list(provider["models"]) == ["chat", "sql-dpo"]
    assert config["model"] == "inference-service/chat"
    zed = json.loads(text("zed"))["language_models"]["openai_compatible"]["inference-service"]
    assert [model["name"] for model in zed["available_models"]] == ["chat", "sql-dpo"]
    assert all(model["capabilities"]["tools"] for model in zed["available_models"])


def test_open_webui_embeds_by_the_gateway() -> None:
    lines = dict(line.split("=", 1) for line in text("openwebui").splitlines())
    assert lines["OPENAI_API_BASE_URL"] == lines["RAG_OPENAI_API_BASE_URL"] == ADDRESS
    assert lines["RAG_EMBEDDING_MODEL"] == "embed"
    assert (lines["DEFAULT_MODELS"], lines["TASK_MODEL_EXTERNAL"]) == ("chat", "chat")


def test_litellm_and_aider() -> None:
    listed = documents.parse(text("litellm"))["model_list"]
    modes = {model["model_name"]: model["model_info"]["mode"] for model in listed}
    assert modes == {
        "chat": "chat",
        "sql-dpo": "chat",
        "fim": "completion",
        "guard": "chat",
        "embed": "embedding",
    }
    aider = documents.parse(text("aider"))
    assert (aider["model"], aider["weak-model"]) == ("openai/chat", "openai/chat")


def test_what_is_run_is_sound() -> None:
    for line in text("curl").splitlines():
        program, _, address, *rest = shlex.split(line)
        assert (program, address.removeprefix(ADDRESS)[0]) == ("curl", "/")
        if "-d" in rest:
            assert "model" in json.loads(rest[rest.index("-d") + 1])
    ast.parse(text("openai"))


@pytest.mark.parametrize("client", forms.FORMS)
def test_json_has_the_same_text(client: str) -> None:
    document = json.loads(run("--for", client, "--output", "json").stdout)
    assert document["kind"] == "ClientConfiguration"
    assert document["text"] == run("--for", client).stdout
    kinds = {model["name"]: model["kind"] for model in document["models"]}
    assert kinds["fim"] == "complete"


def test_models_from_outside_are_offered_for_chats() -> None:
    """Of those that OpenAI's API reaches; a claim has its name."""
    door = cluster.load("examples/front-door/providers.yaml")
    door["spec"]["providers"][0]["models"].append({"name": "fim"})
    document = json.loads(run("--for", "opencode", "-o", "json", claims=[*CLAIMS, door]).stdout)
    kinds = {model["name"]: model["kind"] for model in document["models"]}
    assert kinds["claude-haiku"] == "chat"
    assert kinds["fim"] == "complete"
    assert "claude-haiku-messages" not in kinds


def test_names_behind_which_a_router_picks_are_offered_for_chats() -> None:
    door = cluster.load("examples/front-door/semantic-router.yaml")

    def offered() -> set[str]:
        document = json.loads(run("--for", "aider", "-o", "json", claims=[*CLAIMS, door]).stdout)
        return {model["name"] for model in document["models"] if model["kind"] == "chat"}

    assert "mom" in offered()
    door["spec"]["semanticRouter"]["configurationOnly"] = True
    assert "mom" not in offered()


def test_the_address_is_the_front_doors_or_given() -> None:
    door = cluster.load("examples/front-door/callers.yaml")
    door["spec"]["hostname"] = "door.example.com"
    both = [*CLAIMS, door]
    assert "https://door.example.com/v1" in run("--for", "curl", claims=both).stdout
    given = run("--for", "curl", "--endpoint", "http://127.0.0.1:8080/v1/", claims=both)
    assert "http://127.0.0.1:8080/v1/models" in given.stdout
    plain = ["clients", "-", "--for", "curl"]
    nowhere = testing.CliRunner().invoke(main.main, plain, input=yaml.safe_dump_all(CLAIMS[:1]))
    assert nowhere.exit_code == 1, "neutral settings have no gateway"
    behind = str(cluster.ROOT / "examples/front-door/environmentconfig.yaml")
    unknown = run("--for", "curl", "--environment", behind)
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "no address: give --endpoint" in unknown.stderr


def of_namespace(document: cluster.Object, namespace: str, **spec: Any) -> cluster.Object:
    changed = documents.copied(document)
    changed["metadata"]["namespace"] = namespace
    changed["spec"] |= spec
    return changed


def test_the_front_door_is_the_one_behind_which_the_claims_are() -> None:
    door = cluster.load("examples/front-door/callers.yaml")
    other = of_namespace(door, "llm", hostname="other.example.com")
    other["metadata"]["name"] = "other"
    behind = ["--environment", str(cluster.ROOT / "examples/front-door/environmentconfig.yaml")]
    chat = of_namespace(CLAIMS[0], "llm")
    for order in ([other, door], [door, other]):
        named = run("--for", "curl", *behind, claims=[chat, *order])
        assert named.stdout.startswith(f"curl -fsS {ADDRESS}/models"), named.stderr
        assert "other.example.com" not in named.stdout
    elsewhere = run("--for", "curl", claims=[chat, other])
    assert (
        "publish namespace llm on another Gateway than InferenceGateway other" in elsewhere.stderr
    )
    # A claim of another namespace is on another Gateway: no client has two addresses.
    far = of_namespace(claim("far"), "payments")
    third = of_namespace(door, "llm", hostname="third.example.com")
    alone = run("--for", "curl", *behind, claims=[far, third])
    assert alone.stdout.startswith(f"curl -fsS {ADDRESS}/models")
    both = run("--for", "curl", *behind, claims=[chat, far, third])
    assert (both.exit_code, both.stdout) == (2, "")
    for words in ("llm: https://third.example.com/v1", f"payments: {ADDRESS}", "--endpoint"):
        assert words in both.stderr
    given = run("--for", "curl", "--endpoint", ADDRESS, *behind, claims=[chat, far, third])
    assert given.exit_code == 0


def test_what_the_front_door_does_not_select_is_left_out() -> None:
    door = of_namespace(cluster.load("examples/front-door/selected.yaml"), "llm", hostname="h.io")
    coder = of_namespace(claim("coder"), "llm")
    coder["metadata"]["labels"] = {"purpose": "code"}
    odd = of_namespace(claim("odd"), "llm")
    odd["metadata"]["labels"] = "purpose"
    chosen = run("--for", "curl", claims=[coder, odd, CLAIMS[0], door])
    assert '"model": "coder"' in chosen.stdout
    assert '"model": "chat"' not in chosen.stdout
    assert "(chat) is left out: InferenceGateway llm does not select it" in chosen.stderr


def named(*arguments: str, claims: list[cluster.Object]) -> set[str]:
    result = run("--for", "curl", "--output", "json", *arguments, claims=claims)
    assert result.exit_code == 0, result.stderr
    return {model["name"] for model in json.loads(result.stdout)["models"]}


def test_a_caller_gets_what_it_may_use() -> None:
    door = of_namespace(cluster.load("examples/front-door/callers.yaml"), "llm", hostname="h.io")
    door["spec"]["providers"] = cluster.load("examples/front-door/providers.yaml")["spec"][
        "providers"
    ]
    door["spec"]["callers"] = [
        {"name": "every", "secretRef": {"name": "k"}},
        {"name": "two", "secretRef": {"name": "k"}, "models": {"names": ["sql-dpo", "embed"]}},
        {"name": "code", "secretRef": {"name": "k"}, "models": {"matchLabels": {"p": "code"}}},
        {"name": "none", "secretRef": {"name": "k"}, "models": {}},
    ]
    coder = of_namespace(claim("coder"), "llm")
    coder["metadata"]["labels"] = {"p": "code"}
    far = of_namespace(claim("far"), "payments")
    here = [*(of_namespace(one, "llm") for one in (CLAIMS[0], CLAIMS[3])), coder, far, door]
    everything = {"chat", "sql-dpo", "embed", "coder", "claude-haiku"}
    assert named("--caller", "every", claims=here) == everything
    assert named("--caller", "two", claims=here) == {"sql-dpo", "embed"}
    assert named("--caller", "code", claims=here) == {"coder"}
    nothing = run("--for", "curl", "--caller", "none", claims=here)
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    unknown = run("--for", "curl", "--caller", "nobody", claims=here)
    assert unknown.exit_code == 2
    assert "no such caller; there are: code, every, none, two" in unknown.stderr


def test_a_caller_with_a_token_has_the_port_of_tokens() -> None:
    door = of_namespace(cluster.load("examples/front-door/tokens.yaml"), "llm", hostname="h.io")
    claims = [of_namespace(CLAIMS[0], "llm"), door]
    for caller, address in (("nightly", "http://h.io/v1"), ("chat", "http://h.io:8080/v1")):
        result = run("--for", "curl", "--caller", caller, claims=claims)
        assert f"curl -fsS {address}/models" in result.stdout, result.stderr


@pytest.mark.parametrize("name", ["4e7", "1.5e3", "0o17", "0778", "y", "null"])
@pytest.mark.parametrize("client", ["continue", "litellm"])
def test_a_name_stays_a_text_for_every_reader_of_yaml(client: str, name: str) -> None:
    offer = offers.Offer(name, "chat", "chat", None, tools=False, reasoning=False)
    assert f": '{name}'\n" in forms.FORMS[client].write(offers.Access(ADDRESS, "KEY", (offer,)))


@pytest.mark.parametrize(
    ("arguments", "claims", "code", "words"),
    [
        (["--for", "opencode"], CLAIMS[3:4], 1, "serves a chat model: nothing for opencode"),
        (["--for", "curl"], CLAIMS[4:], 1, "serves a model: nothing for curl"),
        (["--for", "curl"], [entries.claim("a", gpu={"count": 0})], 1, "spec.gpu.count"),
        (["--for", "curl"], [], 2, "no InferenceService"),
        (["--for", "emacs"], CLAIMS, 2, "'emacs' is not one of"),
        (["--for", "curl", "--endpoint", "x"], CLAIMS, 2, "is no address"),
        (["--for", "curl", "--key-variable", "a b"], CLAIMS, 2, "is no name of a variable"),
    ],
)
def test_exit_codes(
    arguments: list[str], claims: list[cluster.Object], code: int, words: str
) -> None:
    result = run(*arguments, claims=claims)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
