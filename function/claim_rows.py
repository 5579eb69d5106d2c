"""Every object that an InferenceService may become: one row for each key, causes first.

The second kind of claim has its own table of such rows (`function/fleet/rows.py`). From this one
follow what a patch may name, when an object is ready, which condition speaks for it, what is asked
of the cluster before it is composed, the tables in docs/life-of-a-claim.md, the roles in
examples/rbac and the controllers of the tests.
"""

import functools
from collections.abc import Iterator

from function import kinds, route_rows
from function.workloads import workloads

ADAPTERS = "adapters"

_POLICIES = "by `providers.networkPolicy`"
_MONITORING = "by `providers.monitoring`"

# In the order of causes: of several objects of one condition that are not ready, the first is what
# the others wait for.
_OWN: tuple[kinds.Row, ...] = (
    kinds.Row("serviceaccount", kinds.SERVICE_ACCOUNT, "", "serviceaccount", "N", "always"),
    kinds.Row("service", kinds.SERVICE, "", "service", "N", "always"),
    kinds.Row(
        "cilium-netpol",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N",
        _POLICIES,
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N",
        _POLICIES,
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "cilium-netpol-download",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N.download",
        "claims that preload",
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy-download",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N.download",
        "claims that preload",
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "cilium-netpol-removal",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N.removal",
        "`model.retention: Delete`",
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy-removal",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N.removal",
        "`model.retention: Delete`",
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "cilium-netpol-group",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N.group",
        "a replica is several pods (`gpu.parallelism`)",
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy-group",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N.group",
        "a replica is several pods (`gpu.parallelism`)",
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "cilium-netpol-gate",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N.gate",
        "a canary with `gate`",
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy-gate",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N.gate",
        "a canary with `gate`",
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "cilium-netpol-preload",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N-preload",
        kinds.FORMER,
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy-preload",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N-preload",
        kinds.FORMER,
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "cilium-netpol-cleanup",
        kinds.CILIUM_POLICY,
        kinds.POLICY_READY,
        None,
        "N-cleanup",
        kinds.FORMER,
        kinds.BY_CILIUM,
    ),
    kinds.Row(
        "networkpolicy-cleanup",
        kinds.NETWORK_POLICY,
        kinds.POLICY_READY,
        None,
        "N-cleanup",
        kinds.FORMER,
        kinds.BY_NATIVE,
    ),
    kinds.Row(
        "preload-job-<hash>",
        kinds.JOB,
        kinds.WEIGHTS_READY,
        "preload-job",
        "N-preload-\\<hash\\>",
        "until the status records what it made",
    ),
    kinds.Row(
        "cleanup-job-<hash>",
        kinds.JOB,
        kinds.WEIGHTS_READY,
        None,
        "N-cleanup-\\<hash\\>",
        "until the status shows that what it removes is gone",
    ),
    kinds.Row("pdb", kinds.BUDGET, kinds.ENGINE_READY, "pdb", "N", "with the Deployment"),
    kinds.Row(
        "scaledobject",
        kinds.SCALED_OBJECT,
        kinds.SCALER_READY,
        "scaledobject",
        "N",
        "with the Deployment; `providers.autoscaler: keda`",
        kinds.BY_KEDA,
    ),
    kinds.Row(
        "vmservicescrape",
        kinds.VM_SCRAPE,
        kinds.OBSERVABILITY_READY,
        "vmservicescrape",
        "N",
        _MONITORING,
        kinds.BY_VICTORIA,
    ),
    kinds.Row(
        "servicemonitor",
        kinds.SERVICE_MONITOR,
        kinds.OBSERVABILITY_READY,
        "servicemonitor",
        "N",
        _MONITORING,
        kinds.BY_PROMETHEUS,
    ),
    kinds.Row(
        "vmrule",
        kinds.VM_RULE,
        kinds.OBSERVABILITY_READY,
        "vmrule",
        "N",
        _MONITORING,
        kinds.BY_VICTORIA,
    ),
    kinds.Row(
        "prometheusrule",
        kinds.PROMETHEUS_RULE,
        kinds.OBSERVABILITY_READY,
        "prometheusrule",
        "N",
        _MONITORING,
        kinds.BY_PROMETHEUS,
    ),
    kinds.Row(
        ADAPTERS,
        kinds.CONFIG_MAP,
        kinds.WEIGHTS_READY,
        None,
        "N.adapters",
        "`loraAdapters[].hot`",
    ),
    kinds.Row(
        kinds.SIDECAR_DASHBOARD,
        kinds.CONFIG_MAP,
        kinds.OBSERVABILITY_READY,
        None,
        "N.dashboard",
        "`providers.dashboards: grafana-sidecar`",
        kinds.BY_SIDECAR,
    ),
    kinds.Row(
        f"{kinds.OPERATOR_DASHBOARD}<hash>",
        kinds.GRAFANA_DASHBOARD,
        kinds.OBSERVABILITY_READY,
        None,
        "N.dashboard-\\<hash\\>",
        "`providers.dashboards: grafana-operator`",
        kinds.BY_GRAFANA,
    ),
    kinds.Row(
        "externalsecret-<S>",
        kinds.EXTERNAL_SECRET,
        kinds.SECRETS_READY,
        None,
        "S",
        "each `externalSecrets` entry S; `providers.secrets`",
        kinds.BY_SECRETS,
    ),
)

ROWS = (*_OWN, *route_rows.ROWS)


class _Claims(kinds.Table):
    """The rows of an InferenceService; those of its workload come from the workload's own table."""

    def row(self, suffix: str) -> kinds.Row:
        """Returns the row of a key, as `row` does."""
        return of(suffix)


# Of an InferenceService.
TABLE: kinds.Table = _Claims(ROWS)


def every() -> Iterator[kinds.Row]:
    """Yields every row, those of the workloads among them."""
    for workload in workloads.WORKLOADS.values():
        kind = kinds.Kind(
            workload.GROUP,
            (workload.VERSION,),
            workload.KIND,
            workload.PLURAL,
            None,
            workload.READY_WHEN,
            optional=workload.OPTIONAL,
        )
        patch = workload.SUFFIX if workload.PATCHABLE else None
        yield kinds.Row(
            workload.SUFFIX, kind, kinds.ENGINE_READY, patch, workload.OBJECT_NAME, workload.WHEN
        )
    yield from ROWS


@functools.lru_cache(maxsize=4096)
def of(suffix: str) -> kinds.Row:
    """Returns the row of a key.

    Args:
        suffix: The key's end, without the claim's name.

    Raises:
        KeyError: No row has such a key.
    """
    whole = _WHOLE.get(suffix)
    if whole is not None:
        return whole
    for listed in every():
        if listed.suffix == suffix:
            return listed
        if "<" in listed.suffix and suffix.startswith(listed.prefix):
            return listed
    raise KeyError(f"no row for the key suffix {suffix!r}")


_WHOLE = {listed.suffix: listed for listed in ROWS if "<" not in listed.suffix}


def patchable() -> dict[str, kinds.Row]:
    """Returns the rows that spec.patches reaches, by the name that it uses."""
    return {listed.patch: listed for listed in every() if listed.patch is not None}
