"""Which line of a file a field stands on."""

import pathlib

import pytest

from function.cli import documents, places

TEXT = """\
# a comment
apiVersion: cloud.ogenki.io/v1alpha1
kind: InferenceService
metadata:
  name: assistant
  annotations:
    example.com/a.b: c
    example.com/a: d
spec:
  model: {repository: org/model,
    revision: main}
  engineArgs:
    - --enforce-eager
    - >-
      --max-num-batched-tokens=8192
  loraAdapters:
    - name: legal
      repository: org/legal
    - {name: medical, repository: org/medical}
"""


def node(tmp_path: pathlib.Path, text: str, number: int = 0) -> documents.Source:
    file = tmp_path / "claims.yaml"
    file.write_text(text)
    return documents.claims([str(file)]).sources[number]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 2),
        ("nothing", 2),
        ("metadata.name", 5),
        ("metadata.annotations.example.com/a.b", 7),
        ("metadata.annotations.example.com/a", 8),
        ("metadata.annotations.example.com/other", 6),
        ("spec.model", 10),
        ("spec.model.contextWindow", 10),
        ("spec.model.revision", 11),
        ("spec.engineArgs[0]", 13),
        ("spec.engineArgs[1]", 14),
        ("spec.engineArgs[2]", 12),
        ("spec.engineArgs.thing", 12),
        ("spec.loraAdapters[1].repository", 19),
        ("spec.loraAdapters[legal].repository", 18),
        ("spec.loraAdapters[legal].rank", 17),
        ("spec.loraAdapters[other].rank", 16),
    ],
)
def test_a_field_has_its_line_or_that_of_what_it_is_in(
    tmp_path: pathlib.Path, path: str, line: int
) -> None:
    assert places.line(node(tmp_path, TEXT).node, path) == line


def test_lines_of_later_documents_of_lists_and_of_what_is_merged(tmp_path: pathlib.Path) -> None:
    second = node(tmp_path, TEXT + "---\n" + TEXT, 1)
    assert places.line(second.node, "spec.model.revision") == 31
    listed = """\
kind: List
items:
- kind: ConfigMap
- &first
  apiVersion: cloud.ogenki.io/v1alpha1
  kind: InferenceService
  metadata: {name: first}
  spec: {model: {repository: a/b}}
- <<: *first
  metadata:
    name: second
"""
    items = [node(tmp_path, listed, number).node for number in (0, 1)]
    assert [places.line(item, "metadata.name") for item in items] == [7, 11]
    assert [places.line(item, "spec.model.repository") for item in items] == [8, 8]
    assert places.line(None, "spec") == 1
