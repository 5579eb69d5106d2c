"""Builds the programs that the end-to-end tests run, from the pinned Go modules beside this file.

Each group is a Go module of its own, because the Kubernetes versions of the programs differ. A
group is built once per machine into ``$XDG_CACHE_HOME/inference-service/tools/<group>-<digest>``,
where the digest is taken over everything that decides what comes out: ``go.mod``, ``go.sum``, our
own sources, the recipe in ``GROUPS`` and the platform. ``bin/`` there holds the programs and
``share/`` the manifests that upstream keeps beside them (CRDs, chart roles, stages). What needs a C
compiler is a package of this machine's distribution, unpacked to ``system/`` (``debian``).

Needs Go, apt where a group has packages, and nothing else beyond the standard library; used as
``python tools/build.py`` and, for ``directory``, by the end-to-end tests.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

# Also run as a file: `python tools/build.py` has tools/, not the repository, on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tools import debian

HERE = pathlib.Path(__file__).resolve().parent


class BuildError(Exception):
    """A build cannot go on; the message says what is missing or what failed."""


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


def group(name: str) -> Group:
    """Look up a group.

    Raises:
        BuildError: No group has this name.
    """
    for candidate in GROUPS:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in GROUPS)
    message = f"no group {name!r}; there are: {names}"
    raise BuildError(message)


def cache() -> pathlib.Path:
    """The directory that holds the built groups, outside the source tree."""
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "inference-service" / "tools"


def directory(name: str) -> pathlib.Path:
    """Where a group is, once built: ``bin/`` and ``share/`` are below it.

    Raises:
        BuildError: No group has this name.
    """
    return cache() / f"{name}-{_digest(group(name))}"


def sources(item: Group) -> list[pathlib.Path]:
    """The files of ours that decide, beside the recipe, what a build of the group gives."""
    root = HERE / item.name
    return [root / "go.mod", root / "go.sum", *sorted(root.rglob("*.go"))]


def _digest(item: Group) -> str:
    """Twelve hexadecimal digits over all that decides what a build of the group gives."""
    digest = hashlib.sha256()
    root = HERE / item.name
    for path in sources(item):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    # The times are estimates for the reader: better ones must not rebuild anything.
    programs = [dataclasses.replace(program, seconds=0) for program in item.programs]
    recipe = dataclasses.replace(item, programs=tuple(programs))
    for package in item.packages:
        digest.update(f"{package!r}\0".encode())
    digest.update(f"{recipe!r}\0{sys.platform}\0{platform.machine()}".encode())
    return digest.hexdigest()[:12]


def _go() -> str:
    """The Go command.

    Raises:
        BuildError: Go is absent.
    """
    go = shutil.which("go")
    if go is None:
        need = max(_directive(HERE / item.name) for item in GROUPS)
        message = (
            "Go is missing: install Go "
            + ".".join(map(str, need))
            + " or newer (https://go.dev/dl)"
            " and put `go` on PATH"
        )
        raise BuildError(message)
    return go


def _directive(root: pathlib.Path) -> tuple[int, ...]:
    """The Go version that a module asks for."""
    match = re.search(r"^go (\d+(?:\.\d+)*)$", (root / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        message = f"{root / 'go.mod'} has no go directive"
        raise BuildError(message)
    return tuple(int(part) for part in match.group(1).split("."))


def _pin(root: pathlib.Path, module: str) -> str:
    """The version of a module that ``go.mod`` requires, without the leading ``v``."""
    pattern = rf"^(?:require)?\s+{re.escape(module)} v(\S+)$"
    match = re.search(pattern, (root / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        message = f"{root / 'go.mod'} does not require {module}"
        raise BuildError(message)
    return match.group(1)


def _run(command: Sequence[str], root: pathlib.Path) -> tuple[str, int]:
    """Run a Go command in a module, without the settings of a workspace or of the user's shell.

    Returns:
        Its standard output, and the largest resident memory of any of its processes, in bytes.

    Raises:
        BuildError: It failed.
    """
    environment = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOWORK="off")
    environment.pop("GOFLAGS", None)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=output)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # interrupted: go must not compile on for minutes
            process.terminate()
            process.wait()
            raise
        # Popen must not wait again for a process that is already reaped.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            message = f"`{shlex.join(command)}` in {root} ended with {process.returncode}"
            raise BuildError(message)
        output.seek(0)
        return output.read().decode(), usage.ru_maxrss * 1024


def _say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def _stage(name: str, started: float, detail: str) -> None:
    """Print one stage with its time."""
    _say(f"  {name:<26} {time.monotonic() - started:6.1f} s   {detail}")


def _megabytes(size: int) -> str:
    """Bytes as whole megabytes (10^6)."""
    return f"{size / 1e6:.0f} MB"


def _programs(item: Group, root: pathlib.Path, target: pathlib.Path, jobs: int) -> None:
    """Build each program of a group into ``target``."""
    go = _go()
    for program in item.programs:
        started = time.monotonic()
        flags = ["-s", "-w"]
        if program.stamps:
            version = _pin(root, program.stamp_module)
            major, minor, *_ = version.split(".")
            values = {"version": version, "major": major, "minor": minor}
            flags += [f"-X={stamp.format(**values)}" for stamp in program.stamps]
        output = target / program.name
        command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-p={jobs}"]
        command += ["-ldflags", " ".join(flags), "-o", str(output), program.package]
        _, peak = _run(command, root)
        size = _megabytes(output.stat().st_size)
        _stage(program.name, started, f"{size}, largest process {_megabytes(peak)}")


def _copy(item: Group, root: pathlib.Path, target: pathlib.Path) -> None:
    """Copy the manifests of a group out of the downloaded modules."""
    for manifests in item.manifests:
        # Of some modules nothing is compiled: those are not yet here.
        told, _ = _run([_go(), "mod", "download", "-json", manifests.module], root)
        files = sorted(pathlib.Path(json.loads(told)["Dir"]).glob(manifests.pattern))
        if not files:
            message = f"{manifests.module} holds nothing like {manifests.pattern}"
            raise BuildError(message)
        place = target / manifests.target
        place.mkdir(parents=True, exist_ok=True)
        for path in files:
            # copyfile leaves the module cache's read-only mode behind.
            shutil.copyfile(path, place / path.name)


def _unpack(item: Group, place: pathlib.Path) -> None:
    """Unpack the packages of a group.

    Raises:
        BuildError: The archive has no such package, or there is no apt.
    """
    for package in item.packages:
        started = time.monotonic()
        try:
            archive = debian.unpack(package, place)
        except debian.DebianError as error:
            raise BuildError(str(error)) from None
        _stage(package.name, started, archive)


@contextlib.contextmanager
def _alone(target: pathlib.Path) -> Iterator[None]:
    """Hold off a second build of the same group until this one is done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(item: Group, jobs: int) -> bool:
    """Build a group unless it is there.

    Args:
        item: The group.
        jobs: Compilations at a time; the largest needs about 2 GB.

    Returns:
        Whether anything had to be built.

    Raises:
        BuildError: Go is absent, or a download or a compilation failed.
    """
    target = directory(item.name)
    if target.is_dir():
        return False
    _go()
    with _alone(target):
        if target.is_dir():  # another process built it while we waited for the lock
            return False
        root = HERE / item.name
        names = ", ".join(program.name for program in item.programs)
        minutes = max(1, round(item.seconds / 60))
        _say(f"{item.name}: building {names}; about {minutes} min on two cores, plus downloads")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{item.name}-") as scratch:
            place = pathlib.Path(scratch) / "new"
            (place / "bin").mkdir(parents=True)
            started = time.monotonic()
            packages = [program.package for program in item.programs]
            _run([_go(), "list", "-mod=readonly", "-deps", *packages], root)
            _stage("download", started, "")
            _programs(item, root, place / "bin", jobs)
            _copy(item, root, place / "share")
            _unpack(item, place)
            # Last, and atomic: a directory that exists is complete.
            place.rename(target)
    return True


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Build the programs of the end-to-end tests.")
    parser.add_argument(
        "--group",
        action="append",
        choices=[item.name for item in GROUPS],
        help="only this group (repeatable); by default all but those on request",
    )
    parser.add_argument(
        "--path", action="store_true", help="print the bin directories and build nothing"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="compilations at a time (default: the cores, at most 4)",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is asked for; exit status 1 when that fails."""
    options = _arguments(arguments)
    usual = [item for item in GROUPS if not item.on_request]
    chosen = [group(name) for name in options.group] if options.group else usual
    if options.path:
        for item in chosen:
            print(directory(item.name) / "bin")
        return 0
    # Minutes of compilation should not be felt by whoever works on the machine meanwhile.
    os.nice(19)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    try:
        built = [item.name for item in chosen if build(item, options.jobs)]
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    summary = f"built {', '.join(built)}" if built else "all built already"
    _say(f"tools: {summary} in {time.monotonic() - started:.0f} s; they are in {cache()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
