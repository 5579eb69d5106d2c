"""Checks of containers that Kubernetes has in code and not in its schemas.

Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`. Stricter where the server takes
what this product must not emit: zero for a probe's period, timeout or threshold and an empty text
for an enum (the server puts a default there, so the object would differ for ever), environment
variables that occur twice (server-side apply refuses the second), image names with blanks around
them (refused only once the pod is made). A field that Kubernetes checks in code and nothing here
does is a finding, so that an accepted object was checked in full.
"""

import decimal
import typing
from collections import abc

from tests.schemas import finding, formats, names

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = list[finding.Finding]

_UNCHECKED = ("volumeDevices", "resizePolicy", "restartPolicyRules")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROTOCOLS = ("TCP", "UDP", "SCTP")
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_RESOURCE_FIELDS = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in _STANDARD_RESOURCES
)
_PROBE_NUMBERS = ("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_SECCOMP_TYPES = ("RuntimeDefault", "Unconfined", "Localhost")
_ID_LIMIT = 2**31 - 1


class Pod(typing.NamedTuple):
    """What a container needs to know of its pod.

    Attributes:
        volumes: names of the pod's volumes.
        grace_seconds: `terminationGracePeriodSeconds`.
    """

    volumes: frozenset[str]
    grace_seconds: int


def fail(out: Findings, path: str, message: str) -> None:
    """Append one finding."""
    out.append(finding.Finding(path, message))


def one_of(value: object, allowed: abc.Sequence[str], path: str, out: Findings) -> None:
    """Check a value against a closed list that the schema does not have."""
    if value not in allowed:
        fail(out, path, f"must be one of {list(allowed)}, is {value!r}")


def unchecked(value: Object, fields: abc.Iterable[str], path: str, out: Findings) -> None:
    """Refuse fields that nothing here checks, rather than pass them unseen."""
    for key in fields:
        if key in value:
            fail(out, f"{path}.{key}", "is not checked here")


def check(container: Object, pod: Pod, path: str, out: Findings, *, init: bool) -> None:
    """Check one container.

    Args:
        container: the container.
        pod: what the container needs to know of its pod.
        path: where it is.
        out: takes the findings.
        init: it is an init container, which has no probes unless it is a sidecar.
    """
    unchecked(container, _UNCHECKED, path, out)
    unchecked(container.get("resources", {}), ("claims",), f"{path}.resources", out)
    unchecked(container.get("lifecycle", {}), ("stopSignal",), f"{path}.lifecycle", out)
    names.add(out, f"{path}.name", names.dns_label(container.get("name", "")))
    _image(container, path, out)
    policy = container.get("terminationMessagePolicy", "File")
    one_of(policy, _MESSAGE_POLICIES, f"{path}.terminationMessagePolicy", out)
    _ports(container.get("ports", ()), f"{path}.ports", out)
    _env(container.get("env", ()), f"{path}.env", out)
    _env_from(container.get("envFrom", ()), f"{path}.envFrom", out)
    _mounts(container, pod, f"{path}.volumeMounts", out)
    resources(container.get("resources", {}), f"{path}.resources", out)
    security_context(container.get("securityContext", {}), f"{path}.securityContext", out)
    restart = container.get("restartPolicy")
    if restart is not None:
        one_of(restart, ("Always", "OnFailure", "Never"), f"{path}.restartPolicy", out)
    _life(container, pod, path, out, forbidden=init and restart != "Always")


def _image(container: Object, path: str, out: Findings) -> None:
    image = container.get("image", "")
    if not image:
        fail(out, f"{path}.image", "required")
    elif image != image.strip():
        fail(out, f"{path}.image", "must not have blanks around it")
    policy = container.get("imagePullPolicy", "IfNotPresent")
    one_of(policy, _PULL_POLICIES, f"{path}.imagePullPolicy", out)


def _ports(ports: abc.Sequence[Object], path: str, out: Findings) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        names.add(out, f"{where}.containerPort", names.port_number(port.get("containerPort", 0)))
        if port.get("hostPort"):
            names.add(out, f"{where}.hostPort", names.port_number(port["hostPort"]))
        one_of(port.get("protocol", "TCP"), PROTOCOLS, f"{where}.protocol", out)
        name = port.get("name")
        if name:
            names.add(out, f"{where}.name", names.port_name(name))
            if name in seen:
                fail(out, f"{where}.name", f"duplicate port name {name!r}")
            seen.add(name)


def _env(variables: abc.Sequence[Object], path: str, out: Findings) -> None:
    for index, variable in enumerate(variables):
        where = f"{path}[{index}]"
        unchecked(variable.get("valueFrom", {}), ("fileKeyRef",), f"{where}.valueFrom", out)
        names.add(out, f"{where}.name", names.env_name(variable.get("name", "")))
        if "valueFrom" not in variable:
            continue
        source = variable["valueFrom"]
        given = [name for name in _ENV_SOURCES if name in source]
        if len(given) != 1:
            fail(out, f"{where}.valueFrom", f"needs exactly one source, has {given}")
        if variable.get("value"):
            fail(out, f"{where}.valueFrom", "may not be given beside a value")
        _env_source(source, f"{where}.valueFrom", out)


def _env_source(source: Object, path: str, out: Findings) -> None:
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in source:
            names.add(out, f"{path}.{name}.name", names.dns_subdomain(source[name].get("name", "")))
            names.add(out, f"{path}.{name}.key", names.data_key(source[name].get("key", "")))
    if "fieldRef" in source:
        one_of(
            source["fieldRef"].get("apiVersion", "v1"), ("v1",), f"{path}.fieldRef.apiVersion", out
        )
        field = source["fieldRef"].get("fieldPath", "")
        subscript = field.startswith(("metadata.labels['", "metadata.annotations['"))
        if not (subscript and field.endswith("']")):
            one_of(field, _ENV_FIELDS, f"{path}.fieldRef.fieldPath", out)
    if "resourceFieldRef" in source:
        resource = source["resourceFieldRef"].get("resource", "")
        if not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
            one_of(resource, _RESOURCE_FIELDS, f"{path}.resourceFieldRef.resource", out)


def _env_from(sources: abc.Sequence[Object], path: str, out: Findings) -> None:
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        given = [name for name in ("configMapRef", "secretRef") if name in source]
        if len(given) != 1:
            fail(out, where, f"needs exactly one source, has {given}")
        for name in given:
            message = names.dns_subdomain(source[name].get("name", ""))
            names.add(out, f"{where}.{name}.name", message)
        if source.get("prefix"):
            names.add(out, f"{where}.prefix", names.env_name(source["prefix"]))


def _mounts(container: Object, pod: Pod, path: str, out: Findings) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts", ())):
        where = f"{path}[{index}]"
        if mount.get("name") not in pod.volumes:
            fail(out, f"{where}.name", f"there is no volume {mount.get('name')!r}")
        mount_path = mount.get("mountPath", "")
        if not mount_path:
            fail(out, f"{where}.mountPath", "required")
        if mount_path in seen:
            fail(out, f"{where}.mountPath", f"duplicate mount path {mount_path!r}")
        seen.add(mount_path)
        for key in ("subPath", "subPathExpr"):
            descending_path(mount.get(key, ""), f"{where}.{key}", out)
        if mount.get("subPath") and mount.get("subPathExpr"):
            fail(out, f"{where}.subPathExpr", "may not be given beside subPath")
        _propagation(container, mount, where, out)


def _propagation(container: Object, mount: Object, path: str, out: Findings) -> None:
    propagation = mount.get("mountPropagation", "None")
    allowed = ("Bidirectional", "HostToContainer", "None")
    one_of(propagation, allowed, f"{path}.mountPropagation", out)
    privileged = container.get("securityContext", {}).get("privileged")
    if propagation == "Bidirectional" and not privileged:
        fail(out, f"{path}.mountPropagation", "Bidirectional needs a privileged container")
    recursive = mount.get("recursiveReadOnly", "Disabled")
    allowed = ("Disabled", "IfPossible", "Enabled")
    one_of(recursive, allowed, f"{path}.recursiveReadOnly", out)
    if recursive != "Disabled" and not (mount.get("readOnly") and propagation == "None"):
        fail(out, f"{path}.recursiveReadOnly", "needs readOnly and no mount propagation")


def descending_path(text: str, path: str, out: Findings) -> None:
    """Check that a path is relative and does not climb."""
    if text.startswith("/"):
        fail(out, path, f"must be relative, is {text!r}")
    if ".." in text.split("/"):
        fail(out, path, f"must not contain '..', is {text!r}")


def resources(value: Object, path: str, out: Findings) -> None:
    """Check requests and limits of a container."""
    for kind in ("limits", "requests"):
        for name, text in value.get(kind, {}).items():
            where = f"{path}.{kind}[{name}]"
            _resource_name(name, where, out)
            amount = formats.quantity(text)
            if amount is None or amount < 0:
                fail(out, where, f"must not be negative, is {text!r}")
            elif is_extended(name) and amount != amount.to_integral_value():
                fail(out, where, f"must be a whole number, is {text!r}")
    limits = value.get("limits", {})
    for name, text in value.get("requests", {}).items():
        _request(name, text, limits, f"{path}.requests[{name}]", out)
    _huge_pages(value, path, out)


def _huge_pages(value: Object, path: str, out: Findings) -> None:
    given = {*value.get("limits", ()), *value.get("requests", ())}
    if any(name.startswith("hugepages-") for name in given) and not given & {"cpu", "memory"}:
        fail(out, path, "hugepages need cpu or memory")


def is_extended(name: str) -> bool:
    """Whether a resource is an extended one, such as nvidia.com/gpu."""
    return "/" in name and "kubernetes.io/" not in name


def _resource_name(name: str, path: str, out: Findings) -> None:
    names.add(out, path, names.qualified_name(name))
    if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        fail(out, path, f"must be a standard resource or have a domain: {name!r}")
    if is_extended(name):
        if name.startswith("requests."):
            fail(out, path, f"must not start with 'requests.': {name!r}")
        # Quota counts it under this name, which must then fit as well.
        names.add(out, path, names.qualified_name(f"requests.{name}"))


def _request(name: str, text: object, limits: Object, path: str, out: Findings) -> None:
    """Check a request against its limit; extended resources cannot be overcommitted."""
    request = formats.quantity(text) or decimal.Decimal(0)
    rigid = is_extended(name) or name.startswith("hugepages-")
    if name not in limits:
        if rigid:
            fail(out, path, "needs a limit of the same amount")
        return
    limit = formats.quantity(limits[name]) or decimal.Decimal(0)
    if rigid and request != limit:
        fail(out, path, f"must be equal to the limit {limits[name]!r}, is {text!r}")
    elif request > limit:
        fail(out, path, f"must not be above the limit {limits[name]!r}, is {text!r}")


def _life(container: Object, pod: Pod, path: str, out: Findings, *, forbidden: bool) -> None:
    """Check probes and lifecycle hooks."""
    for key in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        if key not in container:
            continue
        where = f"{path}.{key}"
        if forbidden:
            fail(out, where, "not for an init container without restartPolicy Always")
        elif key == "lifecycle":
            for hook in ("postStart", "preStop"):
                if hook in container[key]:
                    _handler(container[key][hook], pod, f"{where}.{hook}", out)
        else:
            _probe(key, container[key], pod, where, out)


def _probe(kind: str, probe: Object, pod: Pod, path: str, out: Findings) -> None:
    _handler(probe, pod, path, out)
    for key in _PROBE_NUMBERS:
        if key in probe and probe[key] < 1:
            fail(out, f"{path}.{key}", f"must be at least 1, is {probe[key]}")
    if probe.get("initialDelaySeconds", 0) < 0:
        fail(out, f"{path}.initialDelaySeconds", "must not be negative")
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        fail(out, f"{path}.successThreshold", f"must be 1, is {probe['successThreshold']}")
    if "terminationGracePeriodSeconds" in probe:
        where = f"{path}.terminationGracePeriodSeconds"
        if kind == "readinessProbe":
            fail(out, where, "not for a readinessProbe")
        elif probe["terminationGracePeriodSeconds"] < 1:
            fail(out, where, "must be at least 1")


def _handler(handler: Object, pod: Pod, path: str, out: Findings) -> None:
    given = [name for name in _HANDLERS if name in handler]
    if len(given) != 1:
        fail(out, path, f"needs exactly one handler, has {given}")
    if "exec" in handler and not handler["exec"].get("command"):
        fail(out, f"{path}.exec.command", "required")
    if "httpGet" in handler:
        _http_get(handler["httpGet"], f"{path}.httpGet", out)
    for name in ("tcpSocket", "grpc"):
        if name in handler:
            names.add(out, f"{path}.{name}.port", names.port(handler[name].get("port", 0)))
    if "sleep" in handler and not 0 <= handler["sleep"].get("seconds", 0) <= pod.grace_seconds:
        fail(out, f"{path}.sleep", f"must be 0 to {pod.grace_seconds}, the pod's grace period")


def _http_get(action: Object, path: str, out: Findings) -> None:
    names.add(out, f"{path}.port", names.port(action.get("port", 0)))
    if action.get("path") == "":
        fail(out, f"{path}.path", "must not be empty")
    one_of(action.get("scheme", "HTTP"), ("HTTP", "HTTPS"), f"{path}.scheme", out)
    for index, header in enumerate(action.get("httpHeaders", ())):
        messages = names.header_name(header.get("name", ""))
        names.add(out, f"{path}.httpHeaders[{index}].name", messages)


def security_context(context: Object, path: str, out: Findings) -> None:
    """Check the security settings that a container and a pod share, and a container's own."""
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        if key in context and not 0 <= context[key] <= _ID_LIMIT:
            fail(out, f"{path}.{key}", f"must be 0 to {_ID_LIMIT}, is {context[key]}")
    unchecked(context, ("windowsOptions",), path, out)
    for key in ("seccompProfile", "appArmorProfile"):
        if key in context:
            _profile(context[key], f"{path}.{key}", out)
    if "procMount" in context:
        one_of(context["procMount"], ("Default", "Unmasked"), f"{path}.procMount", out)
    if context.get("allowPrivilegeEscalation") is False:
        added = context.get("capabilities", {}).get("add", ())
        if context.get("privileged") or "CAP_SYS_ADMIN" in added:
            message = "may not be false with privileged or CAP_SYS_ADMIN"
            fail(out, f"{path}.allowPrivilegeEscalation", message)


def _profile(profile: Object, path: str, out: Findings) -> None:
    kind = profile.get("type")
    one_of(kind, _SECCOMP_TYPES, f"{path}.type", out)
    given = "localhostProfile" in profile
    if given != (kind == "Localhost") or profile.get("localhostProfile") == "":
        fail(out, f"{path}.localhostProfile", "is for type Localhost, and needed there")
