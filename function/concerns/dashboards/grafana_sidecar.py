"""ConfigMaps with a label, which the sidecar of Grafana's chart reads."""

from function import kinds
from function.api import settings
from function.planning import identity

KIND = kinds.CONFIG_MAP


def suffix(site: settings.Settings) -> str:
    """Returns the end of the key."""
    del site
    return kinds.SIDECAR_DASHBOARD


def dashboard(
    who: identity.Identity, site: settings.Settings, part: str, component: str, text: str
) -> identity.Manifest:
    """Returns the object that carries a dashboard.

    The sidecar writes the files of all namespaces into one folder: no name has a dot, so no two
    objects have one file.
    """
    chosen = site.dashboards
    annotations = {} if chosen.folder is None else {chosen.folder_annotation: chosen.folder}
    return {
        "apiVersion": KIND.api_versions[0],
        "kind": KIND.name,
        "metadata": who.metadata(
            who.part(part),
            component=component,
            extra={chosen.label: chosen.label_value},
            annotations=annotations,
        ),
        "data": {f"{who.namespace}.{who.name}.{component}.json": text},
    }
