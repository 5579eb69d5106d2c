"""A first claim of text-embeddings-inference: on CPUs, or on one GPU of a class."""

from collections.abc import Iterator
from typing import Any

from function.api import base, claim, settings
from function.capacity import facts
from function.cli import annotated, drafts
from function.cluster import checkpoints
from function.findings import rules, table
from function.planning import plans

Field = annotated.Field


def text(wish: drafts.Wish, site: settings.Settings) -> str:
    """Returns the claim, as text.

    Raises:
        drafts.NothingFitsError: The engine does not serve the model.
        base.InvalidError: The settings refuse such a claim.
    """
    fields = tuple(_fields(wish))
    plan = _plan(wish, site, annotated.plain(fields))
    model = plan.prospect.model
    if model is not None and model.runner is not facts.Runner.POOLING:
        raise drafts.NothingFitsError(
            f"{model.name} is made to generate text: --engine tei needs a model for embeddings"
        )
    for finding in table.judge(plan):
        if finding.severity is rules.Severity.ERROR:
            raise drafts.NothingFitsError(finding.message)
    where = f"on a GPU of class {wish.gpu_class}" if wish.gpu_class else "on CPUs"
    head = f"{wish.repository} by text-embeddings-inference {where}."
    whole = drafts.document(wish, {})
    return annotated.text(
        (
            Field("apiVersion", whole["apiVersion"], (head,)),
            Field("kind", whole["kind"]),
            Field("metadata", whole["metadata"]),
            Field("spec", tuple(_fields(wish, model))),
        )
    )


# Of a model of which nobody knows the architecture.
_UNKNOWN = (
    "Nothing is known of this model, and tei ends with one that it does not compute:"
    " docs/engines.md lists the families. `inference-service facts` asks the hub, and --facts takes"
    " the answer."
)


def _fields(wish: drafts.Wish, known: facts.Facts | None = None) -> Iterator[annotated.Field]:
    yield Field("engine", {"kind": "tei"})
    unknown = (_UNKNOWN,) if known is None else ()
    model: list[annotated.Field] = [Field("repository", wish.repository, unknown)]
    pin = "A branch moves: pin the commit that you tested (--hub writes today's)."
    model.append(Field("revision", wish.revision, (pin,) if wish.revision == "main" else ()))
    if wish.form is not None:
        why = "The catalogue does not have this model: defaults follow from this."
        model.append(Field("facts", wish.form, (why,)))
    if known is not None and known.gated:
        why = "The hub asks for a licence to be accepted: accept it, and make this Secret."
        model.append(Field("tokenSecretRef", drafts.TOKEN_SECRET, (why,)))
    yield Field("model", tuple(model))
    if wish.gpu_class is not None:
        why = "Without this the claim has no GPU. Nobody measured whether the model fits."
        yield Field("gpu", {"class": wish.gpu_class}, (why,))
    yield Field(
        "scaling",
        (
            Field("minReplicas", 1),
            Field(
                "maxReplicas",
                drafts.MOST_REPLICAS,
                ("Another replica comes when more than 8 texts a replica wait.",),
            ),
        ),
    )


def _plan(wish: drafts.Wish, site: settings.Settings, spec: dict[str, Any]) -> plans.Plan:
    resource = base.parse(claim.InferenceService, drafts.document(wish, spec), what="claim")
    return plans.make(resource, site, checkpoints.Facts())
