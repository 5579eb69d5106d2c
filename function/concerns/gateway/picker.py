"""The endpoint picker: a Helm release of the InferencePool and of the program that picks pods."""

from function import canonical, kinds, memo
from function.concerns.gateway import envoy_ai_gateway, native_picker
from function.planning import identity, plans


@memo.per_plan
def rewrite(plan: plans.Plan, adapters: frozenset[str]) -> identity.Manifest:
    """Returns by which names the picker sends the base model's requests on: itself and canaries.

    A pool takes neither weight nor model name in a route, so the picker draws the name.

    Args:
        plan: The plan.
        adapters: Those that every running pod serves; the others get no traffic yet.
    """
    shifted = [(a, weight) for a, weight in envoy_ai_gateway.canaries(plan) if a in adapters]
    base = (plan.identity.name, 100 - sum(weight for _, weight in shifted))
    return {
        "apiVersion": kinds.MODEL_REWRITE.api_versions[0],
        "kind": kinds.MODEL_REWRITE.name,
        "metadata": plan.identity.metadata(plan.identity.part("canaries")),
        "spec": {
            "poolRef": native_picker.pool_reference(plan),
            "rules": [
                {
                    "matches": [{"model": {"type": "Exact", "value": plan.identity.name}}],
                    "targets": [
                        {"modelRewrite": name, "weight": weight}
                        for name, weight in (base, *shifted)
                    ],
                }
            ],
        },
    }


@memo.per_plan
def release(plan: plans.Plan) -> identity.Manifest:
    """Returns the HelmRelease of the InferencePool and its endpoint picker."""
    picker = plan.site.endpoint_picker
    return {
        "apiVersion": kinds.HELM_RELEASE.api_versions[0],
        "kind": kinds.HELM_RELEASE.name,
        "metadata": plan.identity.metadata(plan.identity.picker_name),
        "spec": {
            "interval": "10m0s",
            # The pool takes the release's name, and the picker that name and -epp.
            "releaseName": plan.identity.name,
            "chartRef": {
                "kind": "OCIRepository",
                "name": picker.oci_repository,
                "namespace": plan.identity.namespace,
            },
            "install": {"remediation": {"retries": 3}},
            "upgrade": {"remediation": {"retries": 3}},
            "values": _values(plan),
            "postRenderers": [{"kustomize": {"patches": [_patch(plan)]}}],
        },
    }


def _values(plan: plans.Plan) -> identity.Manifest:
    picker = plan.site.endpoint_picker
    return {
        "inferencePool": {
            "apiVersion": "inference.networking.k8s.io/v1",
            "modelServerType": plan.engine.POOL_TYPE,
            # All four labels: the name alone also matches the preload pod.
            "modelServers": {"matchLabels": plan.identity.labels()},
            "targetPorts": [{"number": plan.engine.PORT}],
        },
        "inferenceExtension": {
            "replicas": 1,
            "image": {
                "registry": picker.image_registry,
                "repository": picker.image_repository,
                "tag": picker.image_tag,
            },
            # The chart's default of 4 CPU and 8 GiB stays Pending on small nodes.
            "resources": {"requests": dict(picker.requests), "limits": dict(picker.limits)},
            # The policy below lets only the scraper in.
            "monitoring": {"prometheus": {"auth": {"enabled": False}}},
        },
        "provider": {"name": "none"},
    }


def _patch(plan: plans.Plan) -> identity.Manifest:
    """Returns the patch that makes the chart's pod pass Pod Security `restricted`.

    By index: the chart gives the container no name that its values fix.
    """
    pod = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    template = "/spec/template/spec"
    operations = [
        {"op": "add", "path": f"{template}/securityContext", "value": pod},
        {"op": "add", "path": f"{template}/containers/0/securityContext", "value": container},
    ]
    return {
        "target": {"kind": "Deployment", "name": plan.identity.picker_name},
        "patch": canonical.dumps(operations),
    }
