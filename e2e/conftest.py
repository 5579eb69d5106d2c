"""One control plane for the run."""

from __future__ import annotations

import os
import pathlib
import signal
import types
from collections.abc import Iterator

import pytest

from e2e import claims, commands, function, installation, operators, shipped
from e2e.controlplane import api, crossplane, plane
from tests import crds

VERSION = os.environ.get("CROSSPLANE", crossplane.VERSIONS[-1])
# The Prometheus operator is installed later than the product.
LATE_GROUP = ".monitoring.coreos.com"
_LOGS = pytest.StashKey[pathlib.Path]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """After a failure, say where the logs are."""
    if exitstatus and _LOGS in config.stash:
        terminalreporter.write_line(f"logs of the control plane: {config.stash[_LOGS]}")


def _terminated(number: int, frame: types.FrameType | None) -> None:
    """End the run in order on SIGTERM, so that what it started is stopped too."""
    del number, frame
    pytest.exit("terminated", returncode=143)


@pytest.fixture(scope="session")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[plane.ControlPlane]:
    """A control plane with the kinds of the operators that the product knows.

    Those of ``LATE_GROUP`` come with ``all_kinds``.
    ``CROSSPLANE=2.3`` chooses the older end of the supported range. Its files are in pytest's
    temporary directory (``--basetemp`` chooses another).
    """
    work = tmp_path_factory.mktemp("control-plane")
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        prepared = plane.ControlPlane(work, version=VERSION)
        pytestconfig.stash[_LOGS] = prepared.logs
        with prepared as running:
            running.install_crds(crds.directory(), only=lambda name: not name.endswith(LATE_GROUP))
            yield running
    finally:
        signal.signal(signal.SIGTERM, previous)


@pytest.fixture(scope="session")
def standing_in(control_plane: plane.ControlPlane) -> Iterator[operators.Operators]:
    """What says that it took an object, for operators that do not run."""
    running = operators.Operators(control_plane.admin)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def installed(
    control_plane: plane.ControlPlane,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[installation.Installation]:
    """The product, installed from its packages, with the function running; removed at the end."""
    del standing_in
    product = installation.Installation(control_plane, tmp_path_factory.mktemp("product"))
    product.install()
    yield product
    try:
        product.remove()
    finally:
        product.stop()


@pytest.fixture(scope="session")
def all_kinds(control_plane: plane.ControlPlane, installed: installation.Installation) -> None:
    """The kinds that were missing when the product was installed."""
    del installed
    control_plane.install_crds(crds.directory(), only=lambda name: name.endswith(LATE_GROUP))


@pytest.fixture
def tenant(
    control_plane: plane.ControlPlane, installed: installation.Installation, namespace: str
) -> Iterator[claims.Tenant]:
    """A namespace made ready for claims, on the reference platform."""
    installed.configure(shipped.one(shipped.environment("reference")))
    prepared = claims.Tenant(control_plane, namespace)
    prepared.prepare()
    yield prepared
    prepared.clean()


@pytest.fixture(scope="session")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """The function, running in plain text, and the file that tells ``render`` where."""
    work = tmp_path_factory.mktemp("function")
    running = function.Function(work)
    running.process.start()
    try:
        name = shipped.one(shipped.COMPOSITION)["spec"]["pipeline"][0]["functionRef"]["name"]
        yield commands.functions_file(work / "functions.yaml", running.address, name)
    finally:
        running.process.stop()


@pytest.fixture
def namespace(control_plane: plane.ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, which enforces Pod Security ``restricted``."""
    name = request.node.name.partition("[")[0].replace("_", "-").lower()[:50].strip("-")
    control_plane.namespace(name)
    yield name
    control_plane.admin.delete(api.Ref("v1", "Namespace", name))
