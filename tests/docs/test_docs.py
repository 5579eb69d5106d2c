"""The pages: links resolve, snippets are valid, and every reason of the code has an entry."""

import copy
import functools
import json
import pathlib
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
import yaml
from click import testing

from e2e.controlplane import crossplane
from function import claim_rows
from function.api import base, claim, gateway, gateway_status, settings, settings_metrics, status
from function.cli import main as cli
from function.cli import reached, terminal
from function.cluster import failures
from function.concerns import concerns
from function.concerns.gateway import native_picker
from function.fleet import report as fleet
from function.fleet import rows as doors
from function.situation import renderings
from preload import exits
from tests import cases, cluster, examples
from tests.alerts import rendered
from tests.fleet import scene
from tests.golden import lives

ROOT = cluster.ROOT
OPERATIONS = ROOT / "docs/operations.md"
LIFE = ROOT / "docs/life-of-a-claim.md"
FRONT_DOOR = ROOT / "docs/front-door.md"
DECISIONS = ROOT / "docs/decisions.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]


def every(*pages: pathlib.Path) -> Callable[[cases.Test], cases.Test]:
    """Asks a test of all pages."""
    return cases.together("page", [(page.relative_to(ROOT), page) for page in pages])


# --- reading Markdown


def blocks(page: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields language and text of each fenced block, without the indent of a list."""
    pattern = r"^( *)```([a-z]*)\n(.*?)^\1```$"
    for indent, language, text in re.findall(pattern, page.read_text(), re.M | re.S):
        yield language, re.sub(rf"^{indent}", "", text, flags=re.M)


def prose(page: pathlib.Path) -> str:
    """Returns the page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.M | re.S)


def headings(page: pathlib.Path) -> list[str]:
    """Returns the headings' text."""
    return re.findall(r"^#+ (.+)$", prose(page), re.M)


def anchors(page: pathlib.Path) -> set[str]:
    """Returns the anchors that GitHub gives the headings."""
    return {
        re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings(page)
    }


def section(page: pathlib.Path, title: str) -> str:
    """Returns the text below one heading, up to the next of the same or a higher level."""
    text = prose(page)
    heading = re.search(rf"^(#+) {re.escape(title)}$", text, re.M)
    assert heading is not None, f"{page.name} has no section {title}"
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.M)
    return rest[: end.start()] if end is not None else rest


def first_cells(text: str) -> list[str]:
    """Returns the first cell of each row of the tables, without code marks."""
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.M)
    return [row.strip("`") for row in rows if not set(row) <= set("-: ")]


