"""Real machines beside the fake nodes of a control plane, with a network and names of Services."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence

from e2e.controlplane import addresses, api, plane, polling, toolchain
from e2e.machines import dns, fabric, images, janitor, machine, space

STAND_INS = "stand-ins"
# The last of the addresses of machines.
_LAST = addresses.MACHINES - 1


class Site:
    """Machines of one cluster.

    The fake nodes take no new pods while it runs.

    Attributes:
        machines: The running machines by name.
    """

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        work: pathlib.Path,
        machines: Sequence[machine.Machine],
        *,
        ports: Sequence[int] = (),
        policies: bool = False,
    ) -> None:
        """Describe it; nothing runs yet.

        Args:
            control_plane: The control plane, which runs.
            work: An empty or absent directory: the disks of the machines.
            machines: What runs from the start; the DNS server is on the first.
            ports: Ports of loopback that pods reach at ``outside``, beside the API server's and the
                registry's.
            policies: Whether NetworkPolicies are enforced.

        Raises:
            space.SpaceError: This machine cannot have others in it.
        """
        space.check()
        self._plane = control_plane
        self._work = work
        self._logs = control_plane.logs
        self._wanted = list(machines)
        self._enforced = policies
        self.machines: dict[str, machine.Running] = {}
        self._range = control_plane.api.range
        self._registry_port = control_plane.registry.port
        everybody = [control_plane.api.port, self._registry_port, *ports]
        (work / "fabric").mkdir(parents=True)
        self._fabric = fabric.Fabric(self._range, everybody, work / "fabric", self._logs)
        self._stack = contextlib.ExitStack()

    @property
    def outside(self) -> str:
        """The address at which pods reach the forwarded ports."""
        return self._range.outside

    def address(self, name: str) -> str:
        """The address of a machine."""
        return self._range.machine(self.machines[name].index)

    def __enter__(self) -> typing.Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        sweeper = subprocess.Popen(
            [sys.executable, "-I", "-S", janitor.__file__, machine.control_group()],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._stack.callback(sweeper.communicate)
        self._stack.callback(self._fabric.stop)
        self._fabric.start()
        self.push(machine.PAUSE, STAND_INS, "pause")
        self.push(dns.IMAGE, "coredns", "coredns")
        self._cordon(cordoned=True)
        self._stack.callback(self._cordon, cordoned=False)
        for wanted in self._wanted:
            self._launch(wanted)
        for running in self.machines.values():
            running.wait_ready()
        names = dns.objects(self._wanted[0].name)
        self._plane.admin.apply_all(names)
        self._stack.callback(self._remove, names)
        self._plane.admin.wait_condition(dns.DEPLOYMENT, "Available", timeout=90)

    def _remove(self, items: Sequence[api.Object]) -> None:
        """Delete the DNS server and wait for its pod's end: the next site looks for its own."""
        for item in items:
            self._plane.admin.delete(api.Ref.of(item))
        admin, place = self._plane.admin, dns.DEPLOYMENT.namespace
        polling.until(
            lambda: not admin.objects("v1", "Pod", namespace=place, labels=dns.LABELS),
            what="the end of the DNS server",
            timeout=90,
        )

    def _cordon(self, *, cordoned: bool) -> None:
        """Keep new pods from the fake nodes."""
        names = [
            node["metadata"]["name"]
            for node in self._plane.admin.objects("v1", "Node")
            if machine.REAL not in node["metadata"]["labels"]
        ]
        self._plane.kubelet.cordon(*names, cordoned=cordoned)

    def _launch(self, wanted: machine.Machine) -> machine.Running:
        index = len(self.machines)
        running = machine.Running(
            wanted,
            index,
            self._plane.api,
            self._registry_port,
            self._work / wanted.name,
            self._logs,
            enforced=self._enforced,
        )
        self._stack.callback(self._forget, running)
        running.space.process.start()
        self._fabric.connect(running.space, index)
        for other in self.machines.values():
            self._fabric.route(running.space, other.index)
            self._fabric.route(other.space, index)
        self.machines[wanted.name] = running
        running.launch()
        return running

    def _forget(self, running: machine.Running) -> None:
        """Cut a machine off and delete its node."""
        running.stop()
        with contextlib.suppress(api.ApiError):
            self._plane.admin.delete(running.ref)

    def foreigner(self, name: str, own: Sequence[str]) -> space.Space:
        """A machine that is not the cluster's, which knows the way to pods, as they do to it.

        Args:
            name: Its name.
            own: Addresses of it, each of which stands for a machine somewhere in the world.

        Raises:
            space.SpaceError: An address or a route could not be made.
        """
        directory = self._work / name
        directory.mkdir()
        made = space.Space(name, directory, self._logs)
        self._stack.callback(made.process.stop)
        made.process.start()
        self._fabric.connect(made, _LAST)
        for address in own:
            made.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        for running in self.machines.values():
            self._fabric.route(made, running.index)
            for address in own:
                via = ("via", self._range.machine(_LAST))
                running.space.run("ip", "route", "add", f"{address}/32", *via)
        return made

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """No machine enforces policies meanwhile; afterwards each does again, a moment later."""
        enforcers = [one.enforcer for one in self.machines.values() if one.enforcer is not None]
        try:
            for one in enforcers:
                one.lift()
            yield
        finally:
            for one in enforcers:
                one.process.launch()

    def push(
        self,
        name: str,
        group: str,
        program: str,
        *,
        entry: str = "/program",
        user: int = 0,
        trees: Mapping[str, pathlib.Path] = types.MappingProxyType({}),
    ) -> None:
        """Let machines pull an image of one program under a name, whatever registry it names.

        Args:
            name: The name that pods have.
            group: Group of `tools`.
            program: A program of it.
            entry: Where the program is in the image.
            user: Who runs it where the pod does not say so.
            trees: Directories by where they are in the image.
        """
        path = toolchain.program(group, program)
        place = self._plane.registry
        images.push(place, name, path, self._work, entry=entry, user=user, trees=trees)

    def push_local(
        self,
        name: str,
        path: pathlib.Path,
        *,
        entry: str,
        user: int,
        trees: Mapping[str, pathlib.Path] = types.MappingProxyType({}),
    ) -> None:
        """The same for a program of this machine, with the shared libraries that it needs."""
        files = images.libraries(path)
        place = self._plane.registry
        images.push(place, name, path, self._work, entry=entry, user=user, files=files, trees=trees)

    def push_script(
        self,
        name: str,
        script: pathlib.Path,
        linked: Sequence[pathlib.Path],
        trees: Mapping[str, pathlib.Path],
    ) -> None:
        """The same for a script, with what it reads and the libraries that this needs.

        Args:
            name: The name that pods have.
            script: It is in `/app`, where commands are looked for.
            linked: The program that its first line names, and modules of it; all are in the trees.
            trees: Directories by where they are in the image.
        """
        entry = f"/app/{script.name}"
        files = sorted({one for path in linked for one in images.libraries(path)})
        place = self._plane.registry
        images.push(place, name, script, self._work, entry=entry, files=files, trees=trees)

    def push_files(self, name: str, trees: Mapping[str, pathlib.Path]) -> str:
        """Let machines pull an image of directories alone; returns its digest.

        Args:
            name: The name that pods have, with a tag.
            trees: The directories by where they are in the image.
        """
        return images.push_files(self._plane.registry, name, trees, self._work)

    def logs(self, namespace: str, pod: str, *arguments: str) -> str:
        """What a pod's container printed, by way of the API server and the kubelet.

        Raises:
            RuntimeError: kubectl failed.
        """
        done = self._plane.kubectl("--namespace", namespace, "logs", pod, *arguments)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    def stop(self) -> None:
        """Stop everything and leave this machine as it was; idempotent."""
        self._stack.close()
