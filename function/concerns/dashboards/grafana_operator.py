"""The kind of grafana-operator."""

from function import canonical, kinds
from function.api import settings
from function.planning import identity

KIND = kinds.GRAFANA_DASHBOARD


def suffix(site: settings.Settings) -> str:
    """Returns the end of the key: the selector of an object is immutable, so it is part of it."""
    return f"{kinds.OPERATOR_DASHBOARD}{_mark(site)}"


def _mark(site: settings.Settings) -> str:
    return canonical.digest(dict(site.dashboards.instance_labels), 8)


def dashboard(
    who: identity.Identity, site: settings.Settings, part: str, component: str, text: str
) -> identity.Manifest:
    """Returns the object that carries a dashboard; Grafana may be in any namespace."""
    chosen = site.dashboards
    spec: identity.Manifest = {
        "allowCrossNamespaceImport": True,
        "instanceSelector": {"matchLabels": dict(chosen.instance_labels)},
        "json": text,
    }
    if chosen.folder is not None:
        spec["folder"] = chosen.folder
    return {
        "apiVersion": KIND.api_versions[0],
        "kind": KIND.name,
        "metadata": who.metadata(who.part(f"{part}-{_mark(site)}"), component=component),
        "spec": spec,
    }
