"""The pages: links resolve, snippets are valid, and every reason of the code has an entry."""

import json
import pathlib
import re
import typing

import click
from click import testing

from e2e.controlplane import crossplane
from function.api import base, claim, gateway, gateway_status, settings, settings_metrics, status
from function.cli import main as cli
from function.cli import reached, terminal
from function.cluster import failures
from function.concerns import concerns
from function.fleet import report as fleet
from function.situation import renderings
from preload import exits
from tests import cluster
from tests.alerts import rendered
from tests.docs import pages, test_roles
from tests.fleet import scene

# --- links, words


@pages.every(*pages.PAGES)
def test_links_resolve(page: pathlib.Path) -> None:
    # Without code spans, in which patterns look like links.
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", pages.prose(page))):
        if re.match(r"[a-z]+://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: no such file"
        assert file.is_relative_to(pages.ROOT), f"{target}: outside the repository"
        if anchor:
            assert anchor in pages.anchors(file), f"{target}: no such heading"


@pages.every(*pages.WRITTEN)
def test_named_files_exist(page: pathlib.Path) -> None:
    rooms = "compositions|docs|e2e|examples|function|package|preload|requirements|tests|tools|xrd"
    for path in re.findall(rf"`((?:{rooms})/[\w./-]*)`", pages.prose(page)):
        assert (pages.ROOT / path).exists(), path


def test_no_heading_twice() -> None:
    """GitHub would add a number to the anchor of the second heading."""
    for page in pages.WRITTEN:
        if page.name != "CHANGELOG.md":
            titles = pages.headings(page)
            assert sorted(titles) == sorted(set(titles)), page.name


# Paths of somebody's machine, and work that was put off.
UNFIT = re.compile(r"(?<![\w.\]>])/(?:home|root|Users|work|mnt)(?:/|\b)|\b(?:TODO|FIXME|XXX|TBD)\b")


@pages.every(
    *pages.WRITTEN, *pages.ROOT.glob("examples/**/*.yaml"), *pages.ROOT.glob(".github/**/*.yaml")
)
def test_words(page: pathlib.Path) -> None:
    assert UNFIT.findall(page.read_text()) == []


# --- snippets and commands


def test_claims_in_snippets_are_valid() -> None:
    claims = [d for page in pages.PAGES for d in pages.documents(page) if d["kind"] == claim.KIND]
    assert len(claims) >= 2
    for document in claims:
        base.parse(claim.InferenceService, document, what="claim")


def test_front_doors_in_snippets_are_valid() -> None:
    shown = [d for page in pages.PAGES for d in pages.documents(page) if d["kind"] == gateway.KIND]
    assert cluster.load("examples/front-door/smallest.yaml") in shown
    for document in shown:
        base.parse(gateway.InferenceGateway, document, what="claim")


def test_the_readme_shows_the_smallest_example() -> None:
    shown = next(pages.documents(pages.ROOT / "README.md"))
    assert shown == cluster.example("smallest")
    (text,) = [
        text for language, text in pages.blocks(pages.ROOT / "README.md") if "smallest" in text
    ][:1]
    assert len(text.splitlines()) == 5


def test_settings_in_snippets_are_valid() -> None:
    configs = [
        d for page in pages.PAGES for d in pages.documents(page) if d["kind"] == "EnvironmentConfig"
    ]
    assert configs
    for document in configs:
        assert document["metadata"]["labels"] == {settings.SETTINGS_LABEL: "true"}
        site = settings.assemble({}, {}, [document])
        snippet = next(
            d for d in pages.documents(pages.ROOT / "docs/install.md") if d["kind"] == claim.KIND
        )
        world = cluster.Cluster(snippet, document)
        world.converge()
        assert world.phase == "Serving", f"{site}: {world.claim['status']}"


@pages.every(*pages.WRITTEN)
def test_make_targets_exist(page: pathlib.Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (pages.ROOT / "Makefile").read_text(), re.M))
    used = re.findall(r"`make ([a-z0-9-]+)`", pages.prose(page))
    used += [
        next(word for word in line.split()[1:] if not word.startswith("-"))
        for line in pages.shell_lines(page)
        if line.startswith("make ")
    ]
    assert set(used) <= targets


