"""A machine of the cluster: containerd, kubelet and kube-proxy in namespaces of their own.

What the kubelet would change on this machine stays as it is: it sees files in place of the kernel's
settings that are not a namespace's, and directories of its own in place of /run, /var/lib and
/var/log. It sees more processors and memory than there are, or no GPU machine of the examples would
fit; a pod gets what there is.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import pathlib
from collections.abc import Mapping, Sequence

from e2e.controlplane import api, cluster, process, toolchain
from e2e.machines import policies, space

GROUP = "node"
RUNTIME_GROUP = "containerd"
GPU = "nvidia.com/gpu"
# Real machines have it, beside kwok's.
REAL = "inference-service.test/machine"
CLUSTER_DOMAIN = "cluster.local"
DNS_ADDRESS = "10.96.0.10"
PAUSE = "registry.k8s.io/pause:3.10"
# What the kubelet wants to read, and else writes, in the kernel's settings of the whole machine.
_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a machine has.

    Attributes:
        name: Name of its node.
        gpus: How many ``nvidia.com/gpu``; one with GPUs has the taint of that name.
        labels: Labels of its node beside the kubelet's own.
        cpus: Processors that its kubelet sees.
        memory_gib: Memory that its kubelet sees.
    """

    name: str
    gpus: int = 0
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cpus: int = 32
    memory_gib: int = 256


def control_group() -> str:
    """The control group of all machines of this process."""
    return f"inference-service-{os.getpid()}"


