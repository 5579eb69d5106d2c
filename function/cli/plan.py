"""`inference-service plan`: what claims will do, and what a change to them does, ahead of it."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from typing import Any, Literal

import click

from function import strict_yaml
from function.api import base, settings
from function.capacity import loads
from function.cli import (
    against,
    documents,
    door_changes,
    door_prices,
    flow_changes,
    markdown,
    options,
    outlook_items,
    outlooks,
    page,
    pipeline,
    plan_documents,
    result,
    sites,
    snapshot,
    suggestions,
    terminal,
    trees,
    verdicts,
)

Output = Literal["table", "json", "markdown", "html"]


class WorkloadType(click.ParamType[tuple[str, loads.Workload]]):
    """A named workload, or lengths of prompt and answer in tokens."""

    name = "workload"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, loads.Workload]:
        """Returns a name and a workload."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        if text in loads.WORKLOADS:
            return text, loads.WORKLOADS[text]
        prompt, colon, output = text.partition(":")
        if colon and prompt.isdecimal() and output.isdecimal() and int(prompt) and int(output):
            return text, loads.Workload(int(prompt), int(output), source="as given")
        names = ", ".join(loads.WORKLOADS)
        words = f"{text!r} is neither PROMPT:OUTPUT in tokens nor one of {names}"
        return self.fail(words, param, ctx)


