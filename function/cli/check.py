"""`inference-service check`: what is wrong with claims or doubtful, with file and line."""

import sys
from typing import Literal

import click

from function.cli import checking, options, planned, reports, result, sarif, terminal
from function.findings import rules

Output = Literal["text", "github", "sarif", "json"]


@click.command()
@options.claims_and_site
@click.option("--strict", is_flag=True, help="Warnings fail the run as errors do.")
@options.output(
    "text",
    "github",
    "sarif",
    "json",
    words="text has a line for each finding. github are workflow commands, which GitHub shows"
    " beside the lines of a change; sarif is for code scanning; json for other machines.",
)
def check(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    input_file: str | None,
    strict: bool,
    output: Output,
) -> None:
    """Say what is wrong with claims in files or directories; `-` reads standard input.

    `inference-service explain RULE` says more of a finding.

    Exit codes: 0 nothing worse than a warning. 1 there are errors, or warnings with --strict.
    2 wrong usage, no claim at all, or something could not be read or written.
    """
    inputs = planned.Inputs(claims, environments, input_file)
    if inputs.repeats_standard_input:
        raise click.UsageError("standard input can be read once: `-` stands there twice")
    with terminal.progress() as progress:
        progress.say("reading")
        fleet = planned.read(inputs)
    report = checking.report(fleet, inputs)
    for note in report.notes:
        terminal.complain(f"note: {note}")
    code = exit_code(report, strict=strict)
    terminal.write(_text(report, output, code))
    sys.exit(code)


def exit_code(report: checking.Report, *, strict: bool) -> int:
    """Returns the exit code: what was not read weighs most."""
    counts = report.counts()
    if report.unread:
        return result.NOT_READ
    if counts[rules.Severity.ERROR] or (strict and counts[rules.Severity.WARNING]):
        return result.CANNOT_BE_USED
    return result.RENDERED


def _text(report: checking.Report, output: Output, code: int) -> str:
    if output == "github":
        return reports.github(report)
    if output == "sarif":
        return reports.as_json(sarif.document(report))
    if output == "json":
        return reports.as_json(reports.document(report, code))
    return reports.text(report)
