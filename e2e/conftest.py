"""One control plane for each worker of the run."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import types
import typing
from collections.abc import Iterator, Sequence

import pytest
from xdist import remote
from xdist.scheduler import loadfile

from e2e import claims, commands, function, guide, installation, operators, scheduling, shipped
from e2e.controlplane import api, crossplane, plane
from e2e.machines import watches
from tests import crds

VERSION = os.environ.get("CROSSPLANE", crossplane.VERSIONS[-1])
# The Prometheus operator is installed later than the product.
LATE_GROUP = ".monitoring.coreos.com"
_LOGS = pytest.StashKey[set[str]]()
# Blocks of the guides that were run, and whether all files of this directory were.
_BLOCKS = pytest.StashKey[set[str]]()
_WHOLE = pytest.StashKey[bool]()
_ROOT = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the files into their order."""
    items.sort(key=lambda item: scheduling.place(item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no file that is named among those without a control plane have one, or hinder others."""
    scheduling.yield_processors(scheduling.unit(item.nodeid))
    given = item.fixturenames if isinstance(item, pytest.Function) else ()
    if "control_plane" in given and scheduling.is_alone(scheduling.unit(item.nodeid)):
        pytest.fail("it has a control plane, and e2e/scheduling.py names its file in ALONE")


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: remote.Producer
) -> loadfile.LoadFileScheduling | None:
    """Take the place of ``--dist loadfile``."""
    return scheduling.Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the places of logs, what was run of the guides, and the machines' watches."""
    config.stash[_LOGS] = set()
    config.stash[_BLOCKS] = set()
    config.stash[_WHOLE] = False
    if not hasattr(config, "workerinput"):  # it is taken back when the last worker has ended
        room = contextlib.ExitStack()
        config.add_cleanup(room.close)
        room.enter_context(watches.room())


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note whether this run is of the whole suite."""
    files = set(_ROOT.rglob("test_*.py"))
    config = session.config
    chosen = any(config.getoption(name, default=None) for name in ("keyword", "lf", "collectonly"))
    config.stash[_WHOLE] = not chosen and files <= {item.path for item in session.items}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the process that prints the summary, which fails where nobody ran a block."""
    config = session.config
    blocks: set[str] = config.stash[_BLOCKS]
    blocks.update(guide.done())
    if hasattr(config, "workeroutput"):
        places: set[str] = config.stash[_LOGS]
        config.workeroutput["logs"] = sorted(places)
        config.workeroutput["blocks"] = sorted(blocks)
        config.workeroutput["whole"] = config.stash[_WHOLE]
    elif _unrun(config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unrun(config: pytest.Config) -> set[str]:
    """The blocks of the guides that a whole run left out."""
    run: set[str] = config.stash[_BLOCKS]
    return guide.to_run() - run if config.stash[_WHOLE] else set()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: typing.Any) -> None:
    """Take what a worker told."""
    told = getattr(node, "workeroutput", {})
    node.config.stash[_LOGS].update(told.get("logs", ()))
    node.config.stash[_BLOCKS].update(told.get("blocks", ()))
    node.config.stash[_WHOLE] |= told.get("whole", False)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """After a failure, say where the logs are, and which commands of the guides nobody ran."""
    for block in sorted(_unrun(config)):
        terminalreporter.write_line(f"no test ran this block of {block}", red=True)
    places: set[str] = config.stash[_LOGS]
    for place in sorted(places) if exitstatus else ():
        terminalreporter.write_line(f"logs of a control plane: {place}")


def _terminated(number: int, frame: types.FrameType | None) -> None:
    """End the run in order on SIGTERM, so that what it started is stopped too."""
    del number, frame
    pytest.exit("terminated", returncode=143)


@pytest.fixture(scope="session")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[plane.ControlPlane]:
    """A control plane with the kinds of the operators that the product knows.

    Those of ``LATE_GROUP`` come with ``late_kinds``.
    ``CROSSPLANE=2.3`` chooses the older end of the supported range. Its files are in pytest's
    temporary directory (``--basetemp`` chooses another).
    """
    work = tmp_path_factory.mktemp("control-plane")
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        prepared = plane.ControlPlane(work, version=VERSION)
        pytestconfig.stash[_LOGS].add(str(prepared.logs))
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
    try:
        product.install()
        yield product
        product.remove()
    finally:
        product.stop()


@pytest.fixture(scope="session")
def late_kinds(
    control_plane: plane.ControlPlane, installed: installation.Installation
) -> Sequence[str]:
    """The CRDs that were missing when the product was installed."""
    del installed
    return control_plane.install_crds(crds.directory(), only=lambda name: name.endswith(LATE_GROUP))


@pytest.fixture(scope="session")
def all_kinds(control_plane: plane.ControlPlane, late_kinds: Sequence[str]) -> None:
    """All kinds, and core knows of them: it may have asked the API server a moment too early."""
    ref = api.Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", late_kinds[0])
    control_plane.admin.patch(ref, {"metadata": {"annotations": {"looked-up": "here"}}})


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
    try:
        running.process.start()
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
