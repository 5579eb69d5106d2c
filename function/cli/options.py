"""Arguments and options that several verbs have, each with words of its own."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

FILE = click.Path(allow_dash=True)

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_INPUT = "The Composition's input, or a Composition."


def claims_and_site(verb: _Verb) -> _Verb:
    """Adds CLAIM..., `--environment` and `--input` in front of a verb's own options."""
    words = (
        "EnvironmentConfig with the site's settings; repeatable, merged in the order of names."
        " Without one the built-in neutral settings are used, with a note."
    )
    verb = environments(words)(input_file()(verb))
    return click.argument("claims", nargs=-1, required=True, metavar="CLAIM...", type=FILE)(verb)


def environments(words: str) -> Callable[[_Verb], _Verb]:
    """Returns `--environment`: files of settings.

    Args:
        words: What the settings are for.
    """
    return click.option(
        "--environment", "-e", "environments", multiple=True, metavar="F", type=FILE, help=words
    )


def input_file(words: str = _INPUT) -> Callable[[_Verb], _Verb]:
    """Returns `--input`: the file of the Composition's input.

    Args:
        words: What it is for.
    """
    return click.option("--input", "input_file", metavar="F", type=FILE, help=words)


def output(first: str, *others: str, words: str) -> Callable[[_Verb], _Verb]:
    """Returns `--output`: in which form a verb answers.

    Args:
        first: The default.
        others: The other forms.
        words: What each is for.
    """
    forms = click.Choice([first, *others])
    return click.option("--output", "-o", type=forms, default=first, show_default=True, help=words)
