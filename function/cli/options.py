"""What the verbs that read claims under a site's settings have alike: arguments and options."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

FILE = click.Path(allow_dash=True)

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def claims_and_site(verb: _Verb) -> _Verb:
    """Adds CLAIM..., `--environment` and `--input` in front of a verb's own options."""
    verb = click.option(
        "--input",
        "input_file",
        metavar="F",
        type=FILE,
        help="The Composition's input, or a Composition.",
    )(verb)
    verb = click.option(
        "--environment",
        "-e",
        "environments",
        multiple=True,
        metavar="F",
        type=FILE,
        help="EnvironmentConfig with the site's settings; repeatable, merged in the order of names."
        " Without one the built-in neutral settings are used, with a note.",
    )(verb)
    return click.argument("claims", nargs=-1, required=True, metavar="CLAIM...", type=FILE)(verb)
