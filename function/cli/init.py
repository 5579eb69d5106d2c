"""`inference-service init`: a first claim for a model, that fits."""

import pathlib
import re
import sys
from typing import Any, NoReturn

import click

from function import strict_yaml
from function.api import base, claim, settings
from function.capacity import catalogue, forms
from function.cli import (
    documents,
    drafted,
    drafts,
    edits,
    encoders,
    hub,
    options,
    rendering,
    result,
    sites,
    snapshot,
    suggestions,
    terminal,
    uses,
)
from function.planning import hardware


@click.command()
@click.argument("model", metavar="MODEL")
@options.environments(
    "EnvironmentConfig with the site's settings: its GPU classes with products and prices;"
    " repeatable."
)
@click.option(
    "--gpu",
    "gpu_class",
    metavar="CLASS",
    help="GPU class of the settings. By default the cheapest that has room for the sequences that"
    " the settings want (capacity.fullSequences); without prices the one with the least memory.",
)
@click.option(
    "--for",
    "use",
    type=click.Choice(sorted(uses.USES)),
    help="What it serves: context, sequences, prefix cache and triggers follow. By default chat, or"
    " embeddings for a model that makes vectors.",
)
@click.option(
    "--engine",
    type=click.Choice(["vllm", "tei"]),
    default="vllm",
    help="tei is text-embeddings-inference, for embeddings: on CPUs, or on a GPU of --gpu.",
)
@click.option("--name", metavar="NAME", help="The claim's name; from the model's by default.")
@click.option("--namespace", "-n", metavar="NS", help="The claim's namespace.")
@click.option(
    "--facts",
    "facts_file",
    metavar="F",
    type=options.FILE,
    help="Facts of a model that neither catalogue nor settings have, as `inference-service facts`"
    " prints them; the claim states them.",
)
@click.option(
    "--hub",
    "ask",
    is_flag=True,
    help="Ask the Hugging Face hub for the commit that main is at, and pin it. HF_ENDPOINT and"
    " HF_TOKEN as for `facts`.",
)
@click.option(
    "--allow-unknown",
    is_flag=True,
    help="Write a claim without derived numbers where nothing is known of the model or its GPUs.",
)
def init(
    model: str,
    environments: tuple[str, ...],
    gpu_class: str | None,
    use: str | None,
    engine: str,
    name: str | None,
    namespace: str | None,
    facts_file: str | None,
    ask: bool,
    allow_unknown: bool,
) -> None:
    """Write a claim for MODEL that fits, with the reasons as comments.

    MODEL is a repository of the Hugging Face hub.

    Exit codes: 0 the claim was written. 1 the model is not known or fits nowhere, or the settings
    refuse the claim. 2 wrong usage, or something could not be read or written.
    """
    if not hub.is_repository(model):
        such = " or ".join(catalogue.nearest(model)) or "Qwen/Qwen3-8B"
        raise click.UsageError(f"MODEL is {model!r}: must be a repository, such as {such}")
    try:
        site = sites.read(environments, None)
        form = None if facts_file is None else _form(facts_file)
        revision = hub.commit(model) if ask else "main"
    except (documents.UnreadableError, hub.HubError) as error:
        terminal.complain(str(error))
        sys.exit(result.NOT_READ)
    except base.InvalidError as error:
        _refuse(error, settings.Settings)
    for note in site.notes:
        terminal.complain(note)
    if gpu_class is not None and gpu_class not in site.settings.gpu.classes:
        words = hardware.no_class(gpu_class, site.settings)
        raise click.UsageError(f"--gpu is {gpu_class!r}: {words}")
    if engine == "tei" and use not in (None, "embeddings"):
        raise click.UsageError(f"--engine tei makes vectors: --for {use} needs vllm")
    wish = drafts.Wish(
        repository=model,
        name=name or named(model),
        namespace=namespace,
        revision=revision,
        use=None if use is None else uses.USES[use],
        gpu_class=gpu_class,
        form=form,
    )
    try:
        if engine == "tei":
            written = encoders.text(wish, site.settings)
            _render(written, site.settings)
        else:
            written = text(wish, site.settings, allow_unknown=allow_unknown)
    except (drafts.UnknownError, drafts.NothingFitsError) as error:
        terminal.complain(str(error))
        sys.exit(result.CANNOT_BE_USED)
    except base.InvalidError as error:
        _refuse(error, claim.InferenceService)
    terminal.write(written)


def named(repository: str) -> str:
    """Returns a claim's name for a repository."""
    words = re.sub(r"[^a-z0-9]+", "-", repository.rpartition("/")[2].lower()).strip("-")
    name = words if words[:1].isalpha() else f"model-{words}"
    return name[: claim.LONGEST_NAME].rstrip("-")


def text(wish: drafts.Wish, site: settings.Settings, *, allow_unknown: bool = False) -> str:
    """Returns the claim that is written, once it renders.

    Raises:
        drafts.UnknownError: Nothing is known, and that is not allowed.
        drafts.NothingFitsError: The model fits nowhere.
        base.InvalidError: The settings refuse the claim.
    """
    try:
        draft = drafts.draft(wish, site)
    except drafts.UnknownError as error:
        has_facts = drafts.model_of(wish, site) is not None
        if not allow_unknown:
            raise drafts.UnknownError(str(error) if has_facts else _remedy(wish)) from None
        spec = drafts.unknown(wish)
        written = drafted.unknown(wish, spec, str(error))
    else:
        written = drafted.text(draft)
    _render(written, site)
    return written


def _render(text: str, site: settings.Settings) -> None:
    """Renders the claim as it is written, as a cluster would.

    Raises:
        base.InvalidError: It cannot be used.
    """
    (document,) = edits.documents(text)
    rendering.render(documents.Source("-", document), site, snapshot.Snapshot())


def _remedy(wish: drafts.Wish) -> str:
    near = catalogue.nearest(wish.repository)
    hint = f" The catalogue has {', '.join(near)}." if near else ""
    return (
        f"nothing is known of {wish.repository}.{hint} `inference-service facts {wish.repository}"
        " --hub > facts.yaml` asks the hub, and --facts facts.yaml takes the answer;"
        " --allow-unknown writes a claim without derived numbers"
    )


def _form(name: str) -> dict[str, Any]:
    """Returns facts of a file.

    Raises:
        documents.UnreadableError: They cannot be read, or are none.
    """
    try:
        text = sys.stdin.read() if name == "-" else pathlib.Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or error
        raise documents.UnreadableError(f"{name}: {words}") from None
    stream = strict_yaml.load(text)
    if stream.error is not None:
        raise documents.UnreadableError(f"{name}: {strict_yaml.words(stream.error)}")
    held = edits.documents(text)
    if len(held) != 1 or not isinstance(held[0], dict):
        raise documents.UnreadableError(f"{name}: must hold the facts of one model")
    form: dict[str, Any] = held[0]
    try:
        forms.read(form)
    except forms.FormError as error:
        raise documents.UnreadableError(f"{name}: {error}") from None
    return form


def _refuse(error: base.InvalidError, kind: type[base.Model]) -> NoReturn:
    for problem in suggestions.hinted(error, kind, {}):
        terminal.complain(f"{error.what}: {problem}")
    sys.exit(result.CANNOT_BE_USED)
