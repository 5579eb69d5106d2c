"""The edges of the checks in code: the last value that passes, and the first that does not."""

import pytest

from tests import schemas
from tests.schemas import samples

POD = "spec.template.spec"
MAIN = f"{POD}.containers.0"
SPREAD = f"{POD}.topologySpreadConstraints.0"
NODE = f"{POD}.affinity.nodeAffinity"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
TERM = f"{NODE}.{REQUIRED}.nodeSelectorTerms.0"
ANTI = f"{POD}.affinity.podAntiAffinity.{PREFERRED}.0"
RULES = "spec.podFailurePolicy.rules"
CODES = f"{RULES}.0.onExitCodes"
OWNER = {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "u", "controller": True}
EXPRESSION = {"key": "app", "operator": "In", "values": ["m"]}


def _token(seconds: int) -> dict[str, object]:
    token = {"path": "t", "expirationSeconds": seconds}
    return {"name": "models", "projected": {"sources": [{"serviceAccountToken": token}]}}


def _ports(*ports: object) -> list[object]:
    return [{"name": f"p{index}", "port": port} for index, port in enumerate(ports)]


REFUSED = [
    # Pods
    ("Deployment", f"{SPREAD}.minDomains", 0, "minDomains: must be at least 1"),
    ("Deployment", f"{SPREAD}.nodeTaintsPolicy", "Maybe", "must be one of ['Ignore'"),
    ("Deployment", f"{SPREAD}.labelSelector.matchLabels.app", "a b", "must be a label value"),
    ("Deployment", f"{NODE}.{REQUIRED}.nodeSelectorTerms", [], "at least one term"),
    ("Deployment", f"{TERM}.matchExpressions.0.operator", "Is", "operator: must be one of"),
    ("Deployment", f"{TERM}.matchExpressions.0.operator", "Exists", "Exists takes no values"),
    ("Deployment", f"{TERM}.matchExpressions.0.values", [], "operator In needs values"),
    ("Deployment", f"{TERM}.matchExpressions.0.values", ["a b"], "must be a label value"),
    ("Deployment", f"{TERM}.matchExpressions.0.key", "a b", "must be a qualified name"),
    (
        "Deployment",
        f"{TERM}.matchExpressions.0",
        {"key": "n", "operator": "Gt", "values": ["1", "2"]},
        "operator Gt needs one value",
    ),
    (
        "Deployment",
        f"{NODE}.{PREFERRED}",
        [{"weight": 101, "preference": {}}],
        "weight: must be 1 to 100",
    ),
    (
        "Deployment",
        f"{NODE}.{PREFERRED}",
        [{"weight": 1, "preference": {"matchFields": [{"key": "a", "operator": "Is"}]}}],
        "preference.matchFields[0].operator: must be one of",
    ),
    ("Deployment", f"{ANTI}.weight", 0, "weight: must be 1 to 100"),
    ("Deployment", f"{ANTI}.podAffinityTerm.topologyKey", "", "topologyKey: required"),
    ("Deployment", f"{ANTI}.podAffinityTerm.topologyKey", "a b", "must be a qualified name"),
    ("Deployment", f"{ANTI}.podAffinityTerm.namespaces", ["A"], "must be a DNS-1123 label"),
    ("Deployment", f"{ANTI}.podAffinityTerm.matchLabelKeys", ["a"], "is not checked here"),
    (
        "Deployment",
        f"{ANTI}.podAffinityTerm.labelSelector.matchLabels.app",
        "a b",
        "must be a label value",
    ),
    (
        "Deployment",
        f"{POD}.affinity.podAffinity",
        {REQUIRED: [{"topologyKey": ""}]},
        "topologyKey: required",
    ),
    ("Deployment", f"{POD}.dnsPolicy", "None", "nameservers: needed with dnsPolicy None"),
    ("Deployment", f"{POD}.dnsConfig", {"nameservers": ["1.1.1.1"] * 4}, "at most 3"),
    ("Deployment", f"{POD}.dnsConfig", {"nameservers": ["dns"]}, "must be an IP address"),
    ("Deployment", f"{POD}.dnsConfig", {"options": [{"value": "1"}]}, "name: required"),
    ("Deployment", f"{POD}.dnsConfig", {"searches": ["a"]}, "searches: is not checked here"),
    ("Deployment", f"{POD}.hostAliases", [{"ip": "x"}], "must be an IP address"),
    ("Deployment", f"{POD}.hostAliases", [{"ip": "::1", "hostnames": ["A"]}], "DNS-1123 subdom"),
    ("Deployment", f"{POD}.readinessGates", [{"conditionType": "a b"}], "a qualified name"),
    ("Deployment", f"{POD}.schedulingGates", [{"name": "a b"}], "must be a qualified name"),
    ("Deployment", f"{POD}.imagePullSecrets.0.name", "A", "must be a DNS-1123 subdomain"),
    ("Deployment", f"{POD}.preemptionPolicy", "Maybe", "must be one of ['PreemptLower"),
    ("Deployment", f"{POD}.restartPolicy", "Maybe", "must be one of ['Always'"),
    ("Deployment", f"{POD}.hostname", "a.b", "must be a DNS-1123 label"),
    ("Deployment", f"{POD}.ephemeralContainers", [{"name": "e"}], "not allowed in a pod template"),
    ("Deployment", f"{POD}.tolerations.0.key", "a b", "must be a qualified name"),
    (
        "Deployment",
        f"{POD}.tolerations.0",
        {"key": "a", "operator": "Equal", "value": "a b"},
        "must be a label value",
    ),
    ("Deployment", f"{POD}.securityContext.supplementalGroups", [-1], "must not be negative"),
    ("Deployment", f"{POD}.securityContext.supplementalGroupsPolicy", "All", "must be one of"),
    ("Deployment", f"{POD}.securityContext.seLinuxChangePolicy", "MountOption", "must be one of"),
    (
        "Deployment",
        f"{POD}.securityContext.sysctls",
        [{"name": "a", "value": "1"}, {"name": "a", "value": "1"}],
        "duplicate sysctl",
    ),
    ("Deployment", f"{POD}.volumes.0", {"name": "models", "image": {}}, "is not checked here"),
    ("Deployment", f"{POD}.volumes.0", _token(599), "must be at least 600"),
    (
        "Deployment",
        f"{POD}.volumes.0",
        {"name": "models", "projected": {"sources": [{}]}},
        "needs exactly one kind of source",
    ),
    (
        "Deployment",
        f"{POD}.volumes.0",
        {"name": "models", "projected": {"sources": [{"secret": {}}]}},
        "secret.name: required",
    ),
    (
        "Deployment",
        f"{POD}.volumes.0",
        {
            "name": "models",
            "projected": {
                "sources": [{"secret": {"name": "s", "items": [{"key": "a", "path": "/a"}]}}]
            },
        },
        "must be relative",
    ),
    (
        "Deployment",
        f"{POD}.volumes.0",
        {"name": "models", "projected": {"defaultMode": 512, "sources": []}},
        "must be 0 to 0o777",
    ),
    ("Deployment", f"{POD}.volumes.0", {"name": "models", "secret": {}}, "secretName: required"),
    (
        "Deployment",
        f"{POD}.volumes.0",
        {"name": "models", "secret": {"secretName": "s", "defaultMode": 512}},
        "must be 0 to 0o777",
    ),
    ("Deployment", f"{POD}.volumes.2.configMap.name", "", "name: required"),
    ("Deployment", f"{POD}.volumes.2.configMap.items.0.key", "", "key: required"),
    ("Deployment", f"{POD}.volumes.2.configMap.items.0.path", "", "path: required"),
    ("Deployment", f"{POD}.volumes.2.configMap.items.0.mode", -1, "must be 0 to 0o777"),
    (
        "Deployment",
        f"{POD}.volumes.0",
        {"name": "models", "downwardAPI": {"defaultMode": 512}},
        "must be 0 to 0o777",
    ),
    ("Deployment", f"{POD}.volumes.0", {"name": "models", "csi": {"driver": ""}}, "driver: requ"),
    ("Deployment", f"{POD}.volumes.0", {"name": "models", "hostPath": {"path": ""}}, "path: req"),
    (
        "Deployment",
        f"{MAIN}.ports",
        [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}],
        'duplicate in a list of type map: [1, "TCP"]',
    ),
    ("Deployment", f"{MAIN}.ports.0.hostPort", 65536, "hostPort: must be a port between"),
    (
        "Deployment",
        f"{MAIN}.ports",
        [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}],
        "duplicate port name",
    ),
    ("Deployment", f"{MAIN}.env.1.valueFrom.fieldRef.apiVersion", "v2", "must be one of ['v1']"),
    (
        "Deployment",
        f"{MAIN}.env.1.valueFrom",
        {"fileKeyRef": {"key": "A", "path": "p", "volumeName": "shm"}},
        "fileKeyRef: is not checked here",
    ),
    ("Deployment", f"{MAIN}.env.2.valueFrom.secretKeyRef.name", "A", "must be a DNS-1123 subdom"),
    ("Deployment", f"{MAIN}.envFrom.0.prefix", "1", "must be an environment variable name"),
    ("Deployment", f"{MAIN}.volumeMounts.0.mountPath", "", "mountPath: required"),
    ("Deployment", f"{MAIN}.volumeMounts.1.mountPath", "/models", "duplicate mount path"),
    ("Deployment", f"{MAIN}.volumeMounts.0.subPathExpr", "a", "may not be given beside subPath"),
    ("Deployment", f"{MAIN}.resources.limits|{'a' * 245}/b", 1, "no more than 253"),
    ("Deployment", f"{POD}.volumes.1.name", "models", "duplicate volume name"),
    (
        "Deployment",
        f"{POD}",
        {"shareProcessNamespace": True, "hostPID": True, "containers": []},
        "exclude each other",
    ),
    ("Deployment", f"{SPREAD}.matchLabelKeys", ["a b"], "must be a qualified name"),
    ("Deployment", f"{SPREAD}.topologyKey", "", "topologyKey: required"),
    ("Deployment", "spec.template.metadata.annotations", {"a b": ""}, "must be a qualified name"),
    ("Job", f"{POD}.activeDeadlineSeconds", 0, "must be 1 to 2147483647"),
    # Workloads
    ("Deployment", "spec.selector.matchExpressions", [{"key": "app", "operator": "Is"}], "unknown"),
    ("Deployment", "spec.progressDeadlineSeconds", 5, "must be greater than minReadySeconds"),
    ("Deployment", "spec.revisionHistoryLimit", -1, "must not be negative"),
    ("PodDisruptionBudget", "spec.maxUnavailable", 2**31, "must fit int32"),
    ("PodDisruptionBudget", "spec.selector.matchLabels.app", "a b", "must be a label value"),
    ("Job", f"{MAIN}.image", "", "image: required"),
    ("Job", "spec.managedBy", "a.io/b", "managedBy: is not checked here"),
    ("Job", "spec.completionMode", "Sorted", "must be one of ['NonIndexed'"),
    ("Job", "spec.backoffLimitPerIndex", 1, "needs completionMode Indexed"),
    ("Job", "spec.maxFailedIndexes", 1, "backoffLimitPerIndex: needed with maxFailedIndexes"),
    ("Job", RULES, [{"action": "Ignore", "onPodConditions": [{"type": "A"}]}] * 21, "at most 20"),
    ("Job", f"{CODES}.operator", "Is", "operator: must be one of"),
    ("Job", f"{CODES}.values", [], "must have 1 to 255 values"),
    ("Job", f"{CODES}.values", list(range(1, 257)), "must have 1 to 255 values"),
    ("Job", f"{CODES}.values", [1, 1], "must be ordered and unique"),
    ("Job", f"{RULES}.1.onPodConditions.0.type", "a b", "must be a qualified name"),
    ("Job", f"{RULES}.1.onPodConditions.0.status", "Yes", "must be one of ['True'"),
    (
        "Deployment",
        "spec.selector",
        {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
        "must match spec.selector",
    ),
    (
        "Deployment",
        "spec.selector",
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["m"]}]},
        "must match spec.selector",
    ),
    (
        "Deployment",
        "spec.selector",
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]},
        "must match spec.selector",
    ),
    (
        "Deployment",
        "spec.selector",
        {"matchExpressions": [{"key": "other", "operator": "Exists"}]},
        "must match spec.selector",
    ),
    # Networks
    ("Service", "spec", {"type": "NodePort", "clusterIP": "None"}, "must not be None with type"),
    ("Service", "spec", {"type": "ExternalName", "externalName": "A"}, "DNS-1123 subdomain"),
    ("Service", "spec.selector.app", "a b", "must be a label value"),
    ("Service", "spec.internalTrafficPolicy", "Near", "must be one of ['Cluster'"),
    ("Service", "spec.ipFamilyPolicy", "Both", "must be one of ['SingleStack'"),
    ("Service", "spec.ports.0.name", "A", "must be a DNS-1123 label"),
    ("Service", "spec.ports.0.protocol", "ANY", "must be one of ['TCP'"),
    ("Service", "spec.ports", [*_ports(1), {"name": "p0", "port": 2}], "duplicate port name"),
    ("Service", "spec.sessionAffinityConfig", {}, "not allowed with sessionAffinity None"),
    ("NetworkPolicy", "spec.podSelector.matchLabels.app", "a b", "must be a label value"),
    (
        "NetworkPolicy",
        "spec.ingress.0.from.0.podSelector.matchLabels.app",
        "a b",
        "must be a label value",
    ),
    ("NetworkPolicy", "spec.policyTypes", ["Ingress", "Egress", "Ingress"], "at most two"),
    ("NetworkPolicy", "spec.egress.0.ports.1.endPort", 65536, "must be a port between"),
    ("NetworkPolicy", "spec.egress.0.to.0.ipBlock.cidr", "10.0.0.1/8", "without host bits"),
    ("NetworkPolicy", "spec.egress.0.to.0.ipBlock.except.0", "0.0.0.0/0", "strict part"),
    ("NetworkPolicy", "spec.egress.0.to.0.ipBlock", {"cidr": "::/8", "except": ["::/7"]}, "part"),
    # Payloads
    ("ConfigMap", "data.a", "x" * 2**20, "at most 1048576 are allowed"),
    ("Secret", "type", "kubernetes.io/basic-auth", "needs username or password"),
    ("Secret", "type", "kubernetes.io/ssh-auth", "data[ssh-privatekey]: needed"),
    (
        "Secret",
        "",
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{"}},
        "must be JSON",
    ),
    # Names
    ("Deployment", f"{MAIN}.name", "m" * 64, "no more than 63 characters"),
    ("Service", "metadata.name", "m" * 64, "no more than 63 characters"),
    ("ConfigMap", "metadata.name", "m" * 254, "no more than 253 characters"),
    ("ConfigMap", f"data|{'k' * 254}", "x", "no more than 253 characters"),
    ("Deployment", f"metadata.labels|{'k' * 64}", "x", "name part must be no more than 63"),
    ("ConfigMap", "metadata.generation", -1, "must not be negative"),
    ("ConfigMap", "metadata.generateName", "A-", "must be a DNS-1123 subdomain"),
    ("ConfigMap", "metadata.namespace", "a.b", "must be a DNS-1123 label"),
    ("ConfigMap", "metadata.finalizers", ["a b/c"], "must be a DNS-1123 subdomain"),
    ("ConfigMap", "metadata.ownerReferences", [OWNER, {**OWNER, "uid": "v"}], "only one refer"),
    (
        "PodDisruptionBudget",
        "spec.selector",
        {"matchExpressions": [{**EXPRESSION, "values": []}]},
        "operator In needs values",
    ),
    (
        "PodDisruptionBudget",
        "spec.selector",
        {"matchExpressions": [{**EXPRESSION, "operator": "Exists"}]},
        "Exists takes no values",
    ),
    (
        "PodDisruptionBudget",
        "spec.selector",
        {"matchExpressions": [{**EXPRESSION, "key": "a b"}]},
        "must be a qualified name",
    ),
    (
        "PodDisruptionBudget",
        "spec.selector",
        {"matchExpressions": [{**EXPRESSION, "values": ["a b"]}]},
        "must be a label value",
    ),
    (
        "PodDisruptionBudget",
        "spec.selector",
        {"matchExpressions": [{"key": "a", "operator": "X"}]},
        "unknown operator 'X'",
    ),
]

