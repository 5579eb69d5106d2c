"""Envoy Gateway and Envoy AI Gateway as they are, in pods on a machine of the cluster.

Both run with an administrator's rights. The webhook is reached by address, as the API server of the
tests is in no pod network; so the AI gateway's controller has its machine's network. Everything
else is as upstream's charts have it.
"""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Mapping, Sequence

from e2e.controlplane import api, certificates, plane, polling, process, toolchain
from e2e.dataplane import limiter, services
from e2e.gateway import proxy
from e2e.machines import site

GROUP = "envoy-gateway"
SYSTEM = "envoy-gateway-system"
AI_SYSTEM = "envoy-ai-gateway-system"
GATEWAY = api.Ref("gateway.networking.k8s.io/v1", "Gateway", "ai-gateway", AI_SYSTEM)
STATISTICS_PORT = 19001
# The value of docs/front-door.md for the chart of the AI gateway: a header, and its attribute.
CALLER_LABEL = "x-inference-caller:inference.caller"
# A proxy listens here for port 80 of its Gateway.
LISTENER_PORT = 10080
_XDS_PORT, _LIMITER_XDS_PORT, _EXTENSION_PORT, _WEBHOOK_PORT = 18000, 18001, 1063, 9443
_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
_WEBHOOK = f"envoy-ai-gateway-gateway-pod-mutator.{AI_SYSTEM}"
# Upstream's images name a number, as Kubernetes wants it for `runAsNonRoot`.
_USER = 65532
_BIN = "/usr/local/bin"
# Names of images, and the programs in them; each command is where upstream's image has it.
_GATEWAY_IMAGE = "docker.io/envoyproxy/gateway:v1.9.0"
_CONTROLLER_IMAGE = "docker.io/envoyproxy/ai-gateway-controller:v1.0.0"
_PROCESSOR_IMAGE = "docker.io/envoyproxy/ai-gateway-extproc:v1.0.0"
_ENVOY_IMAGE = "docker.io/envoyproxy/envoy:v1.40.0"
# What Envoy Gateway names where an EnvoyProxy names nothing, as a front door's; here it is ours.
_USUAL_ENVOY_IMAGE = "docker.io/envoyproxy/envoy:distroless-v1.39.0"
CLASS = "envoy"
_PROGRAMS = {
    _GATEWAY_IMAGE: "envoy-gateway",
    _CONTROLLER_IMAGE: "ai-gateway-controller",
    _PROCESSOR_IMAGE: "ai-gateway-extproc",
}


# What Envoy Gateway makes where its configuration has a rate limit service.
_LIMITER = api.Ref("apps/v1", "Deployment", "envoy-ratelimit", SYSTEM)


def _configuration(node: str, redis: str | None) -> api.Object:
    """Envoy Gateway's, as upstream's values for the AI gateway and its inference pools have it.

    Args:
        node: Where the rate limit service is to run.
        redis: Address of the Redis that it counts in; without one there is none.
    """
    every = {"includeAll": True}
    pod = {"nodeSelector": {"kubernetes.io/hostname": node}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": _CONTROLLER},
        "logging": {"level": {"default": "info"}},
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "leaderElection": {"disable": True},
                "proxyTopologyInjector": {"disabled": True},
                "shutdownManager": {"image": _GATEWAY_IMAGE},
                "rateLimitDeployment": {"pod": pod},
            },
        },
        **({} if redis is None else {"rateLimit": _rate_limit(redis)}),
        "extensionApis": {"enableEnvoyPatchPolicy": True, "enableBackend": True},
        "extensionManager": {
            "hooks": {
                "xdsTranslator": {
                    "translation": dict.fromkeys(("listener", "route", "cluster", "secret"), every),
                    "post": ["Translation", "Cluster", "Route"],
                }
            },
            "backendResources": [
                {"group": "inference.networking.k8s.io", "kind": "InferencePool", "version": "v1"}
            ],
            "service": {
                "fqdn": {
                    "hostname": f"ai-gateway-controller.{AI_SYSTEM}.svc.cluster.local",
                    "port": _EXTENSION_PORT,
                }
            },
        },
    }


def _rate_limit(redis: str) -> api.Object:
    """As docs/front-door.md has it, with a longer wait: this machine is busy."""
    return {"backend": {"type": "Redis", "redis": {"url": redis}}, "timeout": "2s"}


def gateway(node: str) -> list[api.Object]:
    """What a platform has beside the controllers: a class, a Gateway, and where proxies run.

    Args:
        node: The node of the proxies.
    """
    deployment = {
        "pod": {"nodeSelector": {"kubernetes.io/hostname": node}},
        "container": {"image": _ENVOY_IMAGE},
    }
    kubernetes = {"envoyService": {"type": "ClusterIP"}, "envoyDeployment": deployment}
    settings = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": GATEWAY.name}
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": 80,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        _object("gateway.networking.k8s.io/v1", "GatewayClass", CLASS, None)
        | {"spec": {"controllerName": _CONTROLLER}},
        _object("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", GATEWAY.name)
        | {"spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}},
        _object(GATEWAY.api_version, GATEWAY.kind, GATEWAY.name)
        | {
            "spec": {
                "gatewayClassName": CLASS,
                "infrastructure": {"parametersRef": settings},
                "listeners": [listener],
            }
        },
    ]


