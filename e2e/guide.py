"""The installation guide, run as it stands: its shell blocks by bash, its files as it names them.

What a reader replaces is replaced here too, in one line: the registry of ``export REGISTRY=``.
Blocks of other languages than ``shell`` are shown and not run.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

from e2e import shipped
from e2e.controlplane import cluster, plane, toolchain
from tools import image

PAGE = shipped.ROOT / "docs" / "install.md"
_EXAMPLE_REGISTRY = "export REGISTRY=registry.example.com/org\n"
# A heading, or a fenced block with the name of the file that the line before it gives.
_PARTS = re.compile(
    r"^##+ (?P<title>[^\n]+)$"
    r"|(?:^Save as `(?P<file>[\w.-]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# Of the caller's environment; the rest decides nothing here.
_INHERITED = ("HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME")
_INHERITED_ENDS = ("_PROXY", "_proxy", "_CERT_FILE", "_CERT_DIR")
_TIMEOUT = 1200


class GuideError(Exception):
    """A block of the guide failed; the message holds what it printed."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        section: The heading that it stands under.
        language: Its language.
        text: What is in it.
        file: What the reader is told to save it as.
    """

    section: str
    language: str
    text: str
    file: str | None


def blocks(page: pathlib.Path = PAGE) -> list[Block]:
    """The fenced blocks of a page."""
    section = ""
    found = []
    for part in _PARTS.finditer(page.read_text()):
        if part["title"]:
            section = part["title"]
        else:
            found.append(Block(section, part["language"], part["text"], part["file"]))
    return found


class Guide:
    """A reader with an administrator's rights, in a checkout of the repository.

    Attributes:
        variables: What the blocks exported so far.
    """

    def __init__(self, control_plane: plane.ControlPlane, work: pathlib.Path) -> None:
        """Make the working directory: the repository's files, beside which the reader saves his.

        Args:
            control_plane: What is installed on.
            work: For the working directory, which is made.
        """
        self._registry = f"{control_plane.registry.host}/org"
        self._work = work / "checkout"
        self._work.mkdir(parents=True)
        for path in shipped.ROOT.iterdir():
            if path.name not in {"dist", ".git"}:
                (self._work / path.name).symlink_to(path)
        kubectl = toolchain.program(cluster.GROUP, "kubectl").parent
        programs = [str(kubectl), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in _INHERITED or name.startswith("PIP_") or name.endswith(_INHERITED_ENDS)
        }
        self.variables: dict[str, str] = inherited | {
            "PATH": os.pathsep.join(programs),
            "KUBECONFIG": str(control_plane.api.kubeconfig("admin")),
            # The other one is built and read in `test_package`; here it would only cost time.
            "ARCHITECTURES": image.native(),
        }
        self.run("Before")

    def run(self, *sections: str, variables: Mapping[str, str] | None = None) -> str:
        """Save the files and run the shell blocks of sections, in the page's order.

        Args:
            sections: Their headings.
            variables: What the reader has exported besides.

        Returns:
            What was printed.

        Raises:
            GuideError: A block failed.
            ValueError: A section has no shell block.
        """
        self.variables |= variables or {}
        printed = []
        for section in sections:
            found = [block for block in blocks() if block.section == section]
            if not any(block.language == "shell" for block in found):
                message = f"the guide has no shell block in {section!r}"
                raise ValueError(message)
            for block in found:
                if block.file is not None:
                    (self._work / block.file).write_text(block.text)
                elif block.language == "shell":
                    printed.append(self._shell(block))
        return "".join(printed)

    def pushed(self) -> list[str]:
        """What step 1 pushed or found, by tag and digest."""
        return (self._work / "dist" / "references").read_text().split()

    def _shell(self, block: Block) -> str:
        """Run a block, and keep what it exports.

        Raises:
            GuideError: It failed.
        """
        kept = self._work / ".environment"
        text = block.text.replace(_EXAMPLE_REGISTRY, f"export REGISTRY={self._registry}\n")
        script = f"set -euo pipefail\n{text}\nenv --null > {kept}\n"
        done = _bash(script, self._work, self.variables)
        if done.returncode != 0:
            message = f"{block.section}: status {done.returncode}\n{text}\n{done.stdout}"
            raise GuideError(message)
        entries = kept.read_text().rstrip("\0").split("\0")
        self.variables = dict(entry.split("=", 1) for entry in entries)
        return done.stdout


def _bash(
    script: str, directory: pathlib.Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script with both outputs in one."""
    command: Sequence[str] = ("bash", "--noprofile", "--norc", "-c", script)
    return subprocess.run(
        command,
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
