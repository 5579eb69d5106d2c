"""Whether another model may make vectors in a model's place: only the same one.

Vectors of two models lie in two spaces. A search over what one of them indexed finds nothing with
vectors of the other, and says no word of it.
"""

from function.planning import plans


def foreign(plan: plans.Plan, who: str, names: list[str], *, by_model: bool = False) -> str | None:
    """Returns why another model must not answer for a claim that makes vectors, else None.

    A claim that names no repository is not judged.

    Args:
        plan: The plan of the claim.
        who: Who answers, for the message.
        names: What the other model is called: its repository, or names that a provider has for it.
        by_model: Of owner and model the model counts alone, as providers have owners of their own.
    """
    own, model = plan.spec.model.repository, plan.prospect.model
    scores = model is not None and model.scores
    if plan.serving.generates or scores or own is None or not names:
        return None
    if any(_called(own, by_model) == _called(name, by_model) for name in names):
        return None
    # Of a model that nobody knows it is not told from one that ranks.
    makes = "may make" if model is None else "makes"
    return (
        f"{who} has {names[-1]}, and this claim {makes} vectors of {own}: those of two models"
        " cannot be compared"
    )


def _called(name: str, by_model: bool) -> str:
    return (name.rpartition("/")[2] if by_model else name).lower()