def test_the_workflow_runs_what_exists() -> None:
    jobs = cluster.load(".github/workflows/ci.yaml")["jobs"]
    ran = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    targets = set(re.findall(r"^([a-z0-9]+):", (pages.ROOT / "Makefile").read_text(), re.M))
    assert (
        {"crds", "test", "render", "tools", "e2e", "package"}
        <= set(re.findall(r"make ([a-z0-9]+)", ran))
        <= targets
    )
    (oldest,) = re.findall(
        r'requires-python = ">=([\d.]+)"', (pages.ROOT / "pyproject.toml").read_text()
    )
    assert oldest in jobs["test"]["strategy"]["matrix"]["python"]
    assert jobs["e2e"]["strategy"]["matrix"]["crossplane"] == list(crossplane.VERSIONS)


def test_every_make_target_is_described() -> None:
    text = (pages.ROOT / "docs/development.md").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", (pages.ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    assert [target for target in phony[1].split() if f"make {target}" not in text] == []


@pages.every(*pages.WRITTEN)
def test_options_exist(page: pathlib.Path) -> None:
    for line in pages.shell_lines(page):
        command, *words = line.split("#")[0].split() or [""]
        if command != "inference-service":
            continue
        called = cli.main.get_command(click.Context(cli.main), words[0])
        assert called is not None, line
        options = {option for parameter in called.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@pages.every(*pages.WRITTEN)
def test_kubectl_names_claims_in_full(page: pathlib.Path) -> None:
    """KServe has an InferenceService too, so the short name is ambiguous beside KServe."""
    commands = [
        line
        for line in page.read_text().splitlines()
        if re.search(r"\b(kubectl|crossplane) ", line)
    ]
    short = re.compile(r"(?<![\w./-])inferenceservices?(?![\w.-])")
    assert [line for line in commands if short.search(line)] == []


def test_the_page_of_the_command_line_has_every_option_output_and_field() -> None:
    page = pages.ROOT / "docs/command-line.md"
    shown = " ".join(pages.first_cells(pages.section(page, "Options")))
    outputs: list[str] = []
    for parameter in cli.main.verb("render").params:
        if isinstance(parameter, click.Option):
            assert set(parameter.opts) <= set(re.findall(r"-[\w-]+", shown)), parameter.opts
        if parameter.name == "output" and isinstance(parameter.type, click.Choice):
            outputs = list(parameter.type.choices)
    assert pages.first_cells(pages.section(page, "Outputs"))[1:] == outputs
    arguments = ["render", str(pages.ROOT / "examples/claims/smallest.yaml"), "-o", "verdict-json"]
    verdict = json.loads(testing.CliRunner().invoke(cli.main, arguments).stdout)
    text = pages.section(page, "verdict-json")
    fields = re.findall(r"`(\w+)`", "".join(f"`{cell}`" for cell in pages.first_cells(text)))
    assert set(verdict) | set(verdict["claims"][0]) == set(fields) - {"Field"}
    described = set(re.findall(r"`(\w+)`", text))
    assert set(verdict["claims"][0]["objects"][0]) | set(verdict["claims"][0]["pods"]) <= described
    codes = {str(code) for code in (0, 1, 2, terminal.CLOSED_PIPE)}
    assert set(pages.first_cells(pages.section(page, "Exit codes"))[1:]) == codes


def test_every_verb_has_its_options_and_exit_codes_on_the_page() -> None:
    page = pages.ROOT / "docs/command-line.md"
    for verb, title, codes in (
        ("clients", "Clients", {"0", "1", "2"}),
        ("plan", "Plan", {"0", "1", "2", "3"}),
        ("reach", "Who reaches whom", {"0", "1", "2"}),
    ):
        cells = pages.first_cells(pages.section(page, title))
        shown = set(re.findall(r"--?[\w-]+", " ".join(cells)))
        for parameter in cli.main.verb(verb).params:
            if isinstance(parameter, click.Option):
                assert set(parameter.opts) <= shown, (verb, parameter.opts)
        assert codes <= set(cells), verb
    states = pages.first_cells(pages.section(page, "Who reaches whom"))
    assert {str(state) for state in reached.State} <= set(states)


def test_examples_named_in_commands_exist() -> None:
    for page in pages.WRITTEN:
        for line in pages.shell_lines(page):
            for path in re.findall(r"\bexamples/[\w./-]+", line):
                assert (pages.ROOT / path).exists(), line


def test_every_example_is_listed() -> None:
    folder = pages.ROOT / "examples"
    text = (folder / "README.md").read_text()
    files = {path for path in folder.rglob("*") if path.is_file()} - {folder / "README.md"}
    assert files == {
        folder / path for path in re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", text, re.M)
    }


def test_the_readme_shows_the_job_of_the_examples() -> None:
    """The workflow is the file, and what the script does to a claim is in the script."""
    shown = list(pages.blocks(pages.ROOT / "README.md"))
    workflow = (pages.ROOT / "examples/ci/claims.yaml").read_text()
    assert ("yaml", workflow) in shown
    ((_, excerpt),) = [block for block in shown if block[0] == "sh"]
    assert "crossplane composition render" in excerpt
    words = " ".join((pages.ROOT / "examples/ci/render-claims.sh").read_text().split())
    assert " ".join(excerpt.split()) in words
    (plain,) = [text for _, text in shown if "render-claims.sh" in text and "git clone" in text]
    _, *commands = plain.splitlines()
    assert len(commands) == 4
    assert [line for line in commands if line not in workflow] == []


def test_printer_columns_are_shown() -> None:
    """The page shows our columns in order, then those that core adds to every modern XRD."""
    versions = cluster.load("xrd/inferenceservices.cloud.ogenki.io.yaml")["spec"]["versions"]
    columns = versions[0]["additionalPrinterColumns"]
    wanted = [column["name"] for column in columns if not column.get("priority")]
    (sample,) = [
        text for language, text in pages.blocks(pages.ROOT / "README.md") if language == "console"
    ]
    header = re.split(r"\s{2,}", sample.splitlines()[1].strip())
    assert header == ["NAME", *wanted, "SYNCED", "READY", "COMPOSITION", "AGE"]


# --- operations: everything that the code can say


def test_every_condition_has_a_section() -> None:
    every = (*concerns.CONDITIONS, *fleet.OWN_CONDITIONS)
    assert {kind.type() for kind in every} <= set(pages.headings(pages.OPERATIONS))


def test_every_phase_has_an_entry() -> None:
    shown = pages.first_cells(pages.section(pages.OPERATIONS, "Phases"))[1:]
    assert sorted(shown) == sorted(typing.get_args(status.Phase))
    shown = pages.first_cells(pages.section(pages.FRONT_DOOR, "What it says"))[1:]
    assert sorted(shown) == sorted(typing.get_args(gateway_status.Phase))


def test_every_exit_code_has_an_entry() -> None:
    text = pages.section(pages.OPERATIONS, "Preload exit codes")
    rows = re.findall(r"^\| (\d+) \| `(\w+)`[^|]*\| `(\w+)`", text, re.M)
    assert {int(code): reason for code, _, reason in rows} == {
        int(code): code.reason for code in exits.Exit if code is not exits.Exit.DONE
    }
    reasons = {int(code): reason for code, reason, _ in rows}
    for code, failure in failures.FAILURES.items():
        assert reasons.pop(code) == failure.reason
    assert set(reasons.values()) == {"BackoffLimitExceeded"}, "codes without a rule are retried"


def test_every_alert_has_a_runbook_entry() -> None:
    names = {
        alert for now in rendered.plans().values() for alert in map(_name, rendered.rules(now))
    }
    assert len(names) >= 13
    door = scene.of(callers=[scene.caller("a")], evals={"caller": "a"})
    (group,) = scene.resting(door, scene.member("coder")).one("VMRule")["spec"]["groups"]
    names |= set(map(_name, group["rules"]))
    prefixes = ("InferenceService", "InferenceGateway")
    assert {name for name in pages.headings(pages.OPERATIONS) if name.startswith(prefixes)} == names


def _name(rule: cluster.Object) -> str:
    return str(rule["alert"])


def test_runbook_links_of_rendered_alerts_resolve() -> None:
    default = settings_metrics.Monitoring().runbook_base
    assert default.endswith(f"/{pages.OPERATIONS.relative_to(pages.ROOT)}")
    links = {
        rule["annotations"]["runbook_url"]
        for item in (*test_roles.golden(), *test_roles.everything())
        if item["kind"] in ("PrometheusRule", "VMRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert", "").startswith(("InferenceService", "InferenceGateway"))
    }
    assert len(links) >= 13
    for link in links:
        page, _, anchor = link.partition("#")
        assert page == default
        assert anchor in pages.anchors(pages.OPERATIONS)


def test_severity_and_duration_of_each_alert() -> None:
    rules = {
        rule["alert"]: (rule["labels"]["severity"], rule["for"])
        for item in test_roles.everything()
        if item["kind"] in ("PrometheusRule", "VMRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
    }
    for name, (severity, duration) in rules.items():
        words = f"{severity}, {duration.removesuffix('m')} min:"
        assert pages.section(pages.OPERATIONS, name).strip().startswith(words), name


# --- decisions, life of a claim


def numbers() -> list[int]:
    """Returns the numbers of the decisions, those of the list and then those of the table."""
    text = pages.DECISIONS.read_text()
    return [int(n) for n in re.findall(r"^(?:(?=\d+\. \*\*)|\| (?=\d+ \| \*\*))(\d+)", text, re.M)]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert numbers() == list(range(1, 49))


def test_a_later_decision_says_how_far_it_is_followed() -> None:
    rows = re.findall(r"^\| \d+ \| .+ \| (.+) \|$", pages.DECISIONS.read_text(), re.M)
    assert len(rows) == 9
    assert [row for row in rows if not re.match(r"Holds\.$|Built: |Not built|In part: ", row)] == []


def test_decisions_that_code_names_exist() -> None:
    for path in (*pages.ROOT.glob("function/**/*.py"), *pages.ROOT.glob("preload/**/*.py")):
        for number in re.findall(r"decisions? (\d+)", path.read_text()):
            assert int(number) in numbers(), path


def test_every_key_is_in_the_table_of_objects() -> None:
    cells = pages.first_cells(pages.section(pages.LIFE, "What is composed"))[1:]
    shown = {suffix for cell in cells for suffix in re.split(r"` or `", cell)}
    patterns = [re.sub("<[^>]+>", ".+", suffix) for suffix in shown]
    used: set[str] = set()
    for look in test_roles.looks():
        for key in look.objects:
            suffix = key.removeprefix(f"{look.claim}-")
            fits = [pattern for pattern in patterns if re.fullmatch(pattern, suffix)]
            assert fits, f"{key} is not in the table"
            used |= set(fits)
    assert {"deployment", "networkpolicy", "gateway-canary-.+"} <= used


def test_fields_that_pods_follow_from_are_listed() -> None:
    text = " ".join(pages.section(pages.LIFE, "Held templates").split())
    (sentence,) = re.findall(r"Fields that pods follow from: (.*?)\. Nothing", text)
    listed = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", sentence))
    assert sorted(listed) == sorted(renderings.POD_FIELDS)


def test_the_version_has_a_section_in_the_changelog() -> None:
    import function

    assert f"## [{function.__version__}]" in (pages.ROOT / "CHANGELOG.md").read_text()