def documents(page: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Yields each Kubernetes object of the page's YAML blocks."""
    for language, text in blocks(page):
        if language == "yaml":
            for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
                if isinstance(document, dict) and "kind" in document:
                    yield document


def shell_lines(page: pathlib.Path) -> Iterator[str]:
    """Yields each line of the shell blocks, continuations joined."""
    for language, text in blocks(page):
        if language in ("shell", "console"):
            yield from text.replace("\\\n", " ").splitlines()


# --- links, words


@every(*PAGES)
def test_links_resolve(page: pathlib.Path) -> None:
    # Without code spans, in which patterns look like links.
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"[a-z]+://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: no such file"
        assert file.is_relative_to(ROOT), f"{target}: outside the repository"
        if anchor:
            assert anchor in anchors(file), f"{target}: no such heading"


@every(*WRITTEN)
def test_named_files_exist(page: pathlib.Path) -> None:
    rooms = "compositions|docs|e2e|examples|function|package|preload|requirements|tests|tools|xrd"
    for path in re.findall(rf"`((?:{rooms})/[\w./-]*)`", prose(page)):
        assert (ROOT / path).exists(), path


def test_no_heading_twice() -> None:
    """GitHub would add a number to the anchor of the second heading."""
    for page in WRITTEN:
        if page.name != "CHANGELOG.md":
            titles = headings(page)
            assert sorted(titles) == sorted(set(titles)), page.name


# Paths of somebody's machine, and work that was put off.
UNFIT = re.compile(r"(?<![\w.\]>])/(?:home|root|Users|work|mnt)(?:/|\b)|\b(?:TODO|FIXME|XXX|TBD)\b")


@every(*WRITTEN, *ROOT.glob("examples/**/*.yaml"), *ROOT.glob(".github/**/*.yaml"))
def test_words(page: pathlib.Path) -> None:
    assert UNFIT.findall(page.read_text()) == []


# --- snippets and commands


def test_claims_in_snippets_are_valid() -> None:
    claims = [d for page in PAGES for d in documents(page) if d["kind"] == claim.KIND]
    assert len(claims) >= 2
    for document in claims:
        base.parse(claim.InferenceService, document, what="claim")


def test_front_doors_in_snippets_are_valid() -> None:
    shown = [d for page in PAGES for d in documents(page) if d["kind"] == gateway.KIND]
    assert cluster.load("examples/front-door/smallest.yaml") in shown
    for document in shown:
        base.parse(gateway.InferenceGateway, document, what="claim")


def test_the_readme_shows_the_smallest_example() -> None:
    shown = next(documents(ROOT / "README.md"))
    assert shown == cluster.example("smallest")
    (text,) = [text for language, text in blocks(ROOT / "README.md") if "smallest" in text][:1]
    assert len(text.splitlines()) == 5


def test_settings_in_snippets_are_valid() -> None:
    configs = [d for page in PAGES for d in documents(page) if d["kind"] == "EnvironmentConfig"]
    assert configs
    for document in configs:
        assert document["metadata"]["labels"] == {settings.SETTINGS_LABEL: "true"}
        site = settings.assemble({}, {}, [document])
        snippet = next(d for d in documents(ROOT / "docs/install.md") if d["kind"] == claim.KIND)
        world = cluster.Cluster(snippet, document)
        world.converge()
        assert world.phase == "Serving", f"{site}: {world.claim['status']}"


@every(*WRITTEN)
def test_make_targets_exist(page: pathlib.Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = re.findall(r"`make ([a-z0-9-]+)`", prose(page))
    used += [
        next(word for word in line.split()[1:] if not word.startswith("-"))
        for line in shell_lines(page)
        if line.startswith("make ")
    ]
    assert set(used) <= targets


def test_the_workflow_runs_what_exists() -> None:
    jobs = cluster.load(".github/workflows/ci.yaml")["jobs"]
    ran = " ".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.M))
    assert (
        {"crds", "test", "render", "tools", "e2e", "package"}
        <= set(re.findall(r"make ([a-z0-9]+)", ran))
        <= targets
    )
    (oldest,) = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest in jobs["test"]["strategy"]["matrix"]["python"]
    assert jobs["e2e"]["strategy"]["matrix"]["crossplane"] == list(crossplane.VERSIONS)


def test_every_make_target_is_described() -> None:
    text = (ROOT / "docs/development.md").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    assert [target for target in phony[1].split() if f"make {target}" not in text] == []