class Controllers:
    """Both controllers, and a Gateway."""

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        place: site.Site,
        node: str,
        work: pathlib.Path,
        redis: limiter.Redis | None = None,
        trusted: pathlib.Path | None = None,
    ) -> None:
        """Describe them; ``start`` installs and runs them.

        Args:
            control_plane: The control plane.
            place: The machines, which run.
            node: Where controllers and proxies are to run.
            work: For files.
            redis: What limits of callers are counted in, whose port the machines reach; without it
                Envoy Gateway has no rate limit service.
            trusted: Directory with `ca-certificates.crt`: whom the proxies trust; nobody without.
        """
        self._redis = redis
        self._authorities = {} if trusted is None else {"/etc/ssl/certs": trusted}
        self._plane = control_plane
        self._admin = control_plane.admin
        self._site = place
        self._node = node
        self._work = work

    def start(self) -> None:
        """Install kinds, certificates, the webhook and both controllers, and make the Gateway.

        Raises:
            TimeoutError: A controller was not ready in time.
        """
        for image, program in _PROGRAMS.items():
            # Pods call the program that is controller and shutdown manager by its name.
            self._site.push(image, GROUP, program, entry=f"{_BIN}/{program}", user=_USER)
        for image in (_ENVOY_IMAGE, _USUAL_ENVOY_IMAGE):
            self._site.push_local(
                image,
                proxy.program(),
                entry=f"{_BIN}/envoy",
                user=_USER,
                trees=self._authorities,
            )
        if self._redis is not None:
            group, entry = limiter.GROUP, limiter.COMMAND
            self._site.push(limiter.IMAGE, group, "ratelimit", entry=entry, user=limiter.USER)
        crds = [crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)]
        self._admin.install_kinds(one for one in crds if one["kind"] == "CustomResourceDefinition")
        for name in (SYSTEM, AI_SYSTEM):
            self._admin.apply(_object("v1", "Namespace", name, None))
        self._generate_certificates()
        self._admin.apply_all(self._ai_gateway())
        self._wait("ai-gateway-controller", AI_SYSTEM)
        self._admin.apply_all(self._envoy_gateway())
        self._wait("envoy-gateway", SYSTEM)
        if self._redis is not None:
            self._admin.wait(_LIMITER, bool, what="there")
            self._admin.wait_condition(_LIMITER, "Available", timeout=120)
        self._admin.apply_all(gateway(self._node))

    def stop(self) -> None:
        """Delete the Gateway and wait until its proxies are gone, then all else; idempotent."""
        self._admin.delete(GATEWAY)
        # They drain for up to a minute.
        polling.until(
            lambda: not self.proxies(everybody=True), what="the end of the proxies", timeout=120
        )
        kind = "MutatingWebhookConfiguration"
        self._admin.delete(api.Ref("admissionregistration.k8s.io/v1", kind, _WEBHOOK))
        for item in (*self._envoy_gateway(), *self._ai_gateway()):
            self._admin.delete(api.Ref.of(item))
        self._admin.delete(_LIMITER)

    def _wait(self, name: str, namespace: str) -> None:
        ref = api.Ref("apps/v1", "Deployment", name, namespace)
        self._admin.wait_condition(ref, "Available", timeout=120)

    def proxies(
        self, of: api.Ref = GATEWAY, *, everybody: bool = False, processor: bool = True
    ) -> list[api.Object]:
        """The pods of a Gateway that are ready with the AI gateway's processor in them.

        Args:
            of: The Gateway.
            everybody: All, those that are not ready or end too.
            processor: False for those that are ready without it.
        """
        owner = "gateway.envoyproxy.io/owning-gateway"
        labels = {f"{owner}-name": of.name, f"{owner}-namespace": of.namespace or ""}
        pods = self._admin.objects("v1", "Pod", namespace=SYSTEM, labels=labels)
        return [
            pod
            for pod in pods
            if everybody
            or (
                api.status_of(pod, "Ready") == "True"
                and "deletionTimestamp" not in pod["metadata"]
                and processor
                == any(
                    container["name"] == "ai-gateway-extproc"
                    for container in pod["spec"].get("initContainers", [])
                )
            )
        ]

    def url(self) -> str:
        """The API behind the Gateway, for pods."""
        label = {"gateway.envoyproxy.io/owning-gateway-name": GATEWAY.name}
        (service,) = self._admin.objects("v1", "Service", namespace=SYSTEM, labels=label)
        return f"http://{service['metadata']['name']}.{SYSTEM}.svc/v1"

    def _generate_certificates(self) -> None:
        """Let Envoy Gateway write its Secrets, as the Job of its chart does."""
        environment = {
            "KUBECONFIG": str(self._plane.api.kubeconfig("admin")),
            "ENVOY_GATEWAY_NAMESPACE": SYSTEM,
        }
        run = process.Process(
            "envoy-gateway-certgen",
            [toolchain.program(GROUP, "envoy-gateway"), "certgen", "--disable-topology-injector"],
            logs=self._plane.logs,
            environment=environment,
        )
        if run.run() != 0:
            raise process.ProcessError(run.tail())

    def _ai_gateway(self) -> list[api.Object]:
        """The AI gateway's controller, its certificate and its webhook."""
        name = "ai-gateway-controller"
        address = self._site.address(self._node)
        certs = self._work / "ai-gateway-certs"
        if not certs.exists():
            certs.mkdir(parents=True)
            authority = certificates.authority(certs, "ca")
            certificates.certificate(certs, "tls", authority, [address])
        files = {path: (certs / path).read_bytes() for path in ("ca.crt", "tls.crt", "tls.key")}
        pod = {
            "hostNetwork": True,
            "dnsPolicy": "ClusterFirstWithHostNet",
            "containers": [
                {
                    "name": name,
                    "image": _CONTROLLER_IMAGE,
                    "args": [
                        "--enableLeaderElection=false",
                        "--tlsCertDir=/certs",
                        f"--extProcImage={_PROCESSOR_IMAGE}",
                        f"--metricsRequestHeaderAttributes={CALLER_LABEL}",
                    ],
                    "env": [
                        {"name": "POD_NAMESPACE", "value": AI_SYSTEM},
                        {"name": "DISABLE_PPROF", "value": "true"},
                    ],
                    "readinessProbe": {"tcpSocket": {"port": _EXTENSION_PORT}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "certs", "mountPath": "/certs"}],
                }
            ],
            "volumes": [{"name": "certs", "secret": {"secretName": name}}],
        }
        ports = {"grpc": _EXTENSION_PORT, "webhook": _WEBHOOK_PORT}
        return [
            _webhook(address),
            _object("v1", "Secret", name)
            | {"data": {key: base64.b64encode(value).decode() for key, value in files.items()}},
            *_program(name, AI_SYSTEM, pod, ports, self._node),
        ]

    def _named_redis(self) -> list[api.Object]:
        if self._redis is None:
            return []
        address, target = self._site.outside, self._redis.port
        return services.outside(limiter.NAME, SYSTEM, limiter.PORT, address, target)

    def _envoy_gateway(self) -> list[api.Object]:
        """Envoy Gateway's controller; its certificates are there."""
        name = "envoy-gateway"
        pod = {
            "containers": [
                {
                    "name": name,
                    "image": _GATEWAY_IMAGE,
                    "args": ["server", "--config-path=/config/envoy-gateway.yaml"],
                    "env": [{"name": "ENVOY_GATEWAY_NAMESPACE", "value": SYSTEM}],
                    "readinessProbe": {
                        "httpGet": {"path": "/readyz", "port": 8081},
                        "periodSeconds": 1,
                    },
                    "volumeMounts": [
                        {"name": "config", "mountPath": "/config"},
                        {"name": "certs", "mountPath": "/certs"},
                    ],
                }
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": name}},
                {"name": "certs", "secret": {"secretName": name}},
            ],
        }
        named = self._named_redis()
        # An address alone is no URL to Envoy Gateway.
        redis = f"{limiter.NAME}.{SYSTEM}.svc.cluster.local:{limiter.PORT}" if named else None
        configuration = json.dumps(_configuration(self._node, redis))
        ports = {"grpc": _XDS_PORT, "ratelimit": _LIMITER_XDS_PORT}
        return [
            *named,
            _object("v1", "ConfigMap", name, SYSTEM)
            | {"data": {"envoy-gateway.yaml": configuration}},
            *_program(name, SYSTEM, pod, ports, self._node),
        ]


