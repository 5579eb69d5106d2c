"""`inference-service reach`: who reaches whom, and which policy and rule decide it."""

import json
import sys
from collections.abc import Iterable
from typing import Any, Literal

import click

from function.cli import (
    documents,
    options,
    planned,
    reach_page,
    reach_picture,
    reached,
    result,
    terminal,
)
from function.reach import forms

Output = Literal["table", "json", "svg", "html"]
# Policies that are about more than one namespace: what they say is not looked at.
_PASSED_OVER = frozenset(
    (
        "CiliumClusterwideNetworkPolicy",
        "AdminNetworkPolicy",
        "BaselineAdminNetworkPolicy",
        "ClusterNetworkPolicy",
    )
)


@click.command()
@options.claims_and_site
@click.option(
    "--policies",
    "-p",
    "policy_files",
    multiple=True,
    metavar="F",
    type=options.FILE,
    help="Further policies that hold in the cluster, such as those of the callers, as `kubectl get"
    " -o yaml` gives them: a file or a directory; repeatable.",
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="table and html also list each flow that nobody needs and that is denied.",
)
@options.output(
    "table",
    "json",
    "svg",
    "html",
    words="table is for a terminal, svg a picture, html a page with pictures and tables, json has"
    " every flow for machines.",
)
def reach(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    input_file: str | None,
    policy_files: tuple[str, ...],
    every: bool,
    output: Output,
) -> None:
    """Say who reaches whom under the policies of all claims, and what decides it.

    A flow passes when it leaves its source and enters its destination. What is not known is
    taken as open: the policies of other pods, unless --policies brings them.

    Exit codes: 0 each needed flow passes, and nobody else gets in. 1 a needed flow is closed, a
    flow that nobody needs is open (see `check`), or a claim cannot be used. 2 wrong usage, or
    something could not be read or written.
    """
    inputs = planned.Inputs(claims, environments, input_file)
    if [*claims, *environments, input_file, *policy_files].count("-") > 1:
        raise click.UsageError("standard input can be read once: `-` stands there twice")
    with terminal.progress() as progress:
        progress.say("reading")
        try:
            more = _policies(policy_files)
            outcome = reached.of(planned.read(inputs), more)
        except (documents.UnreadableError, ValueError) as error:
            terminal.complain(str(error))
            sys.exit(result.NOT_READ)
    for line in (*outcome.unreadable, *outcome.refused):
        terminal.complain(line)
    for note in outcome.notes:
        terminal.complain(f"note: {note}")
    try:
        text = _text(outcome, output, every=every)
    except ImportError:
        terminal.complain("this output needs rich: pip install 'function-inference-service[cli]'")
        sys.exit(result.NOT_READ)
    terminal.write(text)
    sys.exit(outcome.exit_code)


def _policies(files: Iterable[str]) -> list[dict[str, Any]]:
    """Returns the policies in files.

    Raises:
        UnreadableError: A file cannot be read, or holds something else.
    """
    objects = [document for file in files for document in documents.read(file)]
    kinds = sorted({str(one["kind"]) for one in objects if one["kind"] in _PASSED_OVER})
    if kinds:
        terminal.complain(f"note: {', '.join(kinds)} are passed over")
    return [one for one in objects if one["kind"] in forms.KINDS]


def _text(outcome: reached.Result, output: Output, *, every: bool) -> str:
    """Returns what goes to standard output.

    Raises:
        ImportError: The output needs rich, and it is not installed.
    """
    if output == "json":
        return json.dumps(outcome.document(), indent=2) + "\n"
    if output == "svg":
        return reach_picture.text(outcome.items)
    if output == "html":
        return reach_page.text(outcome, every=every)
    # rich comes with the extra `cli`; the other outputs do without.
    from function.cli import reach_tables

    return reach_tables.of(outcome, every=every)