@every(*WRITTEN)
def test_options_exist(page: pathlib.Path) -> None:
    for line in shell_lines(page):
        command, *words = line.split("#")[0].split() or [""]
        if command != "inference-service":
            continue
        called = cli.main.get_command(click.Context(cli.main), words[0])
        assert called is not None, line
        options = {option for parameter in called.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


@every(*WRITTEN)
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
    page = ROOT / "docs/command-line.md"
    shown = " ".join(first_cells(section(page, "Options")))
    outputs: list[str] = []
    for parameter in cli.main.verb("render").params:
        if isinstance(parameter, click.Option):
            assert set(parameter.opts) <= set(re.findall(r"-[\w-]+", shown)), parameter.opts
        if parameter.name == "output" and isinstance(parameter.type, click.Choice):
            outputs = list(parameter.type.choices)
    assert first_cells(section(page, "Outputs"))[1:] == outputs
    arguments = ["render", str(ROOT / "examples/claims/smallest.yaml"), "-o", "verdict-json"]
    verdict = json.loads(testing.CliRunner().invoke(cli.main, arguments).stdout)
    text = section(page, "verdict-json")
    fields = re.findall(r"`(\w+)`", "".join(f"`{cell}`" for cell in first_cells(text)))
    assert set(verdict) | set(verdict["claims"][0]) == set(fields) - {"Field"}
    described = set(re.findall(r"`(\w+)`", text))
    assert set(verdict["claims"][0]["objects"][0]) | set(verdict["claims"][0]["pods"]) <= described
    codes = {str(code) for code in (0, 1, 2, terminal.CLOSED_PIPE)}
    assert set(first_cells(section(page, "Exit codes"))[1:]) == codes


def test_every_verb_has_its_options_and_exit_codes_on_the_page() -> None:
    page = ROOT / "docs/command-line.md"
    for verb, title, codes in (
        ("clients", "Clients", {"0", "1", "2"}),
        ("plan", "Plan", {"0", "1", "2", "3"}),
        ("reach", "Who reaches whom", {"0", "1", "2"}),
    ):
        cells = first_cells(section(page, title))
        shown = set(re.findall(r"--?[\w-]+", " ".join(cells)))
        for parameter in cli.main.verb(verb).params:
            if isinstance(parameter, click.Option):
                assert set(parameter.opts) <= shown, (verb, parameter.opts)
        assert codes <= set(cells), verb
    states = first_cells(section(page, "Who reaches whom"))
    assert {str(state) for state in reached.State} <= set(states)


def test_examples_named_in_commands_exist() -> None:
    for page in WRITTEN:
        for line in shell_lines(page):
            for path in re.findall(r"\bexamples/[\w./-]+", line):
                assert (ROOT / path).exists(), line


def test_every_example_is_listed() -> None:
    folder = ROOT / "examples"
    text = (folder / "README.md").read_text()
    files = {path for path in folder.rglob("*") if path.is_file()} - {folder / "README.md"}
    assert files == {
        folder / path for path in re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \|", text, re.M)
    }


def test_the_readme_shows_the_job_of_the_examples() -> None:
    """The workflow is the file, and what the script does to a claim is in the script."""
    shown = list(blocks(ROOT / "README.md"))
    workflow = (ROOT / "examples/ci/claims.yaml").read_text()
    assert ("yaml", workflow) in shown
    ((_, excerpt),) = [block for block in shown if block[0] == "sh"]
    assert "crossplane composition render" in excerpt
    words = " ".join((ROOT / "examples/ci/render-claims.sh").read_text().split())
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
    (sample,) = [text for language, text in blocks(ROOT / "README.md") if language == "console"]
    header = re.split(r"\s{2,}", sample.splitlines()[1].strip())
    assert header == ["NAME", *wanted, "SYNCED", "READY", "COMPOSITION", "AGE"]


# --- roles

# What Crossplane's chart grants its own ServiceAccount on kinds that a claim becomes
# (cluster/charts/crossplane/templates/clusterrole.yaml, the same in 2.3.4 and 2.4.0).
OF_THE_CHART = {
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "deployments"),
}
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}


def resource_of(item: cluster.Object) -> tuple[str, str]:
    """Returns group and resource of a kind. All our kinds have a regular plural."""
    group = item["apiVersion"].rpartition("/")[0]
    kind = item["kind"].lower()
    return group, kind[:-1] + "ies" if re.search("[^a]y$", kind) else f"{kind}s"


def granted(name: str) -> dict[tuple[str, str], set[str]]:
    """Returns the verbs of each resource that a role of the examples grants."""
    role = cluster.load(f"examples/rbac/{name}.yaml")
    assert role["metadata"]["labels"] == {"rbac.crossplane.io/aggregate-to-crossplane": "true"}
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


class Look(typing.NamedTuple):
    """The state after one answer for a claim."""

    claim: str
    objects: dict[str, cluster.Object]
    conditions: list[cluster.Object]


@functools.cache
def looks() -> list[Look]:
    """Returns the state after every answer, in all lives of the golden files."""

    def worlds() -> Iterator[cluster.Cluster]:
        for life in lives.LIVES.values():
            yield from (world for _, world in life())
        for example in examples.every():
            yield from lives.at_work(example.claim, example.environments)

    return [
        Look(
            world.claim["metadata"]["name"],
            copy.deepcopy(world.objects),
            copy.deepcopy(world.claim["status"]["conditions"]),
        )
        for world in worlds()
    ]


def golden() -> Iterator[cluster.Object]:
    """Yields every object of these lives."""
    for look in looks():
        yield from look.objects.values()


