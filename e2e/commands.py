"""The Crossplane command line as a CI job calls it, and the product's own command line."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from e2e import shipped
from e2e.controlplane import api, toolchain

GROUP = "crossplane-cli"
ENVIRONMENT_KEY = "apiextensions.crossplane.io/environment"


@dataclasses.dataclass(frozen=True)
class Done:
    """A command that ended.

    Attributes:
        code: Its exit status.
        objects: The objects that it printed.
        output: What it printed.
        errors: What it wrote to standard error.
    """

    code: int
    objects: list[api.Object]
    output: str
    errors: str

    @property
    def claim(self) -> api.Object:
        """The claim among the objects."""
        (claim,) = [item for item in self.objects if item["kind"] == shipped.KIND]
        return claim

    @property
    def composed(self) -> dict[str, api.Object]:
        """The composed objects by key."""
        return {
            item["metadata"]["annotations"][shipped.KEY]: item
            for item in self.objects
            if item["kind"] != shipped.KIND
        }


def run(
    command: Sequence[str | pathlib.Path],
    *,
    parse: bool = True,
    directory: pathlib.Path = shipped.ROOT,
) -> Done:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        parse: Whether its output is YAML.
        directory: Its working directory.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    objects = api.parse(done.stdout) if parse else []
    return Done(done.returncode, objects, done.stdout, done.stderr)


def write(path: pathlib.Path, items: Iterable[api.Object]) -> pathlib.Path:
    """Write objects to a YAML file and return its path."""
    path.write_text(api.dump(items))
    return path


def functions_file(path: pathlib.Path, address: str, name: str) -> pathlib.Path:
    """Write the Function object that sends ``render`` to a running process.

    Args:
        path: The file.
        address: Where the process listens, in plain text.
        name: The Composition's ``functionRef.name``.
    """
    annotation = "render.crossplane.io/runtime"
    return write(
        path,
        [
            {
                "apiVersion": "pkg.crossplane.io/v1",
                "kind": "Function",
                "metadata": {
                    "name": name,
                    "annotations": {
                        annotation: "Development",
                        f"{annotation}-development-target": address,
                    },
                },
                "spec": {"package": f"example.org/{name}:v1.0.0"},
            }
        ],
    )


def render(
    core: str,
    claim: pathlib.Path,
    functions: pathlib.Path,
    *,
    required: Sequence[pathlib.Path] = (),
    observed: pathlib.Path | None = None,
    schemas: pathlib.Path | None = None,
    context: Mapping[str, str] | None = None,
    composition: pathlib.Path = shipped.COMPOSITION,
) -> Done:
    """Run ``crossplane composition render`` with the shipped XRD.

    Args:
        core: Version of the core that renders, one of ``crossplane.VERSIONS``.
        claim: File of the claim.
        functions: File of the Function.
        required: Files of required resources, such as EnvironmentConfigs.
        observed: File of the observed objects.
        schemas: Directory of OpenAPI documents.
        context: JSON by context key, as an earlier step would leave it.
        composition: File of the Composition.
    """
    command: list[str | pathlib.Path] = [
        toolchain.program(GROUP, "crossplane-cli"),
        *("composition", "render", claim, composition, functions),
        f"--crossplane-binary={toolchain.program(f'crossplane-{core}', 'crossplane')}",
        f"--xrd={shipped.XRD}",
        "--include-full-xr",
        *(f"--required-resources={path}" for path in required),
        *(f"--context-values={key}={value}" for key, value in (context or {}).items()),
    ]
    if observed is not None:
        command.append(f"--observed-resources={observed}")
    if schemas is not None:
        command.append(f"--required-schemas={schemas}")
    return run(command)


def own_render(
    claim: pathlib.Path,
    *,
    environment: pathlib.Path,
    observed: pathlib.Path | None = None,
    tree: pathlib.Path = shipped.ROOT,
) -> Done:
    """Run ``inference-service render``, by default of this tree."""
    command: list[str | pathlib.Path] = [
        *(sys.executable, "-m", "function.cli.main", "render", claim),
        *("--environment", environment, "--input", shipped.COMPOSITION),
    ]
    if observed is not None:
        command += ["--observed", observed]
    return run(command, directory=tree)


def validate(extensions: Sequence[pathlib.Path], resources: Sequence[pathlib.Path]) -> Done:
    """Run ``crossplane resource validate`` without a network, missing schemas being errors.

    Args:
        extensions: Files with XRDs and CRDs; a directory is read without its subdirectories.
        resources: Files with what is to be validated.
    """
    command: list[str | pathlib.Path] = [
        toolchain.program(GROUP, "crossplane-cli"),
        *("resource", "validate"),
        ",".join(map(str, extensions)),
        ",".join(map(str, resources)),
        "--crossplane-image=",
        "--error-on-missing-schemas",
        "--output=json",
    ]
    return run(command, parse=False)