@click.command()
@click.argument("claims", nargs=-1, metavar="CLAIM...", type=options.FILE)
@options.environments(
    "EnvironmentConfig with the site's settings; repeatable. Of a revision that is compared"
    " with, the same files are read there."
)
@options.input_file()
@click.option(
    "--against",
    metavar="REV|PATH",
    help="Compare with a git revision (read with git, nothing is checked out), a directory of older"
    " claims, or observed objects as `kubectl get -o yaml` gives them.",
)
@click.option(
    "--from-crossplane-diff",
    "crossplane_diff",
    metavar="F",
    type=options.FILE,
    help="JSON of `crossplane-diff xr --output json`; `-` is standard input. The claims and what"
    " they are compared with come from there.",
)
@click.option(
    "--workload",
    "workloads",
    multiple=True,
    type=WorkloadType(),
    metavar="NAME|PROMPT:OUTPUT",
    help="Requests for which speed and the first trigger are told: chat, code-completion, agent,"
    " rag, batch, reasoning, or tokens of prompt and answer. chat when absent; repeatable.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="REQUESTS",
    help="Requests a second in the busiest minutes: the replicas that they need, and what a million"
    " tokens cost then. Without it, tokens cost what a full replica makes of them.",
)
@options.output(
    "table",
    "json",
    "markdown",
    "html",
    words="table is for a terminal, markdown for a pull request (empty when nothing changes), html"
    " a page for a browser, json for machines.",
)
def plan(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    input_file: str | None,
    against: str | None,
    crossplane_diff: str | None,
    workloads: tuple[tuple[str, loads.Workload], ...],
    rate: float | None,
    output: Output,
) -> None:
    """Foresee what claims will do: fit, context, speed, cost, triggers and first start.

    With --against also what a change does: restarts, an outage, downloads, GPUs, money, route,
    canaries, callers.

    Exit codes: 0 nothing changes, or nothing was compared. 1 a claim cannot be used or does not
    fit, a node pool is too small even at the minimum, or something could not be read. 2 wrong
    usage, or no claim at all. 3 something changes.
    """
    if not claims and crossplane_diff is None:
        raise click.UsageError("name claims, or --from-crossplane-diff")
    if crossplane_diff is not None and (claims or against):
        raise click.UsageError("--from-crossplane-diff brings the claims and what they follow")
    chosen = dict(workloads) or {loads.USUAL: loads.WORKLOADS[loads.USUAL]}
    asked = Asked(claims, environments, input_file, against, crossplane_diff, chosen, rate)
    with terminal.progress() as progress:
        progress.say("planning")
        fleet = _fleet(asked)
    for line in (*fleet.faults, *(f"note: {note}" for note in fleet.notes)):
        terminal.complain(line)
    try:
        text = _text(fleet, output)
    except ImportError:
        terminal.complain("this output needs rich: pip install 'function-inference-service[cli]'")
        sys.exit(result.NOT_READ)
    terminal.write(text)
    sys.exit(fleet.exit_code)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a run is asked for.

    Attributes:
        claims: Files and directories of claims.
        environments: Files of EnvironmentConfigs.
        input_file: File of the Composition's input, or None.
        against: What to compare with, or None.
        crossplane_diff: File of crossplane-diff's JSON, or None.
        workloads: Requests for which speed is told, by name.
        rate: Requests a second in the busiest minutes, or None.
    """

    claims: tuple[str, ...]
    environments: tuple[str, ...]
    input_file: str | None
    against: str | None
    crossplane_diff: str | None
    workloads: dict[str, loads.Workload]
    rate: float | None


def _text(fleet: outlooks.Fleet, output: Output) -> str:
    """Returns what goes to standard output.

    Raises:
        ImportError: The output needs rich, and it is not installed.
    """
    if output == "json":
        return json.dumps(plan_documents.of(fleet), indent=2) + "\n"
    if output == "markdown":
        return markdown.text(fleet)
    if output == "html":
        return page.text(fleet)
    # rich comes with the extra `cli`; the other outputs do without.
    from function.cli import plan_tables

    return plan_tables.of(fleet)


def _fleet(asked: Asked) -> outlooks.Fleet:
    try:
        site = sites.read(asked.environments, asked.input_file)
    except documents.UnreadableError as error:
        return outlooks.Fleet((), None, settings.Settings(), unreadable=(str(error),))
    except base.InvalidError as error:
        unusable = _unusable(error, "The settings")
        return outlooks.Fleet((), None, settings.Settings(), unusable=unusable)
    try:
        given, before, prior = _read(asked, site.settings)
    except documents.UnreadableError as error:
        return outlooks.Fleet((), asked.against, site.settings, unreadable=(str(error),))
    except against.NoDiffError as error:
        unusable = outlooks.Unusable("The JSON of --from-crossplane-diff", (str(error),))
        return outlooks.Fleet((), None, site.settings, unusable=unusable)
    except base.InvalidError as error:
        unusable = _unusable(error, f"The settings of {asked.against}")
        return outlooks.Fleet((), asked.against, site.settings, unusable=unusable)
    unreadable = tuple(map(str, given.unreadable))
    absent_everywhere = not (given.sources or unreadable) and not any(before.cluster.claims())
    if absent_everywhere:
        terminal.complain(f"no InferenceService in {', '.join(asked.claims)}")
    rendered, _, judged = pipeline.rendered(given, site.settings, before.cluster)
    compares = asked.against is not None or asked.crossplane_diff is not None
    absent = pipeline.absent(given, before.cluster) if compares else []
    partial = before.wider and not pipeline.whole(asked.claims, given)
    if not partial:
        judged += [verdicts.removed(before.cluster, *name) for name in absent]
    by_source = {id(item.source): item for item in rendered}
    plans = outlook_items.planned(before, prior)
    moved = flow_changes.of(rendered, plans, site.settings) if compares else {}

    def item(verdict: verdicts.Verdict) -> outlooks.Item:
        key, of = (verdict.namespace, verdict.name), by_source.get(id(verdict.source))
        told = outlook_items.of(
            verdict, of, site.settings, plans.get(key), asked.workloads, asked.rate
        )
        flows = flow_changes.NONE if of is None else moved.get(key, flow_changes.NONE)
        return dataclasses.replace(told, flows=flows)

    items = tuple(map(item, judged))
    notes = (*site.notes, *given.notes, *before.notes)
    notes = (*notes, *pipeline.beside(absent)) if partial else notes
    now = door_changes.specs(given.sources, [])
    doors = door_changes.of(
        now,
        before.doors if compares else None,
        whole=not partial,
        follows=door_prices.of(now, given.sources, site.settings),
        followed=door_prices.of(before.doors, _older(before), prior),
    )
    return outlooks.Fleet(
        items,
        before.words if compares else None,
        site.settings,
        notes,
        (*unreadable, *before.unreadable),
        empty=absent_everywhere,
        answers=next(iter(asked.workloads)),
        doors=doors,
    )


def _older(before: against.Before) -> Iterator[documents.Source]:
    """Yields the claims that are compared with."""
    for name in before.cluster.claims():
        document = before.cluster.claim(*name)
        if document is not None:
            yield documents.Source(before.words, document)


def _unusable(error: base.InvalidError, what: str) -> outlooks.Unusable:
    problems = suggestions.hinted(error, settings.Settings, {})
    return outlooks.Unusable(what, tuple(f"{error.what}: {one}" for one in problems))


def _read(
    asked: Asked, site: settings.Settings
) -> tuple[documents.Claims, against.Before, settings.Settings]:
    """Returns the claims, what they are compared with, and the settings that held for that.

    Raises:
        documents.UnreadableError: There is nothing of a name.
        against.NoDiffError: There is no JSON of crossplane-diff.
        base.InvalidError: The settings of a revision break their schema.
        click.UsageError: Claims of standard input are compared with a revision.
    """
    if asked.crossplane_diff is not None:
        stream = strict_yaml.load(trees.DISK.text(asked.crossplane_diff))
        given, before = against.of_crossplane_diff(
            asked.crossplane_diff, [document.value for document in stream.documents], site
        )
        return given, before, site
    given = documents.claims(asked.claims)
    if asked.against is None:
        return given, against.Before(snapshot.Snapshot(), "nothing"), site
    here = against.tree(asked.against)
    prior = sites.Site(site, ())
    if here is not trees.DISK:
        if trees.STANDARD_INPUT in asked.claims:
            raise click.UsageError(
                f"claims of standard input are in no file that {asked.against} could have: name"
                " their files or directory, or compare with a directory"
            )
        prior = sites.at(asked.environments, asked.input_file, here, site, asked.against)
    before = against.read(asked.against, asked.claims, site, prior.settings)
    before = dataclasses.replace(before, notes=(*prior.notes, *before.notes))
    return given, before, prior.settings