def everything() -> Iterator[cluster.Object]:
    """Yields objects of every kind: a claim that asks for all, before each provider."""
    wanted = cluster.example("xplane-qwen-coder")
    wanted["spec"]["externalSecrets"] = [{"name": "hf-token-a", "remoteRef": "llm/token"}]
    wanted["spec"]["route"] = {"enabled": True, "hostname": "coder"}
    picked = cluster.example("xplane-qwen-coder")
    picked["spec"]["gateway"] = {"enabled": True, "endpointPicker": {"enabled": True}}
    several = cluster.example("smallest")
    several["spec"]["gpu"] = {"count": 1, "parallelism": {"pipeline": 2}}
    native = examples.read(ROOT / "examples/features/native-picker.yaml")
    yield from lived(native.claim, *native.environments)
    caller = {**scene.fetched("a"), "limits": [{"requests": 1, "per": "day"}]}
    provider = scene.provider("a", "m")
    evals = {"caller": "a"}
    wished = scene.of(callers=[caller], providers=[provider], evals=evals)
    door = scene.resting(wished, scene.member("coder"))
    yield from door.objects.values()
    for monitoring, dashboards in (
        ("victoriametrics", "grafana-sidecar"),
        ("prometheus-operator", "grafana-operator"),
    ):
        for policy in ("cilium", "kubernetes"):
            site = cluster.environment("reference")
            chosen = {
                "monitoring": monitoring,
                "networkPolicy": policy,
                "dashboards": dashboards,
            }
            site["data"]["inferenceService"]["providers"] |= chosen
            for document in (wanted, picked, several):
                yield from lived(document, site)


def lived(claim: cluster.Object, *environments: cluster.Object) -> Iterator[cluster.Object]:
    """Yields the objects of a claim that begins, and of one at rest."""
    world = cluster.Cluster(claim, *environments).born()
    yield from [*world.objects.values()]
    world.converge()
    yield from world.objects.values()


@pytest.mark.pitfall("timeout waiting for an informer: no rights on composed kinds")
def test_crossplane_may_do_what_is_composed() -> None:
    resources = {resource_of(item) for item in (*golden(), *everything())}
    role = granted("clusterrole")
    assert resources - OF_THE_CHART - set(role) == set(), "the role lacks these"
    assert set(role) - resources == set(), "nothing composes these"
    assert all(verbs == VERBS for verbs in role.values())


