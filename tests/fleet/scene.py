"""Front doors and the claims behind them, in the cluster in memory."""

from typing import Any

from tests import cluster, documents

SITE = cluster.load("examples/front-door/environmentconfig.yaml")


def member(
    name: str,
    *adapters: str,
    published: bool = True,
    labels: dict[str, str] | None = None,
    offers: tuple[str, ...] = ("chat", "tools"),
    costs: tuple[str, str] | None = None,
    models: tuple[str, ...] = ("org/model",),
) -> cluster.Object:
    """Returns a claim as core reads it, with what its tokens cost, prompts and answers.

    And with the repositories that its pods may answer with.
    """
    served = [{"name": name, "kind": "base"}, *({"name": a, "kind": "adapter"} for a in adapters)]
    return {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "llm", "labels": labels or {}},
        "spec": {"model": {"repository": "org/model"}, "gateway": {"enabled": True}},
        "status": {
            "servedModels": served,
            "offers": list(offers),
            **({"latches": {"routePublished": True}} if published else {}),
            **({} if costs is None else {"cost": cost(*costs)}),
            **({"repositories": list(models)} if models else {}),
        },
    }


def cost(prompts: str, answers: str) -> cluster.Object:
    """Returns the cost in a claim's status: of long requests, answers are twice as dear."""
    dear = f"{2 * float(answers):g}"
    loads = {"chat": answers, "agent": dear, "rag": dear}
    return {
        "currency": "USD",
        "perMillionTokens": [
            {"load": load, "input": prompts, "output": output} for load, output in loads.items()
        ],
    }


def of(**spec: Any) -> cluster.Object:
    """Returns a front door."""
    return {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceGateway",
        "metadata": {"name": "llm", "namespace": "llm"},
        "spec": spec,
    }


def caller(name: str, **models: Any) -> cluster.Object:
    """Returns a caller whose key is in a Secret of the namespace."""
    given = {"models": models} if models else {}
    return {"name": name, "secretRef": {"name": f"{name}-key"}, **given}


def fetched(name: str) -> cluster.Object:
    """Returns a caller whose key is in the store."""
    return {"name": name, "externalSecret": {"remoteRef": f"llm/{name}"}}


def provider(name: str, *models: str, **more: Any) -> cluster.Object:
    """Returns a provider of models."""
    return {
        "name": name,
        "api": "OpenAI",
        "host": "api.example.com",
        "credentials": {"secretRef": {"name": f"{name}-key"}},
        "models": [{"name": model} for model in models],
        **more,
    }


def world(
    document: cluster.Object, *members: cluster.Object, settings: cluster.Object | None = None
) -> cluster.Cluster:
    """Returns the cluster before core looks at the front door for the first time."""
    site = cluster.environment("reference")
    changed = documents.copied(SITE)
    if settings is not None:
        changed["data"]["inferenceService"] |= settings
    made = cluster.Cluster(document, site, changed)
    made.strangers = list(members)
    return made


def resting(document: cluster.Object, *members: cluster.Object) -> cluster.Cluster:
    """Returns the cluster at rest."""
    made = world(document, *members)
    made.converge()
    return made


def rules(made: cluster.Cluster) -> dict[str, list[str] | None]:
    """Returns the models that each caller's rules allow; None for every model."""
    allowed: dict[str, list[str] | None] = {}
    for rule in made.one("SecurityPolicy", "door-security")["spec"]["authorization"].get(
        "rules", []
    ):
        (name,), *models = [header["values"] for header in rule["principal"]["headers"]]
        allowed[name] = models[0] if models else None
    return allowed
