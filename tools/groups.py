"""What the programs of the end-to-end tests are built from: a group for each Go module here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tools import debian


@dataclasses.dataclass(frozen=True)
class Program:
    """One executable.

    Attributes:
        name: File name in ``bin/``.
        package: Go package of the program; ``./x`` is one of ours.
        seconds: Build time on two cores when nothing of it is cached, in the order of the group.
        stamps: Variables set by the linker, as upstream's release builds do. ``{version}`` is the
            version of ``stamp_module`` without the leading ``v``, ``{major}`` and ``{minor}`` are
            its parts.
        stamp_module: Module whose version ``go.mod`` pins.
    """

    name: str
    package: str
    seconds: int
    stamps: Sequence[str] = ()
    stamp_module: str = ""


@dataclasses.dataclass(frozen=True)
class Manifests:
    """Files that upstream keeps in a module's source: copied flat to ``share/<target>``."""

    module: str
    pattern: str
    target: str


@dataclasses.dataclass(frozen=True)
class Group:
    """Programs that share one Go module.

    Attributes:
        name: Its name, and that of the module's directory.
        programs: What is built.
        manifests: What is copied out of upstream's modules.
        packages: What comes unpacked from the distribution.
        on_request: Built only when it is asked for by name.
    """

    name: str
    programs: Sequence[Program]
    manifests: Sequence[Manifests] = ()
    # Not in the text of a group: one without packages keeps the digest that it had.
    packages: Sequence[debian.Package] = dataclasses.field(default=(), repr=False)
    # Not in it either: when it is built changes nothing.
    on_request: bool = dataclasses.field(default=False, repr=False)

    @property
    def seconds(self) -> int:
        """Build time of the group on two cores from an empty cache, downloads excluded."""
        return sum(program.seconds for program in self.programs)


CROSSPLANE = "github.com/crossplane/crossplane/v2"
KUBERNETES = "k8s.io/kubernetes"
KWOK = "sigs.k8s.io/kwok"
KEDA = "github.com/kedacore/keda/v2"
CNI = "github.com/containernetworking/plugins"
CONTAINERD = "github.com/containerd/containerd/v2"
COREDNS = "github.com/coredns/coredns"
KUBE_ROUTER = "github.com/cloudnativelabs/kube-router/v2"
VICTORIAMETRICS = "github.com/VictoriaMetrics/VictoriaMetrics"
VM_OPERATOR = "github.com/VictoriaMetrics/operator"
KUBE_STATE_METRICS = "k8s.io/kube-state-metrics/v2"
HELM_CONTROLLER = "github.com/fluxcd/helm-controller"
KUSTOMIZE_CONTROLLER = "github.com/fluxcd/kustomize-controller"
SOURCE_CONTROLLER = "github.com/fluxcd/source-controller"
ENVOY_GATEWAY = "github.com/envoyproxy/gateway"
AI_GATEWAY = "github.com/envoyproxy/ai-gateway"
INFERENCE_EXTENSION = "sigs.k8s.io/gateway-api-inference-extension"
LWS = "sigs.k8s.io/lws"
RATE_LIMIT = "github.com/envoyproxy/ratelimit"
KUEUE = "sigs.k8s.io/kueue"
PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
VERSITYGW = "github.com/versity/versitygw"
EXTERNAL_SECRETS = "github.com/external-secrets/external-secrets"

# Package version constraints (`spec.crossplane.version`) are checked against this variable.
CROSSPLANE_STAMPS = ("github.com/crossplane/crossplane-runtime/v2/pkg/version.version=v{version}",)
# The RBAC manager has no flag for its metrics address, :8080, which other programs want as well;
# core sets its own from METRICS_PORT and does not read this default.
RBAC_METRICS_OFF = "sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress=0"
CHART = "cluster/charts/crossplane/templates"
GATEWAY_CRDS = "charts/gateway-helm/charts/crds/crds"
OPERATOR_OBJECTS = "example/rbac/prometheus-operator/prometheus-operator"
CHARTS, EPPLIB = "config/charts", "chart/charts/epplib"
# Without it the server calls itself v0.0.0-master+$Format:%H$, which clients cannot parse.
KUBERNETES_STAMPS = (
    "k8s.io/component-base/version.gitVersion=v{version}",
    "k8s.io/component-base/version.gitMajor={major}",
    "k8s.io/component-base/version.gitMinor={minor}",
    "k8s.io/client-go/pkg/version.gitVersion=v{version}",
)
VICTORIAMETRICS_STAMPS = (
    "github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=v{version}",
)