def test_a_picker_may_read_what_its_chart_lets_it_and_core_may_bind_that_alone() -> None:
    reads, binds = yaml.safe_load_all((ROOT / "examples/rbac/endpoint-picker.yaml").read_text())
    assert reads["metadata"]["name"] == native_picker.CLUSTER_ROLE
    assert {
        (group, resource): rule["verbs"]
        for rule in reads["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    } == {
        ("", "pods"): ["get", "list", "watch"],
        ("inference.networking.k8s.io", "inferencepools"): ["get", "list", "watch"],
        ("inference.networking.x-k8s.io", "inferenceobjectives"): ["get", "list", "watch"],
        ("inference.networking.x-k8s.io", "inferencemodelrewrites"): ["get", "list", "watch"],
    }
    (rule,) = binds["rules"]
    assert rule["verbs"] == ["bind"]
    assert rule["resourceNames"] == [native_picker.CLUSTER_ROLE]
    assert binds["metadata"]["labels"] == {"rbac.crossplane.io/aggregate-to-crossplane": "true"}


def test_every_kind_was_composed() -> None:
    """The test above covers only kinds that some of its claims compose."""
    every = [*claim_rows.every(), *doors.ROWS]
    assert {row.kind.name for row in every} == {item["kind"] for item in everything()}


def test_pods_are_read_only_with_a_role_of_their_own() -> None:
    assert granted("diagnostics-pods") == {("", "pods"): {"get", "list", "watch"}}


def test_workloads_are_read_only_with_a_role_of_their_own() -> None:
    verbs = {"get", "list", "watch"}
    assert granted("diagnostics-queue") == {("kueue.x-k8s.io", "workloads"): verbs}


def test_the_table_of_roles() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9.-]+)` \| ((?:`[a-z]+`(?:, )?)+) \|",
        section(ROOT / "docs/install.md", "2. Roles"),
        re.M,
    )
    shown = {(group, name) for group, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert shown == set(granted("clusterrole"))


# --- operations: everything that the code can say


def test_every_condition_has_a_section() -> None:
    every = (*concerns.CONDITIONS, *fleet.OWN_CONDITIONS)
    assert {kind.type() for kind in every} <= set(headings(OPERATIONS))


def test_every_phase_has_an_entry() -> None:
    shown = first_cells(section(OPERATIONS, "Phases"))[1:]
    assert sorted(shown) == sorted(typing.get_args(status.Phase))
    shown = first_cells(section(FRONT_DOOR, "What it says"))[1:]
    assert sorted(shown) == sorted(typing.get_args(gateway_status.Phase))


def test_every_exit_code_has_an_entry() -> None:
    text = section(OPERATIONS, "Preload exit codes")
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
    assert {name for name in headings(OPERATIONS) if name.startswith(prefixes)} == names


def _name(rule: cluster.Object) -> str:
    return str(rule["alert"])


def test_runbook_links_of_rendered_alerts_resolve() -> None:
    default = settings_metrics.Monitoring().runbook_base
    assert default.endswith(f"/{OPERATIONS.relative_to(ROOT)}")
    links = {
        rule["annotations"]["runbook_url"]
        for item in (*golden(), *everything())
        if item["kind"] in ("PrometheusRule", "VMRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert", "").startswith(("InferenceService", "InferenceGateway"))
    }
    assert len(links) >= 13
    for link in links:
        page, _, anchor = link.partition("#")
        assert page == default
        assert anchor in anchors(OPERATIONS)


def test_severity_and_duration_of_each_alert() -> None:
    rules = {
        rule["alert"]: (rule["labels"]["severity"], rule["for"])
        for item in everything()
        if item["kind"] in ("PrometheusRule", "VMRule")
        for group in item["spec"]["groups"]
        for rule in group["rules"]
    }
    for name, (severity, duration) in rules.items():
        words = f"{severity}, {duration.removesuffix('m')} min:"
        assert section(OPERATIONS, name).strip().startswith(words), name


# --- decisions, life of a claim


def numbers() -> list[int]:
    """Returns the numbers of the decisions, those of the list and then those of the table."""
    text = DECISIONS.read_text()
    return [int(n) for n in re.findall(r"^(?:(?=\d+\. \*\*)|\| (?=\d+ \| \*\*))(\d+)", text, re.M)]


def test_decisions_are_numbered_without_a_gap() -> None:
    assert numbers() == list(range(1, 49))


def test_a_later_decision_says_how_far_it_is_followed() -> None:
    rows = re.findall(r"^\| \d+ \| .+ \| (.+) \|$", DECISIONS.read_text(), re.M)
    assert len(rows) == 9
    assert [row for row in rows if not re.match(r"Holds\.$|Built: |Not built|In part: ", row)] == []


def test_decisions_that_code_names_exist() -> None:
    for path in (*ROOT.glob("function/**/*.py"), *ROOT.glob("preload/**/*.py")):
        for number in re.findall(r"decisions? (\d+)", path.read_text()):
            assert int(number) in numbers(), path


def test_every_key_is_in_the_table_of_objects() -> None:
    cells = first_cells(section(LIFE, "What is composed"))[1:]
    shown = {suffix for cell in cells for suffix in re.split(r"` or `", cell)}
    patterns = [re.sub("<[^>]+>", ".+", suffix) for suffix in shown]
    used: set[str] = set()
    for look in looks():
        for key in look.objects:
            suffix = key.removeprefix(f"{look.claim}-")
            fits = [pattern for pattern in patterns if re.fullmatch(pattern, suffix)]
            assert fits, f"{key} is not in the table"
            used |= set(fits)
    assert {"deployment", "networkpolicy", "gateway-canary-.+"} <= used


def test_fields_that_pods_follow_from_are_listed() -> None:
    text = " ".join(section(LIFE, "Held templates").split())
    (sentence,) = re.findall(r"Fields that pods follow from: (.*?)\. Nothing", text)
    listed = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", sentence))
    assert sorted(listed) == sorted(renderings.POD_FIELDS)


def test_the_version_has_a_section_in_the_changelog() -> None:
    import function

    assert f"## [{function.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
