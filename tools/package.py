"""Builds the two packages that a cluster installs, and pushes them with the preload image.

``python tools/package.py --target registry.example.com/org --push``

The Configuration holds the XRD and the Composition, and depends on the Function, which holds the
runtime image of each architecture. Three things in it follow from where it is pushed to: the
dependency's path, the preload image, and the name by which the Composition calls the function,
because Crossplane names a Function that comes as a dependency after its repository.

The preload image has a version of its own and is pushed once for each: it is in the hash of every
preload Job, so that another image would run them all again. The files of one commit give the same
digests each time.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import typing
from collections.abc import Mapping, Sequence

import yaml

# Also run as a file: `python tools/package.py` has tools/, not the repository, on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import function
import preload
from tools import build, image

ROOT = build.HERE.parent
FUNCTION = "function-inference-service"
CONFIGURATION = "configuration-inference-service"
PRELOAD = "function-inference-service-preload"
GROUP = "crossplane-cli"
Object: typing.TypeAlias = dict[str, typing.Any]
# Crossplane takes a package's tag for its version.
_VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")


class PackageError(Exception):
    """A package cannot be built or pushed; the message says why."""


@dataclasses.dataclass(frozen=True)
class Release:
    """What is released, and where to.

    Attributes:
        target: Registry and organisation, such as ``registry.example.com/org``.
        version: Tag of both packages, such as ``v1.2.3``.
        preload_image: Image of the preload Job; by default the one beside the packages, by tag.
    """

    target: str
    version: str
    preload_image: str = ""

    def __post_init__(self) -> None:
        if _VERSION.fullmatch(self.version) is None:
            message = f"version {self.version!r} is not of the form v1.2.3"
            raise PackageError(message)
        if "/" not in self.target:
            message = f"target {self.target!r} is not a registry and a path, such as ghcr.io/org"
            raise PackageError(message)

    def repository(self, name: str) -> str:
        """The repository of a package or image."""
        return f"{self.target}/{name}"

    def reference(self, name: str) -> str:
        """The repository with the version as tag."""
        return f"{self.repository(name)}:{self.version}"

    @property
    def preload(self) -> str:
        """Reference of the preload image."""
        return self.preload_image or f"{self.repository(PRELOAD)}:v{preload.__version__}"

    @property
    def function_name(self) -> str:
        """The name of the Function object that the package manager makes."""
        return dns_label(self.repository(FUNCTION).partition("/")[2])


def dns_label(path: str) -> str:
    """What Crossplane makes of a repository path: `ToDNSLabel` of crossplane-runtime, pkg/xpkg."""
    label = ""
    for index, character in enumerate(path[:63]):
        if re.fullmatch("[a-z0-9]", character):
            label += character
        elif character in "./:-" and index not in (0, 62, len(path) - 1):
            label += "-"
    return label.strip("-")


def configuration(release: Release) -> dict[str, Object]:
    """The files of the Configuration package, by name."""
    meta = _load("crossplane.yaml")
    (dependency,) = meta["spec"]["dependsOn"]
    dependency["package"] = release.repository(FUNCTION)
    # An older function could not answer for the settings and fields of this XRD.
    dependency["version"] = f">={release.version}"
    files = {"crossplane.yaml": meta}
    for path in sorted((ROOT / "compositions").glob("*.yaml")):
        composition = _load(path)
        for step in composition["spec"]["pipeline"]:
            if step["functionRef"]["name"] == FUNCTION:
                step["functionRef"]["name"] = release.function_name
                step["input"].setdefault("preload", {})["image"] = release.preload
        files[f"composition-{path.name}"] = composition
    for path in sorted((ROOT / "xrd").glob("*.yaml")):
        files[f"xrd-{path.name}"] = _load(path)
    return files


def runtime() -> dict[str, Object]:
    """The files of the Function package, by name."""
    files = {"crossplane.yaml": _load("package/crossplane.yaml")}
    for path in sorted((ROOT / "package" / "input").glob("*.yaml")):
        files[path.name] = _load(path)
    return files


def source() -> str:
    """Where the product's repository is, without a scheme."""
    annotations = _load("crossplane.yaml")["metadata"]["annotations"]
    return str(annotations["meta.crossplane.io/source"])


def _load(path: str | pathlib.Path) -> Object:
    document = yaml.load((ROOT / path).read_text(), Loader=yaml.CSafeLoader)
    if not isinstance(document, dict):
        message = f"{path} holds no object"
        raise PackageError(message)
    return document


def make(
    release: Release, runtimes: Mapping[str, pathlib.Path], output: pathlib.Path
) -> dict[str, list[pathlib.Path]]:
    """Build both packages.

    Args:
        release: What is released.
        runtimes: Tarballs of the runtime image by architecture.
        output: Directory of what is built.

    Returns:
        The package files by package name; the Function's has one for each architecture.

    Raises:
        PackageError: The command line is not built, or refuses.
    """
    built: dict[str, list[pathlib.Path]] = {FUNCTION: []}
    sources = stage(output / FUNCTION, runtime())
    for architecture, tarball in runtimes.items():
        package = output / f"{FUNCTION}-{architecture}.xpkg"
        xpkg(sources, package, f"--embed-runtime-image-tarball={tarball}")
        built[FUNCTION].append(package)
    sources = stage(output / CONFIGURATION, configuration(release))
    package = output / f"{CONFIGURATION}.xpkg"
    xpkg(sources, package)
    built[CONFIGURATION] = [package]
    return built