ACCEPTED = [
    (
        "Deployment",
        f"{SPREAD}",
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "minDomains": 1,
        },
    ),
    ("Deployment", f"{SPREAD}.matchLabelKeys", ["pod-template-hash"]),
    ("Deployment", f"{TERM}.matchExpressions.0", {"key": "n", "operator": "Gt", "values": ["1"]}),
    (
        "Deployment",
        f"{TERM}.matchFields",
        [{"key": "metadata.name", "operator": "In", "values": ["a"]}],
    ),
    ("Deployment", f"{NODE}.{PREFERRED}", [{"weight": 100, "preference": {}}]),
    ("Deployment", f"{ANTI}.weight", 1),
    ("Deployment", f"{POD}.dnsConfig", {"nameservers": ["1.1.1.1", "::1", "8.8.8.8"]}),
    ("Deployment", f"{POD}.terminationGracePeriodSeconds", 15),
    ("Deployment", f"{POD}.hostAliases", [{"ip": "10.0.0.1", "hostnames": ["a.b"]}]),
    ("Deployment", f"{POD}.readinessGates", [{"conditionType": "a.io/ready"}]),
    ("Deployment", f"{POD}.securityContext.runAsUser", 2**31 - 1),
    ("Deployment", f"{POD}.securityContext.sysctls", [{"name": "net.ipv4.tcp_rmem", "value": "1"}]),
    (
        "Deployment",
        f"{POD}.tolerations.0",
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
    ),
    ("Deployment", f"{POD}.volumes.0", _token(600)),
    ("Deployment", f"{POD}.volumes.2.configMap.defaultMode", 0o777),
    ("Deployment", f"{POD}.volumes.2.configMap.items.0.mode", 0),
    (
        "Deployment",
        f"{POD}.volumes.2",
        {
            "name": "config",
            "downwardAPI": {
                "items": [
                    {"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {
                        "path": "c",
                        "resourceFieldRef": {"containerName": "m", "resource": "limits.cpu"},
                    },
                ]
            },
        },
    ),
    ("Deployment", f"{POD}.volumes.1.emptyDir.sizeLimit", "0"),
    ("Deployment", f"{MAIN}.env.1.valueFrom.fieldRef.fieldPath", "metadata.labels['app']"),
    ("Deployment", f"{MAIN}.env.1.valueFrom", {"resourceFieldRef": {"resource": "limits.cpu"}}),
    ("Deployment", f"{MAIN}.envFrom.0", {"configMapRef": {"name": "a"}, "prefix": "A_"}),
    ("Deployment", f"{MAIN}.lifecycle.preStop.sleep.seconds", 180),
    ("Deployment", f"{MAIN}.lifecycle.preStop.sleep.seconds", 0),
    ("Deployment", f"{MAIN}.livenessProbe.initialDelaySeconds", 0),
    ("Deployment", f"{MAIN}.livenessProbe.terminationGracePeriodSeconds", 1),
    ("Deployment", f"{MAIN}.ports.0.containerPort", 65535),
    ("Deployment", f"{MAIN}.ports.0.name", "a" * 15),
    ("Deployment", f"{MAIN}.resources.requests.memory", "32Gi"),
    ("Deployment", f"{MAIN}.resources.limits.cpu", "2000m"),
    ("Deployment", f"{MAIN}.resources.limits|hugepages-2Mi", "2Mi"),
    ("Deployment", f"{MAIN}.startupProbe.httpGet.httpHeaders", [{"name": "X-A", "value": "b"}]),
    (
        "Deployment",
        f"{MAIN}.securityContext.seccompProfile",
        {"type": "Localhost", "localhostProfile": "p"},
    ),
    ("Deployment", "spec.replicas", 0),
    ("Deployment", "spec.minReadySeconds", 0),
    ("Deployment", "spec.progressDeadlineSeconds", 6),
    ("Deployment", "spec.strategy.rollingUpdate", {"maxSurge": "25%", "maxUnavailable": 0}),
    ("Deployment", "spec.strategy.rollingUpdate.maxUnavailable", "100%"),
    ("Deployment", "spec.strategy.rollingUpdate", {"maxUnavailable": 0}),
    ("Deployment", "spec.selector", {"matchExpressions": [EXPRESSION]}),
    (
        "Deployment",
        "spec.selector",
        {
            "matchExpressions": [
                {"key": "app", "operator": "Exists"},
                {"key": "other", "operator": "DoesNotExist"},
                {"key": "app", "operator": "NotIn", "values": ["x"]},
            ]
        },
    ),
    ("Deployment", f"{MAIN}.ports.0.hostPort", 8001),
    ("Deployment", f"{MAIN}.ports", [{"containerPort": 1}, {"containerPort": 2}]),
    ("Deployment", f"{POD}.securityContext.supplementalGroups", [0]),
    ("Job", "spec.podReplacementPolicy", "Failed"),
    ("Job", "spec.backoffLimit", 0),
    ("Job", f"{CODES}.values", list(range(1, 256))),
    ("Job", f"{CODES}", {"operator": "NotIn", "values": [0]}),
    ("Job", RULES, [{"action": "Ignore", "onPodConditions": [{"type": "A"}]}] * 20),
    ("Job", "metadata.name", "m" * 63),
    ("PodDisruptionBudget", "spec.maxUnavailable", 0),
    ("PodDisruptionBudget", "spec.maxUnavailable", "100%"),
    (
        "PodDisruptionBudget",
        "spec.selector",
        {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
    ),
    ("Service", "spec", {"type": "ExternalName", "externalName": "a.example.com."}),
    ("Service", "spec.ports", [{"port": 65535}]),
    ("Service", "spec.ports", [*_ports(53), {"name": "u", "port": 53, "protocol": "UDP"}]),
    ("Service", "spec.ports", _ports(1, 2)),
    ("Service", "metadata.name", "m" * 63),
    ("NetworkPolicy", "spec.ingress.0.ports.0", {"protocol": "TCP"}),
    ("NetworkPolicy", "spec.ingress.0.ports.0.port", "http"),
    ("NetworkPolicy", "spec.egress.0.ports.1.endPort", 443),
    ("NetworkPolicy", "spec.egress.0.to.0.ipBlock", {"cidr": "::/8", "except": ["::/9"]}),
    ("ConfigMap", "metadata.name", "m" * 253),
    ("ConfigMap", f"data|{'k' * 253}", "x"),
    ("Deployment", f"metadata.labels|a.io/{'k' * 63}", "x" * 63),
    ("ConfigMap", "metadata.finalizers", ["a.io/b", "foregroundDeletion"]),
    ("ConfigMap", "metadata.ownerReferences", [OWNER]),
    ("ConfigMap", "metadata", {"generateName": "m-"}),
]


