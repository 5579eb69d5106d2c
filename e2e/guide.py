"""The guides, run as printed: bash runs their shell blocks; their files get the printed names.

This module replaces what a reader replaces: the registry of ``export REGISTRY=``, and words such as
``N`` and ``<token>``, whose values a test gives. Only blocks of the language ``shell`` run. The
module records the blocks that ran; at the end of a whole run `conftest` names the blocks that did
not run.
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

_DOCS = shipped.ROOT / "docs"
PAGE = _DOCS / "install.md"
MIGRATION = _DOCS / "migration-from-0.9.md"
OPERATIONS = _DOCS / "operations.md"
# The only section of the operations guide whose shell blocks a whole run has to run: the section is
# a complete remedy.
LATE_KIND = "A kind that is installed later"
_EXAMPLE_REGISTRY = "export REGISTRY=registry.example.com/org\n"
# A heading, or a fenced block. The block may stand in a list. The line before the block may name a
# file.
_PARTS = re.compile(
    r"^##+ (?P<title>[^\n]+)$"
    r"|(?:^Save as `(?P<file>[\w.-]+)`:\n\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# Variables that a block inherits from the caller's environment; other variables are left out.
_INHERITED = ("HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME")
_INHERITED_ENDS = ("_PROXY", "_proxy", "_CERT_FILE", "_CERT_DIR")
_TIMEOUT = 1200


# Page, section and text of each block that this process ran.
_done: set[str] = set()


class GuideError(Exception):
    """A block of the guide failed; the message holds what it printed."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: The name of its page.
        section: The heading that it stands under.
        language: Its language.
        text: What is in it.
        file: The file name under which the reader has to save the block.
    """

    page: str
    section: str
    language: str
    text: str
    file: str | None

    def __str__(self) -> str:
        """Page, section and text of the block."""
        return f"{self.page}, {self.section}:\n{self.text}"


def blocks(page: pathlib.Path = PAGE) -> list[Block]:
    """The fenced blocks of a page, without the indent of a list."""
    section = ""
    fenced = []
    for part in _PARTS.finditer(page.read_text()):
        if part["title"]:
            section = part["title"]
        else:
            text = re.sub(rf"^{part['indent']}", "", part["text"], flags=re.MULTILINE)
            fenced.append(Block(page.name, section, part["language"], text, part["file"]))
    return fenced


def to_run() -> set[str]:
    """Every block that a whole run of the suite has to run."""
    selected = [*blocks(PAGE), *blocks(MIGRATION)]
    selected += [block for block in blocks(OPERATIONS) if block.section == LATE_KIND]
    return {str(block) for block in selected if block.language == "shell"}


def done() -> set[str]:
    """The blocks of ``to_run`` that this process ran to their ends."""
    return _done & to_run()


class Guide:
    """A reader with an administrator's rights, in a checkout of the repository.

    Attributes:
        directory: The checkout, and what the reader saved in it.
        variables: The environment of the next block, with every variable exported so far.
    """

    def __init__(self, control_plane: plane.ControlPlane, work: pathlib.Path) -> None:
        """Make the checkout: links to the repository's files, beside which the reader saves files.

        Args:
            control_plane: The control plane that the guide installs on.
            work: The directory in which to make the checkout.
        """
        self._registry = f"{control_plane.registry.host}/org"
        self.directory = work / "checkout"
        self.directory.mkdir(parents=True)
        for path in shipped.ROOT.iterdir():
            if path.name not in {"dist", ".git"}:
                (self.directory / path.name).symlink_to(path)
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
            # `test_package` builds and reads the other architecture.
            "ARCHITECTURES": image.native(),
        }
        self.run("Before")

    def run(
        self,
        *sections: str,
        page: pathlib.Path = PAGE,
        variables: Mapping[str, str] | None = None,
        words: Mapping[str, str] | None = None,
        holding: str = "",
    ) -> str:
        """Save the files and run the shell blocks of sections, in the page's order.

        Args:
            sections: Headings of the sections.
            page: The guide.
            variables: Variables that the reader exported before.
            words: The reader's values for words of the page, such as ``N`` or ``<token>``.
            holding: Run only the blocks that contain this text.

        Returns:
            The output of the blocks.

        Raises:
            GuideError: A block failed.
            ValueError: A section has no such shell block.
        """
        self.variables |= variables or {}
        printed = []
        for section in sections:
            selected = [
                block
                for block in blocks(page)
                if block.section == section and holding in block.text
            ]
            if not any(block.language == "shell" for block in selected):
                message = f"{page.name} has no shell block with {holding!r} in {section!r}"
                raise ValueError(message)
            for block in selected:
                if block.file is not None:
                    self.save(block.file, block.text)
                elif block.language == "shell":
                    printed.append(self._shell(block, words or {}))
                    _done.add(str(block))
        return "".join(printed)

    def save(self, name: str, text: str) -> None:
        """Write a file into the checkout, in which the blocks run."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def pushed(self) -> list[str]:
        """References, by tag and digest, of all that step 1 pushed or found in the registry."""
        return (self.directory / "dist" / "references").read_text().split()

    def _shell(self, block: Block, words: Mapping[str, str]) -> str:
        """Run a block with some of its words replaced, and keep what it exports.

        Raises:
            GuideError: It failed.
        """
        kept = self.directory / ".environment"
        text = block.text.replace(_EXAMPLE_REGISTRY, f"export REGISTRY={self._registry}\n")
        for word, value in words.items():
            literal = value.replace("\\", r"\\")
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", literal, text)
        script = f"set -euo pipefail\n{text}\nenv --null > {kept}\n"
        done = _bash(script, self.directory, self.variables)
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