def stage(place: pathlib.Path, files: dict[str, Object]) -> pathlib.Path:
    """Write the files of a package into an empty directory."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False))
    return place


def xpkg(sources: pathlib.Path, package: pathlib.Path, *flags: str) -> None:
    """Build a package file from a directory.

    Raises:
        PackageError: The command line is not built, or refuses.
    """
    # Without this directory it would look for examples in the working directory.
    none = sources / "no-examples"
    run(
        *("crossplane-cli", "xpkg", "build", f"--package-root={sources}"),
        *(f"--package-file={package}", f"--examples-root={none}", *flags),
    )


def push(release: Release, built: dict[str, list[pathlib.Path]]) -> dict[str, str]:
    """Push both packages, the dependency first, and return their digests by reference.

    Raises:
        PackageError: The registry refused.
    """
    digests = {}
    for name in (FUNCTION, CONFIGURATION):
        reference = release.reference(name)
        files = ",".join(map(str, built[name]))
        run("crossplane-cli", "xpkg", "push", f"--package-files={files}", reference)
        digests[reference] = run("crane", "digest", reference).strip()
    return digests


def push_preload(release: Release, images: Mapping[str, pathlib.Path]) -> tuple[str, bool]:
    """Push the preload image, unless its version is in the registry already.

    Args:
        release: Where to.
        images: Its tarballs by architecture.

    Returns:
        What is in the registry, by tag and digest, and whether it was pushed now.

    Raises:
        PackageError: The registry refused.
    """
    reference = release.preload
    absent = not _exists(reference)
    if absent:
        parts = []
        for architecture, tarball in images.items():
            part = f"{reference}-{architecture}"
            run("crane", "push", str(tarball), part)
            parts.append(f"--manifest={part}")
        run("crane", "index", "append", *parts, f"--tag={reference}")
    return f"{reference}@{run('crane', 'digest', reference).strip()}", absent


def _exists(reference: str) -> bool:
    """Whether a reference is in its registry.

    Raises:
        PackageError: The registry did not answer, or not to us.
    """
    try:
        run("crane", "digest", reference)
    except PackageError as error:
        # How crane reports a 404, by the body's code or, for a HEAD without one, by its status.
        if re.search(r"MANIFEST_UNKNOWN|NAME_UNKNOWN|404 Not Found", str(error)):
            return False
        raise
    return True


def run(program: str, *arguments: str) -> str:
    """Run a program of ``tools`` and return what it printed.

    Raises:
        PackageError: It is not built, or it failed.
    """
    path = build.directory(GROUP) / "bin" / program
    if not path.exists():
        message = f"{program} is not built ({path}): run `make tools`"
        raise PackageError(message)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"`{shlex.join([program, *arguments])}`: {done.stderr.strip()}"
        raise PackageError(message)
    return done.stdout


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the packages, and push them.")
    parser.add_argument("--target", required=True, help="such as registry.example.com/org")
    parser.add_argument("--version", default=f"v{function.__version__}", help="tag of both")
    parser.add_argument(
        "--architectures",
        default=",".join(image.ARCHITECTURES),
        help="of the images, with commas (default: %(default)s)",
    )
    parser.add_argument(
        "--preload-image",
        default="",
        help="image of the preload Job, best by digest (default: the one beside the packages)",
    )
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("dist"))
    parser.add_argument(
        "--push", action="store_true", help="push both, and the preload image if it is not there"
    )
    return parser.parse_args(arguments)


def _write(path: pathlib.Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
    print(f"{path}:", *lines, sep="\n  ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and push when asked; exit status 1 when that fails.

    With ``--push``, ``references`` in the output directory lists by digest what the release is, and
    ``pushed`` what of it was not there before.
    """
    options = _arguments(arguments)
    names = options.architectures.split(",")
    try:
        release = Release(options.target, options.version, options.preload_image)
        runtimes = {name: image.cached("function", name) for name in names}
        references, pushed = [], []
        if options.push and not release.preload_image:
            preloads = {name: image.cached("preload", name) for name in names}
            reference, new = push_preload(release, preloads)
            if not new:
                print(f"{reference}: this version is there already, and is kept")
            references.append(reference)
            pushed += [reference] if new else []
            release = dataclasses.replace(release, preload_image=reference)
        built = make(release, runtimes, options.output)
        for packages in built.values():
            for path in packages:
                print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
        if options.push:
            now = [f"{name}@{digest}" for name, digest in push(release, built).items()]
            _write(options.output / "references", references + now)
            _write(options.output / "pushed", pushed + now)
    except (PackageError, build.BuildError, image.ImageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