def _changed(kind: str, path: str, value: object) -> samples.Object:
    """Return the sample with one change; with no path the value is merged over the object."""
    obj = samples.minimal(kind)
    if path:
        return samples.put(obj, path, value)
    assert isinstance(value, dict)
    return {**obj, **value}


@pytest.mark.parametrize(("kind", "path", "value", "message"), REFUSED)
def test_refuses(kind: str, path: str, value: object, message: str) -> None:
    problems = schemas.validate(_changed(kind, path, value))
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(("kind", "path", "value"), ACCEPTED)
def test_accepts(kind: str, path: str, value: object) -> None:
    assert schemas.validate(_changed(kind, path, value)) == []


@pytest.mark.parametrize("seconds", [0, 86401])
def test_session_affinity_lasts_up_to_a_day(seconds: int) -> None:
    affinity = {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}},
    }
    service = samples.minimal("Service")
    service["spec"] |= affinity
    assert schemas.validate(service) == [
        f"spec.sessionAffinityConfig.clientIP.timeoutSeconds: must be 1 to 86400, is {seconds}"
    ]
    affinity["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 86400}}
    service["spec"] |= affinity
    assert schemas.validate(service) == []


def test_a_port_of_the_host_is_the_containers_on_the_hosts_network() -> None:
    deployment = samples.put(samples.minimal("Deployment"), f"{POD}.hostNetwork", True)
    samples.put(deployment, f"{MAIN}.ports.0.hostPort", 8001)
    problems = schemas.validate(deployment)
    assert problems == [
        f"{POD}.containers[0].ports[0].hostPort: must be the containerPort on the host's network"
    ]
    samples.put(deployment, f"{MAIN}.ports.0.hostPort", 8000)
    assert schemas.validate(deployment) == []


def test_an_indexed_job_may_limit_failures_by_index() -> None:
    job = samples.minimal("Job")
    job["spec"] |= {"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1}
    samples.put(job, f"{RULES}.0.action", "FailIndex")
    assert schemas.validate(job) == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("kubernetes.io/tls", {"tls.crt": "a", "tls.key": "b"}),
        ("kubernetes.io/basic-auth", {"password": "a"}),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "{}"}),
    ],
)
def test_typed_secrets(kind: str, data: dict[str, str]) -> None:
    secret = {**samples.minimal("Secret"), "type": kind, "stringData": data}
    assert schemas.validate(secret) == []