def _program(
    name: str, namespace: str, pod: api.Object, ports: Mapping[str, int], node: str
) -> Sequence[api.Object]:
    """A Deployment of one pod with an administrator's rights, and its Service."""
    labels = {"app.kubernetes.io/name": name}
    group = "rbac.authorization.k8s.io"
    spec = {
        "serviceAccountName": name,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "terminationGracePeriodSeconds": 1,
    }
    return [
        _object("v1", "ServiceAccount", name, namespace),
        _object(f"{group}/v1", "ClusterRoleBinding", f"{namespace}-{name}", None)
        | {
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
        _object("v1", "Service", name, namespace)
        | {
            "spec": {
                "selector": labels,
                "ports": [{"name": port, "port": number} for port, number in ports.items()],
            }
        },
        _object("apps/v1", "Deployment", name, namespace)
        | {
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec | pod},
            }
        },
    ]


def _object(
    api_version: str, kind: str, name: str, namespace: str | None = AI_SYSTEM
) -> api.Object:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name} | place}


def _webhook(address: str) -> api.Object:
    """The AI gateway's, which adds its processor to the proxies' pods; it adds its authority."""
    hook = {
        "name": f"ai-gateway-controller.{AI_SYSTEM}.svc.cluster.local",
        "clientConfig": {"url": f"https://{address}:{_WEBHOOK_PORT}/mutate"},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ],
        "objectSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "envoy-gateway"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    kind = "MutatingWebhookConfiguration"
    return _object("admissionregistration.k8s.io/v1", kind, _WEBHOOK, None) | {"webhooks": [hook]}
