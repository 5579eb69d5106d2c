"""kube-router, which enforces NetworkPolicies between pods, on one machine.

Nothing else of it runs: pods get their network from the machine's plugins, and Services are
kube-proxy's. It writes its rules with iptables and ipset, into the machine's namespaces.
"""

from __future__ import annotations

import pathlib

from e2e.controlplane import toolchain
from e2e.machines import space

GROUP = "policies"
SERVICES = "10.96.0.0/16"
# Names of one program, which looks at the name that it is called by.
_TABLES = ("iptables", "iptables-save", "iptables-restore")
# The kernel's own chains, from which kube-router's are reached.
_CHAINS = ("INPUT", "FORWARD", "OUTPUT")


class Enforcer:
    """It, and what it has done.

    Attributes:
        process: The program.
    """

    def __init__(
        self, machine: space.Space, kubeconfig: pathlib.Path, directory: pathlib.Path
    ) -> None:
        """Describe it.

        Args:
            machine: Where it runs; the name of the namespaces is the node's.
            kubeconfig: By which it reads pods, namespaces and policies.
            directory: An absent directory, for the names of programs.
        """
        self._space = machine
        self._programs = directory
        directory.mkdir()
        for name in _TABLES:
            (directory / name).symlink_to(toolchain.program(GROUP, "xtables-nft-multi"))
        (directory / "ipset").symlink_to(toolchain.program(GROUP, "ipset"))
        libraries = toolchain.libraries(GROUP)
        # iptables loads a library for each match and each target.
        (extensions,) = [path / "xtables" for path in libraries if (path / "xtables").is_dir()]
        self._environment = {
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "XTABLES_LIBDIR": str(extensions),
        }
        self.process = machine.program(
            f"{machine.name}-kube-router",
            [
                toolchain.program(GROUP, "kube-router"),
                "--run-firewall=true",
                "--run-router=false",
                "--run-service-proxy=false",
                f"--hostname-override={machine.name}",
                f"--kubeconfig={kubeconfig}",
                f"--service-cluster-ip-range={SERVICES}",
                "--health-port=0",
                "--metrics-port=0",
            ],
            environment=self._environment,
            path=str(directory),
        )

    def lift(self) -> None:
        """Stop it, and let everything pass again.

        Raises:
            space.SpaceError: iptables failed.
        """
        self.process.stop()
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        for chain in _CHAINS:
            command = (self._programs / "iptables", "--flush", chain)
            self._space.run("env", *variables, *command)
