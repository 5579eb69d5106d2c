"""`inference-service`: what a claim becomes, before it is applied.

Exit codes: 0 everything rendered, 1 a claim or the settings cannot be used, 2 wrong usage.
"""

import sys
from typing import Any

import click

import function
from function.api import base
from function.cli import documents, rendering, show


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(function.__version__, prog_name="inference-service")
def main() -> None:
    """Render InferenceService claims without a cluster."""


@main.command()
@click.argument("claims", nargs=-1, required=True, metavar="CLAIM...")
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="F",
    help="EnvironmentConfig with the site's settings; repeatable, merged in the order of names."
    " Without one the built-in neutral settings are used, with a note.",
)
@click.option(
    "--input", "input_file", metavar="F", help="The Composition's input, or a Composition."
)
@click.option(
    "--observed",
    "observed_files",
    multiple=True,
    metavar="F",
    help="Observed objects, as `kubectl get -o yaml` gives them, a file or a directory;"
    " repeatable. The status is the claim's own, or that of the InferenceService of its name"
    " among these.",
)
@click.option(
    "--assume",
    "assumed",
    type=click.Choice(["verified", "served"]),
    help="Render as if the weights were verified, so that the Deployment is there; or as if the"
    " engine had served too, so that the gateway's route is. By default a new claim is rendered"
    " as its first reconcile: without them.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["yaml", "json", "table", "summary"]),
    default="yaml",
    show_default=True,
    help="table shows what was composed, the phase, conditions, derived values, and with"
    " --observed which field would restart pods; summary has one line for each claim.",
)
def render(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    input_file: str | None,
    observed_files: tuple[str, ...],
    assumed: rendering.Assumption | None,
    output: show.Output,
) -> None:
    """Render the claims in files or directories; `-` reads standard input."""
    try:
        site = rendering.site(environments, input_file)
        wanted, unreadable = documents.claims(claims)
        world = [item for name in observed_files for item in documents.read(name)]
    except documents.UnreadableError as error:
        raise click.UsageError(str(error)) from None
    except base.InvalidError as error:
        _fail(error)
        sys.exit(1)
    for note in site.notes:
        click.echo(f"note: {note}", err=True)
    if not wanted:
        said = "; ".join(map(str, unreadable))
        raise click.UsageError(said or "no InferenceService in " + ", ".join(claims))
    for skipped in unreadable:
        click.echo(str(skipped), err=True)
    rendered: list[rendering.Rendered] = []
    refused: list[rendering.Refused] = []
    for source, document in wanted:
        try:
            item = rendering.render(document, site.settings, world, assumed)
        except base.InvalidError as error:
            _fail(error, source)
            refused.append(rendering.Refused(document, error))
            continue
        rendered.append(item)
        for note in rendering.notes(item, given=bool(observed_files)):
            click.echo(f"note: {source}: {note}", err=True)
    show.write(rendered, refused, output)
    sys.exit(1 if refused or unreadable else 0)


def _fail(error: base.InvalidError, source: str | None = None) -> None:
    where = f"{source}: " if source is not None else ""
    for problem in error.problems:
        click.echo(f"{where}{error.what}: {problem}", err=True)


def run(arguments: list[str] | None = None) -> Any:
    """Runs the command line, for tests."""
    return main.main(args=arguments, standalone_mode=False)


if __name__ == "__main__":
    main()
