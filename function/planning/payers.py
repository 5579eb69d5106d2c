"""Who pays for a claim: labels of its objects and pods, and of the series of its cost."""

from function.api import claim, claim_cost, settings

# By the field of `spec.cost`: the label of a series.
SERIES = {"team": "team", "project": "project", "cost_center": "cost_center"}


def labels(spec: claim.Spec, site: settings.Settings) -> dict[str, str]:
    """Returns the labels of objects and pods; none for a claim that names no payer."""
    keys = site.pricing.labels
    return {getattr(keys, field): value for field, value in _named(spec).items()}


def keys(spec: claim.Spec, site: settings.Settings) -> dict[str, str]:
    """Returns the keys of the labels by the fields of `cost` that name somebody."""
    fields = claim_cost.Cost.model_fields
    named = _named(spec)
    return {str(fields[field].alias): getattr(site.pricing.labels, field) for field in named}


def series(spec: claim.Spec) -> dict[str, str]:
    """Returns the labels of series."""
    return {SERIES[field]: value for field, value in _named(spec).items()}


def _named(spec: claim.Spec) -> dict[str, str]:
    if spec.cost is None:
        return {}
    values = {field: getattr(spec.cost, field) for field in SERIES}
    return {field: value for field, value in values.items() if value is not None}
