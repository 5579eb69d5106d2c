"""What `plan` prints, and what it is asked for: outputs, workloads, usage."""

import html.parser
import json
from typing import Any

import pytest

from function.cli import markdown
from tests.cli import revisions


@pytest.mark.parametrize("output", ["table", "markdown", "html", "json"])
def test_every_output_says_the_verdict(repository: revisions.Repository, output: str) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", drainSeconds=60))
    result = repository.plan("claims", "--against", "HEAD", "--output", output)
    assert result.exit_code == 3
    if output != "json":
        assert "pods of chat restart, without answers for" in result.stdout.replace("\n", " ")
    if output == "html":
        html.parser.HTMLParser(convert_charrefs=True).feed(result.stdout)
        assert "<script" not in result.stdout
        assert "prefers-color-scheme: dark" in result.stdout
    if output == "markdown":
        assert result.stdout.startswith(markdown.MARKER)


def test_details_say_an_error_once(repository: revisions.Repository) -> None:
    large = {"repository": "meta-llama/Llama-3.3-70B-Instruct", "quantization": "auto"}
    repository.write("claims/large.yaml", revisions.claim("large", model=large))
    for output in ("markdown", "html"):
        text = repository.plan("claims", "--against", "HEAD", "--output", output).stdout
        assert text.count("nothing is left for the cache") == 1


def test_a_comment_stays_below_its_bound_and_names_what_was_cut(
    repository: revisions.Repository,
) -> None:
    for number in range(150):
        repository.write(f"claims/many{number}.yaml", revisions.claim(f"many-{number}"))
    text = repository.plan("claims", "--against", "HEAD", "--output", "markdown").stdout
    assert len(text) < 65_536
    assert "No room for the details of" in text
    assert text.count("<details>") == text.count("</details>") > 3


def test_a_claims_text_is_nobodys_markup(repository: revisions.Repository) -> None:
    repository.write(
        "claims/chat.yaml", revisions.claim("chat", model={"repository": "a|b<script>"})
    )
    for output in ("markdown", "html"):
        result = repository.plan("claims", "--against", "HEAD", "--output", output)
        assert result.exit_code == 1
        assert "<script>" not in result.stdout


def test_workloads_are_named_or_given_in_tokens(repository: revisions.Repository) -> None:
    words = ["--workload", "500:100", "--workload", "code-completion", "--output", "json"]
    chat = revisions.of(json.loads(repository.plan("claims", *words).stdout), "chat")
    assert set(chat["speed"]) == {"500:100", "code-completion"}
    result = repository.plan("claims", "--workload", "poetry")
    assert result.exit_code == 2
    assert "neither PROMPT:OUTPUT" in result.stderr


def test_requests_that_are_longer_than_the_context_are_refused(
    repository: revisions.Repository,
) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat", model={"contextWindow": 16384}))
    table = repository.plan("claims", "--workload", "40000:300", "--rate", "2").stdout
    text = " ".join(table.split())
    assert "(40000:300)" in text
    assert "such requests are refused: longer than the context of 16384 tokens" in text
    assert "triggers, 40000:300" not in text


def test_the_table_answers_the_first_workload_that_is_asked_for(
    repository: revisions.Repository,
) -> None:
    repository.write("claims/chat.yaml", revisions.claim("chat"))
    words = ("claims", "--workload", "batch", "--workload", "2000:300")
    text = repository.plan(*words, "--output", "markdown").stdout
    assert "| answers (batch) |" in text
    assert "tokens/s (" in text


def test_without_a_claim_nothing_is_planned(repository: revisions.Repository) -> None:
    (repository.root / "empty.yaml").write_text("")
    result = repository.plan("empty.yaml")
    assert (result.exit_code, result.stdout) == (2, "There is no claim to plan.\n")


def crossplane_diff(old: Any, new: Any) -> str:
    who = {key: old[key] for key in ("apiVersion", "kind")}
    who |= {"name": old["metadata"]["name"], "namespace": "llm"}
    change = {"type": "modified", **who, "diff": {"old": old, "new": new}}
    group = {"xr": who, "status": "changed", "summary": {"modified": 1}, "changes": [change]}
    return json.dumps({"summary": {"modified": 1}, "changes": [change], "xrs": [group]})


def test_crossplane_diffs_json_is_explained(repository: revisions.Repository) -> None:
    given = crossplane_diff(revisions.claim("chat"), revisions.claim("chat", drainSeconds=60))
    result = repository.plan("--from-crossplane-diff", "-", "--output", "json", given=given)
    assert result.exit_code == 3
    plan = json.loads(result.stdout)
    assert plan["against"] == "the cluster (crossplane-diff)"
    assert revisions.of(plan, "chat")["pods"]["effect"] == "restart"


@pytest.mark.parametrize("given", ["", "[]", "{}", '{"xrs": 1}', "not: [json"])
def test_what_is_no_such_json_is_said(repository: revisions.Repository, given: str) -> None:
    result = repository.plan("--from-crossplane-diff", "-", given=given)
    assert result.exit_code == 1
    assert "-: no JSON of `crossplane-diff" in result.stderr
    assert result.stdout == "The JSON of --from-crossplane-diff cannot be used.\n"


def test_settings_that_break_their_schema_are_no_files_that_cannot_be_read(
    repository: revisions.Repository,
) -> None:
    repository.write(
        "site.yaml", revisions.environment(revisions.SETTINGS | {"gpus": 1, "engin": {}})
    )
    result = repository.plan("claims", "--output", "json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["unreadable"], len(document["unusable"])) == (1, [], 2)
    for output in ("table", "markdown", "html"):
        told = repository.plan("claims", "--output", output)
        assert "The settings cannot be used." in told.stdout
        assert "cannot be read" not in told.stdout
        assert "settings: gpus: unknown field" in told.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["claims", "--from-crossplane-diff", "-"], 2),
        (["claims", "--against", "no-such-thing"], 1),
        (["nowhere"], 1),
    ],
)
def test_wrong_usage_and_what_is_not_there(
    repository: revisions.Repository, words: list[str], code: int
) -> None:
    assert repository.plan(*words).exit_code == code