def _core(name: str, seconds: int) -> Group:
    """Crossplane core at one end of the supported range."""
    return Group(
        name=name,
        programs=(
            Program(
                name="crossplane",
                package=f"{CROSSPLANE}/cmd/crossplane",
                seconds=seconds,
                stamps=(*CROSSPLANE_STAMPS, RBAC_METRICS_OFF),
                stamp_module=CROSSPLANE,
            ),
        ),
        manifests=(
            Manifests(CROSSPLANE, "cluster/crds/*.yaml", "crds"),
            Manifests(CROSSPLANE, f"{CHART}/clusterrole*.yaml", "roles"),
            Manifests(CROSSPLANE, f"{CHART}/rbac-manager-*cluster*.yaml", "roles"),
            Manifests(CROSSPLANE, f"{CHART}/rbac-manager-allowed-*.yaml", "roles"),
        ),
    )


def _kubernetes(name: str, seconds: int) -> Program:
    """A program of Kubernetes itself."""
    return Program(
        name=name,
        package=f"{KUBERNETES}/cmd/{name}",
        seconds=seconds,
        stamps=KUBERNETES_STAMPS,
        stamp_module=KUBERNETES,
    )


def _victoriametrics(name: str, seconds: int) -> Program:
    """A program of VictoriaMetrics."""
    return Program(
        name=name,
        package=f"{VICTORIAMETRICS}/app/{name}",
        seconds=seconds,
        stamps=VICTORIAMETRICS_STAMPS,
        stamp_module=VICTORIAMETRICS,
    )


