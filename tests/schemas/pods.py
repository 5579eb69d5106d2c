"""Checks of pod templates that Kubernetes has in code and not in its schemas.

Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`, `ValidatePodTemplateSpec` and what
it calls, for Linux pods. What is not checked here is refused, see `containers`.
"""

import ipaddress
import re
import typing
from collections import abc

from tests.schemas import containers, finding, formats, names

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = list[finding.Finding]

_UNCHECKED = (
    "hostUsers",
    "hostnameOverride",
    "os",
    "overhead",
    "resourceClaims",
    "resources",
    "schedulingGroup",
    "serviceAccount",
)
_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "hostPath",
    "nfs",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_SYSCTL = re.compile("([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_DEFAULT_GRACE_SECONDS = 30
_MODE_LIMIT = 0o777
# A weight is given to each preferred term of an affinity.
_WEIGHT_LIMIT = 100
_ACTIVE_DEADLINE_LIMIT = 2**31 - 1


def template(value: Object, path: str, out: Findings) -> None:
    """Check a pod template."""
    metadata = value.get("metadata", {})
    names.labels(metadata.get("labels", {}), f"{path}.metadata.labels", out)
    names.annotations(metadata.get("annotations", {}), f"{path}.metadata.annotations", out)
    if value.get("spec", {}).get("ephemeralContainers"):
        containers.fail(out, f"{path}.spec.ephemeralContainers", "not allowed in a pod template")
    spec(value.get("spec", {}), f"{path}.spec", out)


def spec(value: Object, path: str, out: Findings) -> None:
    """Check a pod spec."""
    grace = value.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)
    if grace < 0:
        containers.fail(out, f"{path}.terminationGracePeriodSeconds", "must not be negative")
    volumes = _volumes(value.get("volumes", ()), f"{path}.volumes", out)
    _containers(value, containers.Pod(volumes, grace), path, out)
    containers.unchecked(value, _UNCHECKED, path, out)
    _simple_fields(value, path, out)
    _lists_of_names(value, path, out)
    names.labels(value.get("nodeSelector", {}), f"{path}.nodeSelector", out)
    _security_context(value, f"{path}.securityContext", out)
    _host_network(value, path, out)
    _tolerations(value.get("tolerations", ()), f"{path}.tolerations", out)
    _spread(value.get("topologySpreadConstraints", ()), f"{path}.topologySpreadConstraints", out)
    _affinity(value.get("affinity", {}), f"{path}.affinity", out)
    _dns(value, path, out)


def _containers(value: Object, pod: containers.Pod, path: str, out: Findings) -> None:
    if not value.get("containers"):
        containers.fail(out, f"{path}.containers", "required")
    seen: set[str] = set()
    for key in ("containers", "initContainers"):
        for index, container in enumerate(value.get(key, ())):
            where = f"{path}.{key}[{index}]"
            containers.check(container, pod, where, out, init=key == "initContainers")
            name = container.get("name", "")
            if name in seen:
                containers.fail(out, f"{where}.name", f"duplicate container name {name!r}")
            seen.add(name)
    for index, secret in enumerate(value.get("imagePullSecrets", ())):
        where = f"{path}.imagePullSecrets[{index}].name"
        names.add(out, where, names.dns_subdomain(secret.get("name", "")))


