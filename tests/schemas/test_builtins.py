"""Every built-in kind that is composed, and each check that Kubernetes has in code."""

import pytest

from tests import schemas
from tests.schemas import samples

KINDS = (
    "Deployment",
    "Job",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Service",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
)
POD = "spec.template.spec"
MAIN = f"{POD}.containers.0"
WEB = {"path": "/", "port": 80}
EXTRA = {"name": "extra", "image": "i"}

# Kind, path, value (None removes), and the message of the check that catches it.
MUTATIONS = [
    ("Deployment", "spec.foo", 1, "spec.foo: unknown field"),
    ("Deployment", f"{MAIN}.livenessProbe.httpGet.foo", 1, "httpGet.foo: unknown field"),
    ("Deployment", "spec.replicas", "1", "must be integer, is string"),
    ("Deployment", "spec.replicas", 2**31, "must fit int32"),
    ("Deployment", "spec.replicas", -1, "spec.replicas: must not be negative"),
    ("Deployment", "spec.selector.matchLabels.app", "x", "labels: must match spec.selector"),
    ("Deployment", "spec.selector", {}, "spec.selector: must not be empty"),
    ("Deployment", "spec.minReadySeconds", 1900, "must be greater than minReadySeconds"),
    ("Deployment", "spec.strategy.type", "Recreate", "not allowed with type Recreate"),
    ("Deployment", "spec.strategy.type", "Rolling", "must be one of ['Recreate'"),
    ("Deployment", "spec.strategy.rollingUpdate.maxUnavailable", 0, "0 when maxSurge is 0"),
    ("Deployment", "spec.strategy.rollingUpdate.maxUnavailable", "101%", "above 100%"),
    ("Deployment", "spec.strategy.rollingUpdate.maxSurge", "many", "number of pods or a percent"),
    ("Deployment", f"{POD}.restartPolicy", "Never", "must be Always in a Deployment"),
    ("Deployment", f"{POD}.activeDeadlineSeconds", 1, "not allowed in a Deployment"),
    ("Deployment", f"{POD}.terminationGracePeriodSeconds", -1, "must not be negative"),
    ("Deployment", f"{POD}.dnsPolicy", "Any", "dnsPolicy: must be one of"),
    ("Deployment", f"{POD}.serviceAccountName", "A", "must be a DNS-1123 subdomain"),
    ("Deployment", f"{POD}.runtimeClassName", "", "must be a DNS-1123 subdomain"),
    ("Deployment", f"{POD}.hostUsers", False, "hostUsers: is not checked here"),
    ("Deployment", f"{POD}.containers", [], "containers: required"),
    ("Deployment", f"{POD}.nodeSelector", {"a": "b c"}, "must be a label value"),
    ("Deployment", f"{POD}.tolerations.0.operator", "Has", "operator: must be one of"),
    ("Deployment", f"{POD}.tolerations.0.value", "x", "must be empty with operator Exists"),
    ("Deployment", f"{POD}.tolerations.0.effect", "Never", "effect: must be one of"),
    ("Deployment", f"{POD}.tolerations.0.tolerationSeconds", 5, "NoExecute with toleration"),
    ("Deployment", f"{POD}.tolerations.0", {"effect": "NoSchedule"}, "Exists without a key"),
    ("Deployment", f"{POD}.topologySpreadConstraints.0.maxSkew", 0, "must be at least 1"),
    ("Deployment", f"{POD}.topologySpreadConstraints.0.topologyKey", None, "topologyKey: requir"),
    ("Deployment", f"{POD}.topologySpreadConstraints.0.whenUnsatisfiable", "No", "must be one of"),
    ("Deployment", f"{POD}.topologySpreadConstraints.0.minDomains", 1, "needs DoNotSchedule"),
    ("Deployment", f"{POD}.topologySpreadConstraints.0.matchLabelKeys", ["app"], "not name it"),
    ("Deployment", f"{POD}.securityContext.fsGroup", -1, "must be 0 to"),
    ("Deployment", f"{POD}.securityContext.fsGroupChangePolicy", "Now", "must be one of"),
    ("Deployment", f"{POD}.securityContext.seccompProfile.type", "Mine", "must be one of"),
    ("Deployment", f"{POD}.securityContext.sysctls", [{"name": "A", "value": "1"}], "a sysctl"),
    ("Deployment", f"{POD}.volumes.1.emptyDir.sizeLimit", "2Gb", "must be a quantity"),
    ("Deployment", f"{POD}.volumes.1.emptyDir.sizeLimit", "-1", "must not be negative"),
    ("Deployment", f"{POD}.volumes.1.secret", {"secretName": "s"}, "more than one volume type"),
    ("Deployment", f"{POD}.volumes.1.name", "models", "duplicate"),
    ("Deployment", f"{POD}.volumes.1.name", "a_b", "must be a DNS-1123 label"),
    ("Deployment", f"{POD}.volumes.0.persistentVolumeClaim.claimName", "", "claimName: required"),
    ("Deployment", f"{POD}.volumes.2.configMap.defaultMode", 0o1000, "must be 0 to 0o777"),
    ("Deployment", f"{POD}.volumes.2.configMap.items.0.path", "../a", "must not contain '..'"),
    ("Deployment", f"{POD}.initContainers.0.name", "vllm", "duplicate container name"),
    ("Deployment", f"{POD}.initContainers.0.livenessProbe", {"httpGet": WEB}, "init container"),
    ("Deployment", f"{MAIN}.name", "A", "must be a DNS-1123 label"),
    ("Deployment", f"{MAIN}.image", "", "image: required"),
    ("Deployment", f"{MAIN}.image", "a ", "must not have blanks"),
    ("Deployment", f"{MAIN}.imagePullPolicy", "y", "imagePullPolicy: must be one of"),
    ("Deployment", f"{MAIN}.terminationMessagePolicy", "Log", "must be one of ['File'"),
    ("Deployment", f"{MAIN}.ports.0.containerPort", 99999, "must be a port between 1 and 65535"),
    ("Deployment", f"{MAIN}.ports.0.name", "http_", "must be a port name"),
    ("Deployment", f"{MAIN}.ports.0.name", "a" * 16, "no more than 15 characters"),
    ("Deployment", f"{MAIN}.ports.0.protocol", "tcp", "must be one of ['TCP'"),
    ("Deployment", f"{MAIN}.env.0.name", "1A", "must be an environment variable name"),
    ("Deployment", f"{MAIN}.env.1.name", "HF_HUB_OFFLINE", "duplicate in a list of type map"),
    ("Deployment", f"{MAIN}.env.1.value", "x", "may not be given beside a value"),
    ("Deployment", f"{MAIN}.env.1.valueFrom", {}, "needs exactly one source"),
    ("Deployment", f"{MAIN}.env.1.valueFrom.fieldRef.fieldPath", "spec.x", "must be one of"),
    ("Deployment", f"{MAIN}.env.2.valueFrom.secretKeyRef.key", "a/b", "letters, digits"),
    ("Deployment", f"{MAIN}.envFrom.0", {}, "needs exactly one source"),
    ("Deployment", f"{MAIN}.envFrom.0.secretRef.name", "A", "must be a DNS-1123 subdomain"),
    ("Deployment", f"{MAIN}.resources.requests.memory", "33Gi", "must not be above the limit"),
    ("Deployment", f"{MAIN}.resources.requests.memory", "16GiB", "must be a quantity"),
    ("Deployment", f"{MAIN}.resources.limits.cpu", "-1", "must not be negative"),
    ("Deployment", f"{MAIN}.resources.limits.gpu", 1, "must be a standard resource"),
    ("Deployment", f"{MAIN}.resources.limits|nvidia.com/gpu", 2, "must be equal to the limit"),
    ("Deployment", f"{MAIN}.resources.limits|nvidia.com/gpu", None, "needs a limit"),
    ("Deployment", f"{MAIN}.resources.limits|nvidia.com/gpu", "500m", "must be a whole number"),
    ("Deployment", f"{MAIN}.livenessProbe.successThreshold", 2, "must be 1, is 2"),
    ("Deployment", f"{MAIN}.startupProbe.successThreshold", 2, "must be 1, is 2"),
    ("Deployment", f"{MAIN}.startupProbe.failureThreshold", 0, "must be at least 1, is 0"),
    ("Deployment", f"{MAIN}.readinessProbe.tcpSocket", {"port": 1}, "exactly one handler"),
    ("Deployment", f"{MAIN}.readinessProbe.httpGet", None, "exactly one handler"),
    ("Deployment", f"{MAIN}.readinessProbe.httpGet.port", 0, "must be a port between"),
    ("Deployment", f"{MAIN}.readinessProbe.terminationGracePeriodSeconds", 5, "not for a readin"),
    ("Deployment", f"{MAIN}.lifecycle.preStop.sleep.seconds", 181, "the pod's grace period"),
    ("Deployment", f"{MAIN}.lifecycle.preStop", {}, "exactly one handler"),
    ("Deployment", f"{MAIN}.volumeMounts.0.name", "other", "there is no volume 'other'"),
    ("Deployment", f"{MAIN}.volumeMounts.1.mountPath", "/models", "duplicate"),
    ("Deployment", f"{MAIN}.volumeMounts.0.subPath", "/m", "must be relative"),
    ("Deployment", f"{MAIN}.volumeMounts.0.subPath", "m/../x", "must not contain '..'"),
    ("Deployment", f"{MAIN}.volumeMounts.0.recursiveReadOnly", "Yes", "must be one of"),
    ("Deployment", f"{MAIN}.securityContext.runAsUser", -1, "must be 0 to"),
    ("Deployment", f"{MAIN}.securityContext.privileged", True, "may not be false with privileged"),
    ("Deployment", f"{MAIN}.resizePolicy", [], "resizePolicy: is not checked here"),
    ("Deployment", f"{MAIN}.resources.claims", [{"name": "c"}], "claims: is not checked here"),
    ("Deployment", f"{MAIN}.lifecycle.stopSignal", "SIGTERM", "stopSignal: is not checked here"),
    ("Deployment", f"{MAIN}.restartPolicy", "Sometimes", "restartPolicy: must be one of"),
    (
        "Deployment",
        f"{MAIN}.env.1.valueFrom",
        {"resourceFieldRef": {"resource": "limits.gpu"}},
        "resource: must be one of",
    ),
    ("Deployment", f"{MAIN}.volumeMounts.0.mountPropagation", "Both", "must be one of"),
    ("Deployment", f"{MAIN}.volumeMounts.0.mountPropagation", "Bidirectional", "privileged cont"),
    ("Deployment", f"{MAIN}.volumeMounts.1.recursiveReadOnly", "Enabled", "needs readOnly"),
    (
        "Deployment",
        f"{POD}.initContainers.0.resources",
        {"limits": {"hugepages-2Mi": "2Mi"}},
        "hugepages need cpu or memory",
    ),
    ("Deployment", f"{MAIN}.resources.limits|a b/c", 1, "must be a DNS-1123 subdomain"),
    ("Deployment", f"{MAIN}.resources.limits|requests.a.io/b", 1, "must not start with"),
    ("Deployment", f"{MAIN}.startupProbe.initialDelaySeconds", -1, "must not be negative"),
    ("Deployment", f"{MAIN}.startupProbe.terminationGracePeriodSeconds", 0, "at least 1"),
    ("Deployment", f"{MAIN}.startupProbe", {"exec": {}}, "exec.command: required"),
    ("Deployment", f"{MAIN}.startupProbe", {"tcpSocket": {"port": "a_b"}}, "must be a port name"),
    ("Deployment", f"{MAIN}.startupProbe.httpGet.path", "", "path: must not be empty"),
    ("Deployment", f"{MAIN}.startupProbe.httpGet.scheme", "FTP", "scheme: must be one of"),
    (
        "Deployment",
        f"{MAIN}.startupProbe.httpGet.httpHeaders",
        [{"name": "a b", "value": ""}],
        "must be an HTTP header name",
    ),
    ("Deployment", f"{POD}.securityContext.windowsOptions", {}, "is not checked here"),
    ("Deployment", f"{MAIN}.securityContext.procMount", "Raw", "procMount: must be one of"),
    (
        "Deployment",
        f"{MAIN}.securityContext.seccompProfile",
        {"type": "Localhost"},
        "is for type Localhost, and needed there",
    ),
    (
        "Deployment",
        f"{MAIN}.securityContext.seccompProfile",
        {"type": "RuntimeDefault", "localhostProfile": "p"},
        "is for type Localhost, and needed there",
    ),
    ("Deployment", "metadata.labels.app", "x" * 64, "no more than 63 characters"),
    ("Deployment", "metadata.annotations|a b", "x", "must be a qualified name"),
    ("Deployment", "metadata.annotations.big", "x" * 262144, "at most 262144 are allowed"),
    ("Deployment", "spec.template.metadata.labels.x", "a b", "must be a label value"),
    ("Job", f"{POD}.restartPolicy", "Always", "must be Never or OnFailure in a Job"),
    ("Job", f"{POD}.restartPolicy", "OnFailure", "must be Never with podFailurePolicy"),
    ("Job", "spec.backoffLimit", -1, "must not be negative"),
    ("Job", "spec.selector", {"matchLabels": {"a": "b"}}, "is for Kubernetes to make"),
    ("Job", "spec.completionMode", "Indexed", "completions: needed"),
    ("Job", "spec.podReplacementPolicy", "TerminatingOrFailed", "must be one of ['Failed']"),
    ("Job", "spec.podFailurePolicy.rules.0.action", "Stop", "action: must be one of"),
    ("Job", "spec.podFailurePolicy.rules.0.action", "FailIndex", "needs backoffLimitPerIndex"),
    ("Job", "spec.podFailurePolicy.rules.0.onExitCodes.values", [12, 11], "must be ordered"),
    ("Job", "spec.podFailurePolicy.rules.0.onExitCodes.values", [0], "must not have 0"),
    ("Job", "spec.podFailurePolicy.rules.0.onExitCodes.containerName", "x", "no container 'x'"),
    ("Job", "spec.podFailurePolicy.rules.1.onPodConditions", None, "needs exactly one of"),
    ("Job", "metadata.name", "m" * 64, "no more than 63 characters"),
    ("PodDisruptionBudget", "spec.minAvailable", 1, "exclude each other"),
    ("PodDisruptionBudget", "spec.maxUnavailable", "101%", "must not be above 100%"),
    ("PodDisruptionBudget", "spec.maxUnavailable", -1, "not negative"),
    ("PodDisruptionBudget", "spec.unhealthyPodEvictionPolicy", "Always", "must be one of"),
    ("NetworkPolicy", "spec.policyTypes.0", "Inbound", "must be one of ['Ingress'"),
    ("NetworkPolicy", "spec.ingress.0.ports.0.port", 0, "must be a port between"),
    ("NetworkPolicy", "spec.ingress.0.ports.0.protocol", "ANY", "must be one of ['TCP'"),
    ("NetworkPolicy", "spec.ingress.0.from.0", {}, "needs a podSelector"),
    ("NetworkPolicy", "spec.egress.0.to.0.podSelector", {}, "ipBlock excludes other peers"),
    ("NetworkPolicy", "spec.egress.0.to.0.ipBlock.cidr", "10.0.0.1", "must be a CIDR"),
    ("NetworkPolicy", "spec.egress.0.to.0.ipBlock.except.0", "::/8", "must be a strict part"),
    ("NetworkPolicy", "spec.egress.0.ports.1.endPort", 442, "must not be below port"),
    ("NetworkPolicy", "spec.egress.0.ports.1.port", "https", "needs a numeric port"),
    ("Service", "metadata.name", "1m", "must be a DNS-1035 label"),
    ("Service", "metadata.name", "m.x", "must be a DNS-1035 label"),
    ("Service", "spec.ports", [], "spec.ports: required"),
    ("Service", "spec.ports.0.port", 70000, "must be a port between"),
    ("Service", "spec.ports.0.targetPort", "http--x", "twice in a row"),
    ("Service", "spec.ports.0.nodePort", 30000, "not allowed with type ClusterIP"),
    ("Service", "spec.ports.0.appProtocol", "a b", "must be a qualified name"),
    ("Service", "spec.type", "Headless", "spec.type: must be one of"),
    ("Service", "spec.clusterIP", "10.0.0.1", "must be None or left to the server"),
    ("Service", "spec.sessionAffinity", "Cookie", "must be one of ['ClientIP'"),
    ("Service", "spec.loadBalancerIP", "10.0.0.1", "is not checked here"),
    ("ServiceAccount", "automountServiceAccountToken", "false", "must be boolean, is string"),
    ("ServiceAccount", "metadata.name", "M", "must be a DNS-1123 subdomain"),
    ("ServiceAccount", "metadata.finalizers", ["mine"], "must have a domain"),
    ("Secret", "data.token", "***", "must be base64"),
    ("Secret", "stringData|a/b", "x", "letters, digits"),
    ("Secret", "type", "kubernetes.io/tls", "data[tls.crt]: needed by type"),
    ("Secret", "stringData.big", "x" * 2**20, "at most 1048576 are allowed"),
    ("ConfigMap", "data.a", 1, "must be string, is integer"),
    ("ConfigMap", "data.b", "x", "is in binaryData as well"),
    ("ConfigMap", "data|..", "x", "must not be or start with dots"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_accepts_the_small_object_of_each_kind(kind: str) -> None:
    assert schemas.validate(samples.minimal(kind)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_two_known_bad_mutations(kind: str) -> None:
    assert sum(kind == mutated for mutated, *_ in MUTATIONS) >= 2


@pytest.mark.parametrize(("kind", "path", "value", "message"), MUTATIONS)
def test_refuses(kind: str, path: str, value: object, message: str) -> None:
    problems = schemas.validate(samples.put(samples.minimal(kind), path, value))
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", "spec.strategy", {"type": "Recreate"}),
        ("Deployment", "spec.strategy", {}),
        ("Deployment", f"{MAIN}.resources.requests|nvidia.com/gpu", None),
        ("Deployment", f"{MAIN}.readinessProbe.successThreshold", 2),
        ("Deployment", f"{POD}.tolerations.0", {"operator": "Exists"}),
        ("Deployment", f"{POD}.initContainers.0.restartPolicy", "Always"),
        ("Deployment", f"{MAIN}.securityContext", {"privileged": True}),
        ("Deployment", f"{MAIN}.volumeMounts.0.recursiveReadOnly", "Enabled"),
        ("Deployment", f"{MAIN}.startupProbe", {"grpc": {"port": 9003}}),
        ("Job", f"{POD}.activeDeadlineSeconds", 60),
        ("Service", "spec.clusterIP", "None"),
        ("NetworkPolicy", "spec.ingress", [{}]),
        ("PodDisruptionBudget", "spec.maxUnavailable", "50%"),
    ],
)
def test_accepts(kind: str, path: str, value: object) -> None:
    assert schemas.validate(samples.put(samples.minimal(kind), path, value)) == []


def test_a_headless_service_needs_no_ports() -> None:
    service = samples.put(samples.minimal("Service"), "spec.clusterIP", "None")
    assert schemas.validate(samples.put(service, "spec.ports", None)) == []


def test_several_ports_need_names() -> None:
    service = samples.put(samples.minimal("Service"), "spec.ports", [{"port": 1}, {"port": 2}])
    assert schemas.validate(service) == [
        "spec.ports[0].name: needed where there are several ports",
        "spec.ports[1].name: needed where there are several ports",
    ]


def test_the_same_port_twice_is_refused() -> None:
    ports = [{"name": "a", "port": 1}, {"name": "b", "port": 1}]
    service = samples.put(samples.minimal("Service"), "spec.ports", ports)
    # The list type is of port and protocol, so server-side apply refuses it as well.
    assert [problem.partition(": ")[0] for problem in schemas.validate(service)] == [
        "spec.ports[1]",
        "spec.ports[1].port",
    ]


@pytest.mark.parametrize(
    ("kind", "path", "value", "immutable"),
    [
        ("Deployment", "spec.selector.matchLabels|part-of", "ai", "spec.selector"),
        ("Job", f"{MAIN}.image", "preload:2", "spec.template"),
        ("Secret", "type", "example.com/other", "type"),
        ("Service", "spec.clusterIP", "None", "spec.clusterIP"),
    ],
)
def test_refuses_a_change_of_an_immutable_field(
    kind: str, path: str, value: object, immutable: str
) -> None:
    old = samples.minimal(kind)
    new = samples.put(samples.minimal(kind), path, value)
    assert schemas.validate(new) == []
    assert schemas.validate_update(old, new) == [f"{immutable}: is immutable"]
    assert schemas.validate_update(old, old) == []