class Running:
    """A machine that runs.

    Attributes:
        machine: What it has.
        space: Its namespaces.
        kubelet: The process; likewise ``containerd`` and ``proxy``.
        enforcer: What enforces NetworkPolicies, where anything does.
    """

    def __init__(
        self,
        machine: Machine,
        index: int,
        server: cluster.APIServer,
        registry: int,
        work: pathlib.Path,
        logs: pathlib.Path,
        *,
        enforced: bool = False,
    ) -> None:
        """Write its files.

        Args:
            machine: What it has.
            index: Its number in the cluster.
            server: The API server.
            registry: Port of the registry on loopback that has all images, whatever their registry.
            work: Its disk.
            logs: Directory of the logs.
            enforced: Whether NetworkPolicies are enforced on it.
        """
        self.machine = machine
        self.index = index
        self._server = server
        self._range = server.range
        self._registry = registry
        self._work = work
        for name in ("run", "lib", "log", "settings", "etc", "cni"):
            (work / name).mkdir(parents=True)
        self._admin = server.client()
        self.space = space.Space(machine.name, work, logs, self._mounts())
        self.containerd: process.Process
        self.kubelet: process.Process
        self.proxy: process.Process
        self._enforced = enforced
        self.enforcer: policies.Enforcer | None = None

    @property
    def ref(self) -> api.Ref:
        """Its node."""
        return api.Ref("v1", "Node", self.machine.name)

    def log(self, pod: api.Object, container: str) -> str:
        """What a container of a pod on this machine wrote, as its kubelet keeps it."""
        metadata = pod["metadata"]
        name = "_".join(metadata[part] for part in ("namespace", "name", "uid"))
        texts = []
        for path in sorted((self._work / "log" / "pods" / name / container).iterdir()):
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt") as file:
                texts.append(file.read())
        return "".join(texts)

    def _mounts(self) -> str:
        """Commands that put files of its own over the machine's."""
        binds = {
            self._work / "run": "/run",
            self._work / "lib": "/var/lib",
            self._work / "log": "/var/log",
        }
        for name, value in _SETTINGS.items():
            path = self._work / "settings" / name.replace("/", "-")
            path.write_text(f"{value}\n")
            binds[path] = f"/proc/sys/{name}"
        memory = self._work / "settings" / "meminfo"
        memory.write_text(_meminfo(self.machine.memory_gib))
        binds[memory] = "/proc/meminfo"
        processors = self._work / "settings" / "cpu"
        _topology(processors, self.machine.cpus)
        binds[processors] = "/sys/devices/system/cpu"
        # Without NUMA nodes the processors are counted there.
        (self._work / "settings" / "node").mkdir()
        binds[self._work / "settings" / "node"] = "/sys/devices/system/node"
        resolv = self._work / "etc" / "resolv.conf"
        resolv.write_text(f"nameserver {DNS_ADDRESS}\nsearch {CLUSTER_DOMAIN}\n")
        binds[resolv] = "/etc/resolv.conf"
        return "\n".join(
            f'[ ! -e "{target}" ] || mount --bind "{source}" "{target}"'
            for source, target in binds.items()
        )

    def launch(self) -> None:
        """Start containerd and the kubelet; the machine has its cable already.

        Raises:
            process.ProcessError: containerd did not start.
        """
        bin_ = toolchain.program(GROUP, "runc").parent
        runtime = toolchain.program(RUNTIME_GROUP, "containerd")
        socket = self._work / "run" / "containerd" / "containerd.sock"
        self.containerd = self.space.program(
            f"{self.machine.name}-containerd",
            [runtime, "--config", self._containerd(bin_)],
            ready=socket.exists,
            path=f"{runtime.parent}:{bin_}",
        )
        self.containerd.start()
        self.kubelet = self.space.program(
            f"{self.machine.name}-kubelet",
            [
                toolchain.program(cluster.GROUP, "kubelet"),
                f"--config={self._kubelet()}",
                f"--kubeconfig={self._server.kubeconfig('kubelet', outside=True)}",
                f"--hostname-override={self.machine.name}",
                f"--node-ip={self._range.machine(self.index)}",
                f"--node-labels={','.join(f'{k}={v}' for k, v in self._labels().items())}",
            ],
            ready=lambda: self._admin.find(self.ref) is not None,
            path=str(bin_),
        )
        self.kubelet.launch()
        self.proxy = self.space.program(
            f"{self.machine.name}-proxy",
            [toolchain.program(cluster.GROUP, "kube-proxy"), f"--config={self._proxy()}"],
            path=str(bin_),
            environment={"LD_LIBRARY_PATH": ":".join(map(str, toolchain.libraries(GROUP)))},
        )
        self.proxy.launch()

    def wait_ready(self) -> None:
        """Wait until the node is Ready, give it its GPUs, and enforce policies on it."""
        self.kubelet.wait_ready()
        if self.machine.gpus:
            status = {name: {GPU: str(self.machine.gpus)} for name in ("capacity", "allocatable")}
            self._admin.patch(self.ref, {"status": status}, subresource="status")
        self._admin.wait_condition(self.ref, "Ready", timeout=60)
        if self._enforced:
            # It looks for its node once.
            config = self._server.kubeconfig("kube-router", outside=True)
            self.enforcer = policies.Enforcer(self.space, config, self._work / "policies")
            self.enforcer.process.launch()

    def _labels(self) -> dict[str, str]:
        return {REAL: "real"} | dict(self.machine.labels)

    def _containerd(self, programs: pathlib.Path) -> pathlib.Path:
        """Write containerd's configuration and what it names."""
        hosts = self._work / "etc" / "certs.d" / "_default"
        hosts.mkdir(parents=True)
        registry = f"http://{self._range.outside}:{self._registry}"
        (hosts / "hosts.toml").write_text(
            f'server = "{registry}"\n[host."{registry}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        network = {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": self._range.pods(self.index)}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }
        (self._work / "cni" / "10-pods.conflist").write_text(json.dumps(network))
        cri = 'plugins."io.containerd.grpc.v1.cri"'
        # What a negative value of a process needs, CAP_SYS_RESOURCE, not every machine gives.
        text = f"""\
version = 2
[{cri}]
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE}"
  [{cri}.cni]
    bin_dir = "{programs}"
    conf_dir = "{self._work / "cni"}"
  [{cri}.registry]
    config_path = "{hosts.parent}"
  [{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [{cri}.containerd.runtimes.nvidia]
    runtime_type = "io.containerd.runc.v2"
"""
        path = self._work / "etc" / "containerd.toml"
        path.write_text(text)
        return path

    def _kubelet(self) -> pathlib.Path:
        """Write the kubelet's configuration."""
        taints: Sequence[api.Object] = (
            [{"key": GPU, "value": "present", "effect": "NoSchedule"}] if self.machine.gpus else []
        )
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._range.machine(self.index),
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            # Both versions of control groups will do. Pods have limits of their own containers.
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "cgroupRoot": f"/{control_group()}",
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            # Whoever reaches it is on the machine that runs the tests.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": CLUSTER_DOMAIN,
            "registerWithTaints": taints,
            # A pod's files follow its Secrets at this pace; by default each minute.
            "syncFrequency": "10s",
            # The disk is the machine's, and may be full of other things.
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        }
        return self._write("kubelet", config)

    def _proxy(self) -> pathlib.Path:
        """Write kube-proxy's configuration."""
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": self.machine.name,
            "clientConnection": {
                "kubeconfig": str(self._server.kubeconfig("system:kube-proxy", outside=True))
            },
            # Zero leaves the kernel's settings alone, which are the whole machine's.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
        return self._write("proxy", config)

    def _write(self, name: str, config: api.Object) -> pathlib.Path:
        path = self._work / "etc" / f"{name}.json"
        path.write_text(json.dumps(config))
        return path

    def stop(self) -> None:
        """Cut it off, with all that runs on it; idempotent."""
        self.space.process.stop()
        for name in ("kubelet", "containerd", "proxy"):
            if hasattr(self, name):
                getattr(self, name).stop()
        if self.enforcer is not None:
            self.enforcer.process.stop()


def _meminfo(gib: int) -> str:
    """What the kernel would print on a machine with so much memory."""
    total = gib * 2**20
    return "".join(
        f"{name}: {value} kB\n"
        for name, value in (
            ("MemTotal", total),
            ("MemFree", total),
            ("MemAvailable", total),
            ("SwapTotal", 0),
            ("SwapFree", 0),
        )
    )


def _topology(directory: pathlib.Path, cpus: int) -> None:
    """Make the tree of so many processors (sysfs, devices/system/cpu)."""
    for cpu in range(cpus):
        core = directory / f"cpu{cpu}" / "topology"
        core.mkdir(parents=True)
        (core / "core_id").write_text(f"{cpu}\n")
        (core / "physical_package_id").write_text("0\n")
    (directory / "online").write_text(f"0-{cpus - 1}\n")