GROUPS: Sequence[Group] = (
    Group(
        name="crossplane-cli",
        programs=(
            Program(
                name="crossplane-cli",
                package="github.com/crossplane/cli/v2/cmd/crossplane",
                seconds=140,
                stamps=CROSSPLANE_STAMPS,
                stamp_module="github.com/crossplane/cli/v2",
            ),
            Program(
                name="crane",
                package="github.com/google/go-containerregistry/cmd/crane",
                seconds=5,
            ),
        ),
    ),
    _core("crossplane-2.3", 60),
    _core("crossplane-2.4", 80),
    Group(
        name="kubernetes",
        programs=(
            Program(name="etcd", package="./etcd", seconds=20),
            _kubernetes("kube-apiserver", 136),
            _kubernetes("kube-controller-manager", 42),
            _kubernetes("kube-scheduler", 5),
            _kubernetes("kubectl", 13),
            _kubernetes("kubelet", 30),
            _kubernetes("kube-proxy", 8),
            Program(name="kwok", package=f"{KWOK}/cmd/kwok", seconds=10),
            Program(name="validator", package="./validator", seconds=5),
        ),
        manifests=(
            Manifests(KWOK, "kustomize/stage/node/fast/node-initialize.yaml", "stages"),
            Manifests(
                KWOK,
                "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
                "stages",
            ),
            Manifests(KWOK, "kustomize/stage/pod/fast/pod-*.yaml", "stages"),
            Manifests(KWOK, "kustomize/crd/bases/kwok.x-k8s.io_stages.yaml", "crds"),
        ),
    ),
    Group(
        name="keda",
        programs=(
            Program(
                name="keda-operator",
                package=f"{KEDA}/cmd/operator",
                seconds=212,
                stamps=(f"{KEDA}/version.Version={{version}}",),
                stamp_module=KEDA,
            ),
            Program(
                name="keda-adapter",
                package=f"{KEDA}/cmd/adapter",
                seconds=42,
                stamps=(f"{KEDA}/version.Version={{version}}",),
                stamp_module=KEDA,
            ),
        ),
        manifests=(
            Manifests(KEDA, "config/crd/bases/*.yaml", "crds"),
            Manifests(KEDA, "config/rbac/role*.yaml", "roles"),
        ),
    ),
    Group(
        name="cilium",
        programs=(Program(name="verdicts", package="./verdicts", seconds=90),),
    ),
    Group(
        name="victoriametrics",
        programs=(
            _victoriametrics("vmalert-tool", 15),
            _victoriametrics("victoria-metrics", 5),
            _victoriametrics("vmagent", 5),
            _victoriametrics("vmalert", 3),
        ),
    ),
    # What a node has beside its kubelet. runc needs a C compiler and libseccomp.
    Group(
        name="node",
        programs=(
            Program(name="ptp", package=f"{CNI}/plugins/main/ptp", seconds=8),
            Program(name="loopback", package=f"{CNI}/plugins/main/loopback", seconds=1),
            Program(name="host-local", package=f"{CNI}/plugins/ipam/host-local", seconds=1),
        ),
        packages=(
            debian.Package("runc", ("runc",)),
            debian.Package("nftables", ("nft",)),
            debian.Package("libnftables1"),  # nft's, of the same version
        ),
    ),
    # Debian's has no image volumes. No module beside it: its dependencies are not the CNI's.
    Group(
        name="containerd",
        programs=(
            Program(
                name="containerd",
                package=f"{CONTAINERD}/cmd/containerd",
                seconds=100,
                stamps=(f"{CONTAINERD}/version.Version=v{{version}}",),
                stamp_module=CONTAINERD,
            ),
            Program(
                name="containerd-shim-runc-v2",
                package=f"{CONTAINERD}/cmd/containerd-shim-runc-v2",
                seconds=5,
            ),
        ),
    ),
    # Enforces NetworkPolicies. Its rules are written by programs that need a C compiler.
    Group(
        name="policies",
        programs=(
            Program(
                name="kube-router",
                package=f"{KUBE_ROUTER}/cmd/kube-router",
                seconds=110,
                stamps=(f"{KUBE_ROUTER}/pkg/version.Version=v{{version}}",),
                stamp_module=KUBE_ROUTER,
            ),
        ),
        packages=(
            debian.Package("ipset", ("ipset",)),
            debian.Package("libipset13"),
            debian.Package("iptables", ("xtables-nft-multi",)),
            debian.Package("libxtables12"),  # iptables', of the same version
            debian.Package("libnftnl11"),
            debian.Package("libmnl0"),
        ),
    ),
    Group(
        name="coredns",
        programs=(
            Program(
                name="coredns",
                package="./coredns",
                seconds=60,
                stamps=(f"{COREDNS}/coremain.GitCommit=v{{version}}",),
                stamp_module=COREDNS,
            ),
        ),
    ),
    # Programs of ours for the containers of pods; each says what it stands in for.
    Group(
        name="stand-ins",
        programs=(
            Program(name="pause", package="./pause", seconds=2),
            Program(name="engine", package="./engine", seconds=8),
            Program(name="embedder", package="./embedder", seconds=2),
            Program(name="caller", package="./caller", seconds=2),
        ),
    ),
    # In place of vLLM Semantic Router, whose classifiers are no Go.
    Group(
        name="stand-in-router",
        programs=(Program(name="router", package="./router", seconds=30),),
        on_request=True,
    ),
    # A store of objects with S3's API, which checks signatures: weights in a bucket are read of it.
    Group(
        name="object-store",
        programs=(Program(name="versitygw", package=f"{VERSITYGW}/cmd/versitygw", seconds=60),),
        on_request=True,
    ),
    Group(
        name="envoy-gateway",
        programs=(
            Program(
                name="envoy-gateway",
                package=f"{ENVOY_GATEWAY}/cmd/envoy-gateway",
                seconds=325,
            ),
            Program(
                name="ai-gateway-controller",
                package=f"{AI_GATEWAY}/cmd/controller",
                seconds=33,
            ),
            Program(
                name="ai-gateway-extproc",
                package=f"{AI_GATEWAY}/cmd/extproc",
                seconds=79,
            ),
        ),
        manifests=(
            Manifests(ENVOY_GATEWAY, f"{GATEWAY_CRDS}/gatewayapi-crds.yaml", "crds"),
            Manifests(ENVOY_GATEWAY, f"{GATEWAY_CRDS}/generated/*.yaml", "crds"),
            Manifests(AI_GATEWAY, "manifests/charts/ai-gateway-crds-helm/templates/*.yaml", "crds"),
        ),
    ),
    # Counts for limits of callers; of the version that Envoy Gateway is made for.
    Group(
        name="limiter",
        programs=(Program(name="ratelimit", package=f"{RATE_LIMIT}/src/service_cmd", seconds=60),),
        packages=(
            debian.Package("redis-tools"),  # which holds the server's program
            debian.Package("redis-server", ("redis-server",)),
            debian.Package("libjemalloc2"),
            debian.Package("liblzf1"),
            debian.Package("libatomic1"),
        ),
    ),
    Group(
        name="picker",
        programs=(Program(name="epp", package=f"{INFERENCE_EXTENSION}/cmd/epp", seconds=160),),
    ),
    Group(
        name="lws",
        programs=(Program(name="lws", package=f"{LWS}/cmd", seconds=100),),
        manifests=(
            Manifests(LWS, "config/crd/bases/*.yaml", "crds"),
            Manifests(LWS, "config/webhook/manifests.yaml", "webhooks"),
        ),
        on_request=True,
    ),
    Group(
        name="kueue",
        programs=(Program(name="kueue", package=f"{KUEUE}/cmd/kueue", seconds=200),),
        manifests=(
            Manifests(KUEUE, "config/components/crd/bases/*.yaml", "crds"),
            Manifests(KUEUE, "config/components/webhook/manifests.yaml", "webhooks"),
        ),
        on_request=True,
    ),
    # Writes the configuration of vmagent and vmalert (group victoriametrics). Its libraries of
    # Kubernetes are those of envoy-gateway, compiled once for both.
    Group(
        name="vm-operator",
        programs=(
            Program(name="vm-operator", package=f"{VM_OPERATOR}/cmd", seconds=67),
            Program(
                name="config-reloader", package=f"{VM_OPERATOR}/cmd/config-reloader", seconds=2
            ),
        ),
        manifests=(
            Manifests(VM_OPERATOR, "config/crd/overlay/crd.descriptionless.yaml", "crds"),
            Manifests(VM_OPERATOR, "config/manager/manager.yaml", "objects"),
            Manifests(VM_OPERATOR, "config/rbac/role*.yaml", "objects"),
            Manifests(VM_OPERATOR, "config/rbac/service_account.yaml", "objects"),
        ),
    ),
    # Its libraries of Kubernetes are the picker's.
    Group(
        name="kube-state-metrics",
        programs=(Program(name="kube-state-metrics", package=KUBE_STATE_METRICS, seconds=16),),
        manifests=(
            Manifests(KUBE_STATE_METRICS, "examples/standard/cluster-role*.yaml", "objects"),
            Manifests(KUBE_STATE_METRICS, "examples/standard/service*.yaml", "objects"),
            Manifests(KUBE_STATE_METRICS, "examples/standard/deployment.yaml", "objects"),
        ),
    ),
    # Writes the configuration of Prometheus, which has the version that the operator is made with.
    Group(
        name="prometheus-operator",
        programs=(
            Program(name="operator", package=f"{PROMETHEUS_OPERATOR}/cmd/operator", seconds=120),
            Program(
                name="config-reloader",
                package=f"{PROMETHEUS_OPERATOR}/cmd/prometheus-config-reloader",
                seconds=10,
            ),
            Program(
                name="prometheus",
                package="github.com/prometheus/prometheus/cmd/prometheus",
                seconds=200,
            ),
        ),
        manifests=(
            Manifests(PROMETHEUS_OPERATOR, "example/prometheus-operator-crd/*.yaml", "crds"),
            *(
                Manifests(PROMETHEUS_OPERATOR, f"{OPERATOR_OBJECTS}-{name}.yaml", "objects")
                for name in ("cluster-role*", "deployment", "service-account")
            ),
            Manifests(
                PROMETHEUS_OPERATOR, "example/rbac/prometheus/prometheus-cluster-role.yaml", "roles"
            ),
        ),
        on_request=True,
    ),
    # Upstream's reconcilers with upstream's fake provider, and none of the clients of clouds that
    # upstream's command links.
    Group(
        name="external-secrets",
        programs=(Program(name="external-secrets", package="./external-secrets", seconds=330),),
        manifests=(Manifests(EXTERNAL_SECRETS, "config/crds/bases/*.io_*.yaml", "crds"),),
        on_request=True,
    ),
    # Ten minutes of a processor. The chart that it installs is from the picker's module.
    Group(
        name="flux",
        programs=(
            Program(name="helm-controller", package=HELM_CONTROLLER, seconds=180),
            Program(name="kustomize-controller", package=KUSTOMIZE_CONTROLLER, seconds=60),
            Program(name="source-controller", package=SOURCE_CONTROLLER, seconds=110),
        ),
        manifests=(
            Manifests(HELM_CONTROLLER, "config/crd/bases/*.yaml", "crds"),
            Manifests(HELM_CONTROLLER, "config/manager/deployment.yaml", "helm-controller"),
            Manifests(KUSTOMIZE_CONTROLLER, "config/crd/bases/*.yaml", "crds"),
            Manifests(
                KUSTOMIZE_CONTROLLER, "config/manager/deployment.yaml", "kustomize-controller"
            ),
            Manifests(SOURCE_CONTROLLER, "config/crd/bases/*.yaml", "crds"),
            Manifests(SOURCE_CONTROLLER, "config/manager/deployment.yaml", "source-controller"),
            Manifests(SOURCE_CONTROLLER, "config/manager/service.yaml", "source-controller"),
            Manifests(INFERENCE_EXTENSION, f"{CHARTS}/inferencepool/*.yaml", "chart"),
            Manifests(
                INFERENCE_EXTENSION, f"{CHARTS}/inferencepool/templates/*", "chart/templates"
            ),
            Manifests(INFERENCE_EXTENSION, f"{CHARTS}/epplib/*.yaml", EPPLIB),
            Manifests(INFERENCE_EXTENSION, f"{CHARTS}/epplib/templates/*", f"{EPPLIB}/templates"),
        ),
        on_request=True,
    ),
)
