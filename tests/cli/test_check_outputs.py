"""What `check` prints: text, GitHub's annotations, SARIF and JSON."""

import json
import os
import pathlib
import re

import pytest

from function.cli import checking, reports, sarif
from function.findings import rules, table
from tests.cli import checks, command

SMALL = """\
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata: {name: small}
spec:
  model: {repository: Qwen/Qwen3-8B}
"""


def test_text_is_a_line_for_each_finding_and_a_sum(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "claims.yaml"
    file.write_text(SMALL)
    first, last = checks.run(str(file), "-e", command.REFERENCE).stdout.splitlines()
    assert re.fullmatch(
        rf"{re.escape(str(file))}:5: note: spec\.model\.contextWindow: .* \(context-cut\)", first
    )
    assert last == "1 note in 1 claim"
    nothing = checks.run("-", "-e", command.REFERENCE, given=SMALL.replace("8B}", "0.6B}"))
    assert nothing.stdout == "no findings in 1 claim\n"


def located(message: str, file: str = "a,b:c/100%.yaml", line: int = 3) -> checking.Located:
    rule = table.RULES["claim-invalid"]
    return checking.Located(rule.broken("spec.model", message), file, line, "llm", "small")


def report(*given: checking.Located) -> checking.Report:
    return checking.Report(given, 1, unread=False, notes=())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            located("100 % of 1:2,\n3"),
            "::error file=a%2Cb%3Ac/100%25.yaml,line=3,title=claim-invalid"
            "::spec.model: 100 %25 of 1:2, 3\n",
        ),
        (located("x", line=0), "::error file=a%2Cb%3Ac/100%25.yaml,title=claim-invalid"),
        (located("x", file="", line=0), "::error title=claim-invalid::spec.model: x\n"),
    ],
)
def test_github_reads_properties_and_messages_apart(given: checking.Located, expected: str) -> None:
    text = reports.github(report(given))
    assert text.startswith(expected)
    assert text.count("\n") == 1


def test_github_has_a_word_for_each_severity() -> None:
    words = [
        reports.github(report(checking.Located(rule.broken("", "x", severity), "", 0)))
        for severity in rules.Severity
        for rule in [table.RULES["gguf"]]
    ]
    assert [text.split(" ")[0] for text in words] == ["::error", "::warning", "::notice"]


def test_sarif_names_rules_places_and_levels(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Structure of SARIF 2.1.0; checked once against the schema of OASIS."""
    (tmp_path / "a claim.yaml").write_text(SMALL.replace("8B}", "8B, toolCallParser: mistral}"))
    monkeypatch.chdir(tmp_path)
    result = checks.run("a claim.yaml", "-e", command.REFERENCE, "-o", "sarif")
    log = json.loads(result.stdout)
    assert (log["version"], log["$schema"]) == ("2.1.0", sarif.SCHEMA)
    (ran,) = log["runs"]
    described = ran["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == ["parser-of-another-family", "context-cut"]
    for rule, one in zip(described, ran["results"], strict=True):
        assert rule["helpUri"].endswith(f"docs/findings.md#{rule['id']}")
        assert {"text", "markdown"} <= rule["help"].keys()
        assert rule["defaultConfiguration"]["level"] == one["level"]
        assert described[one["ruleIndex"]]["id"] == one["ruleId"]
        (location,) = one["locations"]
        assert location["physicalLocation"] == {
            "artifactLocation": {"uri": "a%20claim.yaml", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 5},
        }
    assert [one["level"] for one in ran["results"]] == ["warning", "note"]


def test_sarif_of_files_elsewhere_and_of_none(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    files = (os.fspath(tmp_path / "here/in.yaml"), "../out.yaml", "-", "")
    (ran,) = sarif.document(report(*(located("x", file, 0) for file in files)))["runs"]
    places = [one.get("locations", [{}])[0] for one in ran["results"]]
    uris = [one.get("physicalLocation", {}).get("artifactLocation") for one in places]
    assert uris[0] == {"uri": "in.yaml", "uriBaseId": "%SRCROOT%"}
    assert uris[1] is not None
    assert uris[1]["uri"].startswith("file:///")
    assert uris[2:] == [None, None]


def test_json_has_all_of_a_finding() -> None:
    document = checks.as_json("-", given=SMALL.replace("spec:", "spek:"))
    assert document["counts"] == {"error": 2, "warning": 0, "note": 0}
    one = next(one for one in document["findings"] if one["field"] == "spek")
    assert one == {
        "rule": "claim-invalid",
        "severity": "error",
        "file": "-",
        "line": 4,
        "namespace": "default",
        "claim": "small",
        "field": "spek",
        "message": "unknown field; the nearest is spec",
    }


def test_notes_of_the_run_go_to_standard_error() -> None:
    result = checks.run("-", given=SMALL)
    assert "note: no --environment given" in result.stderr