def _simple_fields(value: Object, path: str, out: Findings) -> None:
    """Check fields that stand alone: enums, names and ranges."""
    restart = value.get("restartPolicy", "Always")
    containers.one_of(restart, ("Always", "OnFailure", "Never"), f"{path}.restartPolicy", out)
    policies = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    containers.one_of(value.get("dnsPolicy", "ClusterFirst"), policies, f"{path}.dnsPolicy", out)
    policy = value.get("preemptionPolicy", "PreemptLowerPriority")
    allowed = ("PreemptLowerPriority", "Never")
    containers.one_of(policy, allowed, f"{path}.preemptionPolicy", out)
    for key, check in (
        ("serviceAccountName", names.dns_subdomain),
        ("nodeName", names.dns_subdomain),
        ("priorityClassName", names.dns_subdomain),
        ("runtimeClassName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
    ):
        if key in value:
            names.add(out, f"{path}.{key}", check(value[key]))
    deadline = value.get("activeDeadlineSeconds", 1)
    if not 1 <= deadline <= _ACTIVE_DEADLINE_LIMIT:
        message = f"must be 1 to {_ACTIVE_DEADLINE_LIMIT}, is {deadline}"
        containers.fail(out, f"{path}.activeDeadlineSeconds", message)


def _lists_of_names(value: Object, path: str, out: Findings) -> None:
    for index, gate in enumerate(value.get("readinessGates", ())):
        where = f"{path}.readinessGates[{index}].conditionType"
        names.add(out, where, names.qualified_name(gate.get("conditionType", "")))
    for index, gate in enumerate(value.get("schedulingGates", ())):
        where = f"{path}.schedulingGates[{index}].name"
        names.add(out, where, names.qualified_name(gate.get("name", "")))
    for index, alias in enumerate(value.get("hostAliases", ())):
        where = f"{path}.hostAliases[{index}]"
        _address(alias.get("ip", ""), f"{where}.ip", out)
        for host in alias.get("hostnames", ()):
            names.add(out, f"{where}.hostnames", names.dns_subdomain(host))


def _address(text: str, path: str, out: Findings) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        containers.fail(out, path, f"must be an IP address, is {text!r}")


def _security_context(value: Object, path: str, out: Findings) -> None:
    context = value.get("securityContext", {})
    containers.security_context(context, path, out)
    policy = context.get("fsGroupChangePolicy", "Always")
    containers.one_of(policy, ("Always", "OnRootMismatch"), f"{path}.fsGroupChangePolicy", out)
    groups = context.get("supplementalGroupsPolicy", "Merge")
    containers.one_of(groups, ("Merge", "Strict"), f"{path}.supplementalGroupsPolicy", out)
    change = context.get("seLinuxChangePolicy", "Recursive")
    containers.one_of(change, ("Recursive",), f"{path}.seLinuxChangePolicy", out)
    _sysctls(value, path, out)
    for index, group in enumerate(context.get("supplementalGroups", ())):
        if group < 0:
            containers.fail(out, f"{path}.supplementalGroups[{index}]", "must not be negative")
    if value.get("shareProcessNamespace") and value.get("hostPID"):
        containers.fail(out, path, "shareProcessNamespace and hostPID exclude each other")


def _sysctls(value: Object, path: str, out: Findings) -> None:
    seen: set[str] = set()
    for index, item in enumerate(value.get("securityContext", {}).get("sysctls", ())):
        where = f"{path}.sysctls[{index}].name"
        name = item.get("name", "")
        if len(name) > 253 or not _SYSCTL.fullmatch(name):
            containers.fail(out, where, f"must be a sysctl name, is {name!r}")
        if name in seen:
            containers.fail(out, where, f"duplicate sysctl {name!r}")
        seen.add(name)


def _host_network(value: Object, path: str, out: Findings) -> None:
    """Ports of a pod on the host's network are the host's."""
    if not value.get("hostNetwork"):
        return
    for index, container in enumerate(value.get("containers", ())):
        for port_index, port in enumerate(container.get("ports", ())):
            if port.get("hostPort") and port["hostPort"] != port.get("containerPort"):
                where = f"{path}.containers[{index}].ports[{port_index}].hostPort"
                containers.fail(out, where, "must be the containerPort on the host's network")


def _volumes(volumes: abc.Sequence[Object], path: str, out: Findings) -> frozenset[str]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        name = volume.get("name", "")
        names.add(out, f"{where}.name", names.dns_label(name))
        if name in seen:
            containers.fail(out, f"{where}.name", f"duplicate volume name {name!r}")
        seen.add(name)
        kinds = sorted(set(volume) - {"name"})
        if len(kinds) > 1:
            containers.fail(out, where, f"may not have more than one volume type: {kinds}")
        containers.unchecked(volume, sorted(set(kinds) - set(_VOLUMES)), where, out)
        for kind in kinds:
            _volume_source(kind, volume[kind], f"{where}.{kind}", out)
    return frozenset(seen)


def _volume_source(kind: str, source: Object, path: str, out: Findings) -> None:
    match kind:
        case "emptyDir":
            limit = formats.quantity(source.get("sizeLimit", "0"))
            if limit is not None and limit < 0:
                containers.fail(out, f"{path}.sizeLimit", "must not be negative")
        case "persistentVolumeClaim":
            _needed(source, "claimName", path, out)
        case "secret":
            _needed(source, "secretName", path, out)
            _files(source, path, out)
        case "configMap":
            _needed(source, "name", path, out)
            _files(source, path, out)
        case "downwardAPI":
            _files(source, path, out)
        case "projected":
            _projected(source, path, out)
        case "csi":
            _needed(source, "driver", path, out)
        case "hostPath" | "nfs":
            _needed(source, "path", path, out)


def _projected(source: Object, path: str, out: Findings) -> None:
    for index, projection in enumerate(source.get("sources", ())):
        where = f"{path}.sources[{index}]"
        if len(projection) != 1:
            message = f"needs exactly one kind of source, has {sorted(projection)}"
            containers.fail(out, where, message)
        token = projection.get("serviceAccountToken", {})
        # An hour at least is usual; ten minutes is the floor of the token request.
        if token and token.get("expirationSeconds", 3600) < 600:
            message = "must be at least 600"
            containers.fail(out, f"{where}.serviceAccountToken.expirationSeconds", message)
        for kind in ("secret", "configMap"):
            if kind in projection:
                _needed(projection[kind], "name", f"{where}.{kind}", out)
                _files(projection[kind], f"{where}.{kind}", out)
    _mode(source, "defaultMode", path, out)


def _needed(source: Object, key: str, path: str, out: Findings) -> None:
    if not source.get(key):
        containers.fail(out, f"{path}.{key}", "required")


def _files(source: Object, path: str, out: Findings) -> None:
    _mode(source, "defaultMode", path, out)
    for index, item in enumerate(source.get("items", ())):
        where = f"{path}.items[{index}]"
        _needed(item, "path", where, out)
        if "fieldRef" not in item and "resourceFieldRef" not in item:
            _needed(item, "key", where, out)
        containers.descending_path(item.get("path", ""), f"{where}.path", out)
        _mode(item, "mode", where, out)


def _mode(source: Object, key: str, path: str, out: Findings) -> None:
    if not 0 <= source.get(key, 0) <= _MODE_LIMIT:
        containers.fail(out, f"{path}.{key}", f"must be 0 to {_MODE_LIMIT:#o}, is {source[key]}")


def _tolerations(tolerations: abc.Sequence[Object], path: str, out: Findings) -> None:
    for index, toleration in enumerate(tolerations):
        where = f"{path}[{index}]"
        operator = toleration.get("operator") or "Equal"
        key = toleration.get("key", "")
        containers.one_of(operator, ("Equal", "Exists"), f"{where}.operator", out)
        if key:
            names.add(out, f"{where}.key", names.qualified_name(key))
        elif operator != "Exists":
            containers.fail(out, f"{where}.operator", "must be Exists without a key")
        if operator == "Exists" and toleration.get("value"):
            containers.fail(out, f"{where}.value", "must be empty with operator Exists")
        if operator == "Equal":
            names.add(out, f"{where}.value", names.label_value(toleration.get("value", "")))
        effect = toleration.get("effect", "")
        if effect:
            containers.one_of(effect, _EFFECTS, f"{where}.effect", out)
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            containers.fail(out, f"{where}.effect", "must be NoExecute with tolerationSeconds")


def _spread(constraints: abc.Sequence[Object], path: str, out: Findings) -> None:
    for index, constraint in enumerate(constraints):
        where = f"{path}[{index}]"
        if constraint.get("maxSkew", 0) < 1:
            containers.fail(out, f"{where}.maxSkew", "must be at least 1")
        _needed(constraint, "topologyKey", where, out)
        action = constraint.get("whenUnsatisfiable")
        allowed = ("DoNotSchedule", "ScheduleAnyway")
        containers.one_of(action, allowed, f"{where}.whenUnsatisfiable", out)
        if "minDomains" in constraint:
            if constraint["minDomains"] < 1:
                containers.fail(out, f"{where}.minDomains", "must be at least 1")
            if action != "DoNotSchedule":
                containers.fail(out, f"{where}.minDomains", "needs DoNotSchedule")
        for key in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            allowed = ("Ignore", "Honor")
            containers.one_of(constraint.get(key, "Honor"), allowed, f"{where}.{key}", out)
        names.selector(constraint.get("labelSelector", {}), f"{where}.labelSelector", out)
        _match_label_keys(constraint, where, out)


def _match_label_keys(term: Object, path: str, out: Findings) -> None:
    """Label keys taken from the pod, which the selector then must not name as well."""
    selector = term.get("labelSelector", {})
    named = {*selector.get("matchLabels", {})}
    named |= {item["key"] for item in selector.get("matchExpressions", ())}
    for index, key in enumerate(term.get("matchLabelKeys", ())):
        where = f"{path}.matchLabelKeys[{index}]"
        names.add(out, where, names.qualified_name(key))
        if key in named or "labelSelector" not in term:
            containers.fail(out, where, "needs a labelSelector that does not name it")


def _affinity(affinity: Object, path: str, out: Findings) -> None:
    node = affinity.get("nodeAffinity", {})
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    where = f"{path}.nodeAffinity"
    if required is not None:
        terms = required.get("nodeSelectorTerms", ())
        below = f"{where}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not terms:
            containers.fail(out, below, "must have at least one term")
        for index, term in enumerate(terms):
            _node_term(term, f"{below}[{index}]", out)
    preferred = node.get("preferredDuringSchedulingIgnoredDuringExecution", ())
    for index, item in enumerate(preferred):
        below = f"{where}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        _weight(item, below, out)
        _node_term(item.get("preference", {}), f"{below}.preference", out)
    for kind in ("podAffinity", "podAntiAffinity"):
        _pod_affinity(affinity.get(kind, {}), f"{path}.{kind}", out)


def _weight(item: Object, path: str, out: Findings) -> None:
    if not 1 <= item.get("weight", 0) <= _WEIGHT_LIMIT:
        containers.fail(out, f"{path}.weight", f"must be 1 to {_WEIGHT_LIMIT}")


def _node_term(term: Object, path: str, out: Findings) -> None:
    for key in ("matchExpressions", "matchFields"):
        for index, item in enumerate(term.get(key, ())):
            where = f"{path}.{key}[{index}]"
            operator = item.get("operator")
            values = item.get("values", ())
            containers.one_of(operator, _NODE_OPERATORS, f"{where}.operator", out)
            if operator in ("In", "NotIn") and not values:
                containers.fail(out, f"{where}.values", f"operator {operator} needs values")
            if operator in ("Exists", "DoesNotExist") and values:
                containers.fail(out, f"{where}.values", f"operator {operator} takes no values")
            if operator in ("Gt", "Lt") and len(values) != 1:
                containers.fail(out, f"{where}.values", f"operator {operator} needs one value")
            if key == "matchExpressions":
                names.add(out, f"{where}.key", names.qualified_name(item.get("key", "")))
                for text in values:
                    names.add(out, f"{where}.values", names.label_value(text))


def _pod_affinity(affinity: Object, path: str, out: Findings) -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    for index, term in enumerate(affinity.get(required, ())):
        _pod_term(term, f"{path}.{required}[{index}]", out)
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    for index, item in enumerate(affinity.get(preferred, ())):
        where = f"{path}.{preferred}[{index}]"
        _weight(item, where, out)
        _pod_term(item.get("podAffinityTerm", {}), f"{where}.podAffinityTerm", out)


def _pod_term(term: Object, path: str, out: Findings) -> None:
    containers.unchecked(term, ("matchLabelKeys", "mismatchLabelKeys"), path, out)
    _needed(term, "topologyKey", path, out)
    if term.get("topologyKey"):
        names.add(out, f"{path}.topologyKey", names.qualified_name(term["topologyKey"]))
    for key in ("labelSelector", "namespaceSelector"):
        names.selector(term.get(key, {}), f"{path}.{key}", out)
    for namespace in term.get("namespaces", ()):
        names.add(out, f"{path}.namespaces", names.dns_label(namespace))


def _dns(value: Object, path: str, out: Findings) -> None:
    config = value.get("dnsConfig", {})
    containers.unchecked(config, ("searches",), f"{path}.dnsConfig", out)
    servers = config.get("nameservers", ())
    if value.get("dnsPolicy") == "None" and not servers:
        containers.fail(out, f"{path}.dnsConfig.nameservers", "needed with dnsPolicy None")
    # The resolver of the C library reads three.
    if len(servers) > 3:
        containers.fail(out, f"{path}.dnsConfig.nameservers", "must have at most 3")
    for index, option in enumerate(config.get("options", ())):
        _needed(option, "name", f"{path}.dnsConfig.options[{index}]", out)
    for index, server in enumerate(servers):
        _address(server, f"{path}.dnsConfig.nameservers[{index}]", out)
