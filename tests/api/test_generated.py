"""The generated files are those that the models give, and say what they have to."""

import functools
import pathlib
import re
from collections.abc import Iterator

import pytest

from function import generate
from function.api import base, claim, gateway, settings
from function.composites import inference_service
from tests import documents

XRD_PATH = generate.xrd_path(inference_service)
XRD = generate.ROOT / XRD_PATH
INPUT = generate.ROOT / generate.INPUT


@pytest.fixture(autouse=True, scope="module")
def _generated_once() -> Iterator[None]:
    """What is generated follows from the source alone, and takes a third of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "files", functools.cache(generate.files))
        yield


def test_no_file_is_stale() -> None:
    assert generate.stale() == []


def test_check_names_what_is_stale(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path)]
    assert generate.main([*root, "--check"]) == 1
    missing = capsys.readouterr().err
    assert all(str(path) in missing for path in generate.files())

    assert generate.main(root) == 0
    assert generate.main([*root, "--check"]) == 0
    assert capsys.readouterr().err == ""

    changed = tmp_path / XRD_PATH
    changed.write_text(changed.read_text().replace("Namespaced", "Cluster"))
    (tmp_path / generate.CLAIM_REFERENCE).unlink()
    assert generate.main([*root, "--check"]) == 1
    named = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in named] == [
        str(XRD_PATH),
        str(generate.CLAIM_REFERENCE),
    ]
    assert generate.main(root) == 0
    assert generate.stale(tmp_path) == []


def test_a_generated_file_says_so() -> None:
    for path in generate.files():
        first = (generate.ROOT / path).read_text().splitlines()[0]
        assert re.search(r"Generated from function/(api|findings) by `make generate`", first), path


def test_the_xrd() -> None:
    definition = documents.parse(XRD.read_text())
    assert definition == generate.composite_definition(inference_service)
    assert definition["apiVersion"] == "apiextensions.crossplane.io/v2"
    assert definition["metadata"] == {"name": "inferenceservices.cloud.ogenki.io"}
    spec = definition["spec"]
    assert (spec["scope"], spec["group"]) == ("Namespaced", "cloud.ogenki.io")
    # As in 0.9.0's: Crossplane refuses to take over an XRD whose names differ by as little as one
    # that the API server would have derived.
    assert spec["names"] == {"kind": "InferenceService", "plural": "inferenceservices"}
    (version,) = spec["versions"]
    assert (version["name"], version["served"], version["referenceable"]) == (
        "v1alpha1",
        True,
        True,
    )
    root = version["schema"]["openAPIV3Schema"]
    assert root["properties"]["metadata"]["properties"]["name"]["maxLength"] == 54
    assert root["properties"]["status"].get("x-kubernetes-preserve-unknown-fields") is None
    # A default would be stored, and could then not be told from a choice.
    assert not re.search(r"^\s*default:", XRD.read_text(), re.MULTILINE)
    assert "&id" not in XRD.read_text()


@pytest.mark.pitfall("a printer column with a wildcard shows the first entry only")
def test_printer_columns() -> None:
    (version,) = generate.composite_definition(inference_service)["spec"]["versions"]
    columns = {column["name"]: column for column in version["additionalPrinterColumns"]}
    assert [name for name, column in columns.items() if "priority" not in column] == [
        "PHASE",
        "REPLICAS",
        "CURRENT",
        "WAITING FOR",
        "SERVED MODELS",
        "ENDPOINT",
        "GPU",
    ]
    assert {column.get("priority", 1) for column in columns.values()} == {1}
    properties = generate.composite_schema(inference_service)["properties"]
    for name, column in columns.items():
        if name == "CURRENT":
            continue
        node = {"properties": properties, "type": "object"}
        for part in column["jsonPath"].strip(".").split("."):
            node = node["properties"][part]
        assert node["type"] == column["type"], name


def test_the_input() -> None:
    definition = documents.parse(INPUT.read_text())
    assert definition == generate.input_definition()
    assert definition["metadata"]["name"] == "settings.inference-service.cloud.ogenki.io"
    (version,) = definition["spec"]["versions"]
    given = settings.Input.model_fields
    assert f"{definition['spec']['group']}/{version['name']}" in str(given["api_version"])
    assert definition["spec"]["names"]["kind"] in str(given["kind"])
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    assert "environment" in properties
    assert properties["metadata"] == {"type": "object"}


# The reference pages.

_PAGES = {
    "claim": (generate.CLAIM_REFERENCE, claim.__name__),
    "settings": (generate.SETTINGS_REFERENCE, settings.__name__),
    "gateway": (generate.GATEWAY_REFERENCE, gateway.__name__),
}


def _page(name: str) -> str:
    return (generate.ROOT / _PAGES[name][0]).read_text()


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_has_every_field(name: str) -> None:
    page = _page(name)
    apart = {"crossplane", "apiVersion", "kind", "metadata", "status"}
    # The claim's parts are in modules beside it, with its name in front.
    models = [m for m in base.Model.__subclasses__() if m.__module__.startswith(_PAGES[name][1])]
    assert len(models) > 8
    apart_models = (
        *(claim.InferenceService, claim.Metadata, claim.SystemFields),
        gateway.InferenceGateway,
    )
    for model in models:
        if model in apart_models:
            continue
        for field in model.model_fields.values():
            if field.alias not in apart:
                required = " (required)" if field.is_required() else ""
                assert f"\n| `{field.alias}`{required} |" in page, (model, field.alias)
                words = (field.description or "").replace("<", "&lt;").replace("|", "\\|")
                assert words in page, (model, field.alias)


@pytest.mark.parametrize("name", _PAGES)
def test_a_page_has_every_rule(name: str) -> None:
    page = _page(name)
    for model in base.Model.__subclasses__():
        if model.__module__.startswith(_PAGES[name][1]):
            for rule in model.RULES:
                assert f"- {rule.message}" in page or f": {rule.message}" in page
    if name == "claim":
        assert "- `engineArgs[]`: this flag is set by the composition" in page
        assert "- `canaries`" not in page
        assert "| `--cpu-offload-gb` | use spec.cache.kvOffload" in page


@pytest.mark.parametrize("name", _PAGES)
def test_links_of_a_page_lead_to_its_sections(name: str) -> None:
    page = _page(name)
    anchors = {
        re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.*)$", page, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]*)\)", page))
    assert len(links) > 7
    assert links <= anchors


@pytest.mark.parametrize("name", _PAGES)
def test_rows_have_as_many_cells_as_their_table(name: str) -> None:
    cells = None
    for line in _page(name).splitlines():
        if not line.startswith("|"):
            cells = None
            continue
        count = len(re.findall(r"(?<!\\)\|", line))
        assert cells in (None, count), line
        cells = count


def test_defaults_of_the_settings_are_shown() -> None:
    page = _page("settings")
    assert '| `defaultClass` | string | DNS label; at most 63 characters | `"default"` |' in page
    assert "| `version` | string |" in page
    assert "| `spare` | boolean |  | `false` |" in page
