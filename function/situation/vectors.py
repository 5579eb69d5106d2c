"""Whether another model may make vectors in a model's place: only the same one.

Vectors of two models lie in two spaces. A search over what one of them indexed finds nothing with
vectors of the other, and says no word of it.
"""

from function.planning import plans


def foreign(plan: plans.Plan, who: str, names: list[str]) -> str | None:
    """Returns why another model must not answer for a claim that makes vectors, else None.

    A repository that nobody knows is not judged. Of owner and model the model counts: a provider
    has the same one under its own name, which may say more before or after it.

    Args:
        plan: The plan of the claim.
        who: Who answers, for the message.
        names: What the other model is called.
    """
    own = plan.spec.model.repository
    ranks = plan.prospect.model is not None and plan.prospect.model.architecture.endswith(
        "Classification"
    )
    if plan.serving.generates or ranks or own is None or not names:
        return None
    if any(_last(own) in _last(name) for name in names):
        return None
    return (
        f"{who} has {names[-1]}, and this claim makes vectors of {own}: those of two models cannot"
        " be compared"
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2].lower()
