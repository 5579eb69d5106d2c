"""CoreDNS as kubeadm installs it: a Deployment in kube-system, on Services and EndpointSlices."""

from __future__ import annotations

from e2e.controlplane import api
from e2e.machines import machine

IMAGE = "registry.k8s.io/coredns/coredns:v1.14.2"
_NAME = "coredns"
LABELS = {"k8s-app": "kube-dns"}
_NAMESPACE = "kube-system"
_COREFILE = f""".:53 {{
  errors
  health :8080 {{
    lameduck 5s
  }}
  ready :8181
  kubernetes {machine.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
    pods insecure
    ttl 5
  }}
  cache 5
  loadbalance
}}
"""
DEPLOYMENT = api.Ref("apps/v1", "Deployment", _NAME, _NAMESPACE)


def _metadata(name: str = _NAME) -> api.Object:
    return {"name": name, "namespace": _NAMESPACE, "labels": LABELS}


def objects(node: str) -> list[api.Object]:
    """All objects of it.

    Args:
        node: Where it runs; in a cluster of its own size one pod would be too few.
    """
    group = "rbac.authorization.k8s.io"
    role = f"system:{_NAME}"
    read = [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["list", "watch"],
        },
    ]
    subject = {"kind": "ServiceAccount", "name": _NAME, "namespace": _NAMESPACE}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata()},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role},
            "rules": read,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata(),
            "data": {"Corefile": _COREFILE},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata("kube-dns"),
            "spec": {
                "clusterIP": machine.DNS_ADDRESS,
                "selector": LABELS,
                "ports": ports,
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(),
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": _pod(ports, node)},
            },
        },
    ]


def _pod(ports: list[api.Object], node: str) -> api.Object:
    container = {
        "name": _NAME,
        "image": IMAGE,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": port["name"], "containerPort": port["port"], "protocol": port["protocol"]}
            for port in ports
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    return {
        "serviceAccountName": _NAME,
        "dnsPolicy": "Default",
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": _NAME}}],
    }
