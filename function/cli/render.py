"""`inference-service render`: what claims become, and what applying them does."""

import dataclasses
import sys
from collections.abc import Iterable, Iterator

import click

from function.api import base, settings
from function.cli import (
    documents,
    options,
    pipeline,
    rendering,
    result,
    show,
    sites,
    snapshot,
    suggestions,
    terminal,
    verdicts,
)


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a run reads.

    Attributes:
        claims: Files and directories of claims.
        environments: Files of EnvironmentConfigs.
        input_file: File of the Composition's input, or None.
        observed: Files and directories of observed objects.
        assumed: What the claims' status is taken to say.
    """

    claims: tuple[str, ...]
    environments: tuple[str, ...]
    input_file: str | None
    observed: tuple[str, ...]
    assumed: rendering.Assumption | None


@click.command()
@options.claims_and_site
@click.option(
    "--observed",
    multiple=True,
    metavar="F",
    type=options.FILE,
    help="Observed objects, as `kubectl get -o yaml` gives them, a file or a directory;"
    " repeatable. The status is the claim's own, or that of the InferenceService of its name"
    " among these. Nothing is said of kinds that they do not hold.",
)
@click.option(
    "--assume",
    "assumed",
    type=click.Choice(["verified", "served"]),
    help="Render as if the weights were verified, so that the Deployment is there; or as if the"
    " engine served, so that the gateway's route is. By default a new claim is rendered as its"
    " first reconcile: without them.",
)
@options.output(
    "yaml",
    "json",
    "table",
    "summary",
    "verdict-json",
    words="yaml and json are the objects that each claim becomes, after the claim's status. table"
    " shows what each claim asks for, what changes, conditions and derived values; summary has a"
    " line for each claim: what applying it does. verdict-json is the same for machines.",
)
def render(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    input_file: str | None,
    observed: tuple[str, ...],
    assumed: rendering.Assumption | None,
    output: show.Output,
) -> None:
    """Render the claims in files or directories; `-` reads standard input.

    Exit codes: 0 all claims were rendered. 1 a claim or the settings cannot be used: refused,
    failed, too large for its GPU class, or of another claim's name. 2 wrong usage, no claim at
    all, or something could not be read or written.
    """
    files = [*claims, *environments, *observed, *([] if input_file is None else [input_file])]
    if files.count("-") > 1:
        raise click.UsageError("standard input can be read once: `-` stands there twice")
    inputs = Inputs(claims, environments, input_file, observed, assumed)
    with terminal.progress() as progress:
        outcome = _run(inputs, progress)
    show.complain(outcome, output)
    try:
        text = show.text(outcome, output)
    except ImportError:
        terminal.complain("this output needs rich: pip install 'function-inference-service[cli]'")
        sys.exit(result.NOT_READ)
    terminal.write(text)
    sys.exit(outcome.exit_code)


def _run(inputs: Inputs, progress: terminal.Progress) -> result.Result:
    """Reads everything, and renders what can be rendered."""
    progress.say("reading")
    try:
        site = sites.read(inputs.environments, inputs.input_file)
        cluster = snapshot.Snapshot(
            item for name in inputs.observed for item in documents.read(name)
        )
    except documents.UnreadableError as error:
        return result.Result(unreadable=(str(error),))
    except base.InvalidError as error:
        problems = suggestions.hinted(error, settings.Settings, {})
        return result.Result(invalid=tuple(f"{error.what}: {one}" for one in problems))
    given = documents.claims(inputs.claims)
    unreadable = tuple(map(str, given.unreadable))
    if not (given.sources or unreadable):
        unreadable = (f"no InferenceService in {', '.join(inputs.claims)}",)
    rendered, others, judged = pipeline.rendered(
        given, site.settings, cluster, inputs.assumed, progress.say
    )
    absent, notes = pipeline.absent(given, cluster), (*site.notes, *given.notes)
    if pipeline.whole(inputs.claims, given):
        judged += [verdicts.removed(cluster, *name) for name in absent]
    else:
        notes = (*notes, *pipeline.beside(absent))
    notes = (*notes, *_notes(inputs, cluster, rendered, unreadable))
    return result.Result(
        tuple(rendered), tuple(judged), tuple(others), unreadable=unreadable, notes=notes
    )


def _notes(
    inputs: Inputs,
    cluster: snapshot.Snapshot,
    rendered: Iterable[rendering.Rendered],
    unreadable: tuple[str, ...],
) -> Iterator[str]:
    """Yields what was not looked at, once for all claims."""
    if not inputs.observed:
        return
    new = [str(item.source) for item in rendered if not item.observed]
    if new:
        names = ", ".join(new[:3]) + (f" and {len(new) - 3} more" if len(new) > 3 else "")
        yield f"nothing observed belongs to {names}: rendered as new"
    kinds = sorted({kind for item in rendered for kind in verdicts.not_looked_at(item)})
    if kinds:
        yield (
            f"not looked at, since the observed objects hold none: {', '.join(kinds)}; the yaml"
            " and json are rendered as if there were none"
        )
    if unreadable and any(cluster.claims()):
        yield "claims that no file has are not listed while a file cannot be read"
