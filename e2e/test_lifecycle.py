"""The life of served models, a dozen stories at the same time, and then an upgrade under all.

Every story has a namespace of its own. What stays and what goes is told by the UIDs of pods and
objects, what was never written by the audit log, and what a user waits for by `kubectl wait`.
"""

from __future__ import annotations

import pathlib
import re
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from e2e import claims, commands, installation, lives, next_release, scenery, shipped, stories
from e2e.controlplane import api, plane
from function.situation import rollouts
from tools import package


class Fleet:
    """What is left of the stories, and claims that wait for the upgrade.

    Attributes:
        world: The claims.
        places: The namespaces.
        ends: What ended each story before its time.
        waiting: Claims that serve, by the part that they play in the upgrade.
    """

    def __init__(self, world: lives.World) -> None:
        """Make the place of the claims that the upgrade needs."""
        self.world = world
        self.home = lives.Place(world, "life-upgrade")
        self.places = [self.home]
        self.ends: dict[str, BaseException | None] = {}
        self.waiting: dict[str, claims.Claim] = {}

    def _wait(self) -> lives.Life:
        """The claims of the upgrade come up."""
        for name in ("accepted", "edited", "left-alone"):
            self.waiting[name] = self.home.claim(scenery.SMALLEST, name)
        for claim in self.waiting.values():
            yield self.home.ready(claim)

    def live(self, stories: list[Callable[[lives.Place], lives.Life]]) -> None:
        """Let the stories play."""
        playing = {"waiting for the upgrade": self._wait()}
        for story in stories:
            place = lives.Place(self.world, f"life-{story.__name__.replace('_', '-')}")
            self.places.append(place)
            playing[story.__name__] = story(place)
        self.ends = lives.live(self.world, playing)

    def clean(self) -> None:
        """Delete the claims and the volumes."""
        for place in self.places:
            place.kubelet.heal_jobs(place.namespace)
            place.kubelet.release(place.namespace)
            for item in place.tenant.claims():
                place.plane.admin.delete(api.Ref.of(item))
        for place in self.places:
            place.tenant.clean()


@pytest.fixture(scope="module")
def fleet(
    request: pytest.FixtureRequest,
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
) -> Iterator[Fleet]:
    """All chosen stories, played."""
    del all_kinds
    installed.configure(shipped.one(shipped.environment("reference")))
    control_plane.kubelet.add(stories.WIDE)
    chosen = {
        item.callspec.params.get("story")
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
        if hasattr(item, "callspec")
    }
    made = Fleet(lives.World(control_plane))
    try:
        made.live([story for story in stories.STORIES if story in chosen])
        yield made
    finally:
        made.clean()
        control_plane.kubelet.remove(stories.WIDE.name)


@pytest.mark.parametrize("story", stories.STORIES, ids=lambda story: story.__name__)
def test_story(fleet: Fleet, story: Callable[[lives.Place], lives.Life]) -> None:
    """It came to its end."""
    error = fleet.ends[story.__name__]
    if error is not None:
        raise error


# --- a new version under all of them


def _ours(told: dict[str, int]) -> dict[str, int]:
    """Events without those that core tells by itself."""
    core = ("ComposeResources", "SelectComposition", "PublishConnectionSecret")
    return {reason: count for reason, count in told.items() if reason not in core}


def _since(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}


class Survivors:
    """Every claim that serves when the stories are over.

    Attributes:
        claims: The claims, with their places.
    """

    def __init__(self, fleet: Fleet) -> None:
        """Find them, and note what runs."""
        self.claims = [
            (place, place.tenant.claim(item))
            for place in fleet.places
            for item in place.tenant.claims()
            if lives.condition(item, "Current") == ("True", "Serving")
        ]
        self._pods = self._running()

    def _running(self) -> dict[str, set[str]]:
        return {str(claim.ref): place.pods(claim) for place, claim in self.claims}

    def look(self, mark: str) -> None:
        """Let core look at each of them.

        By an annotation of nobody's: with core's own it tells an Event at each reconcile.
        """
        for _, claim in self.claims:
            claim.plane.admin.patch(claim.ref, {"metadata": {"annotations": {"e2e/look": mark}}})

    def restarted(self) -> set[str]:
        """The claims of which a pod is another one than at the start."""
        now = self._running()
        return {name for name, pods in self._pods.items() if now[name] != pods}


@pytest.fixture
def older(installed: installation.Installation) -> Iterator[package.Release]:
    """What is installed; and again at the end, when the test did not get as far.

    The installation is the session's: tests that follow count on the function of this tree.
    """
    release = installed.release
    yield release
    if installed.release != release:
        _go_back(installed, release)


def _go_back(installed: installation.Installation, older: package.Release) -> None:
    installed.guide.run("Going back", variables={"VERSION": older.version})
    installed.release = older
    installed.replace_function()


def test_an_upgrade_restarts_nothing_until_it_is_accepted(
    fleet: Fleet,
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    older: package.Release,
    tmp_path: pathlib.Path,
) -> None:
    """A release whose pods differ is shown before it is there, held by all, taken by who asks.

    The stories have used up what core's client lets through of events for one object; core started
    anew counts from zero.
    """
    control_plane.crossplane.core.restart(90)
    home, part = fleet.home, fleet.waiting
    survivors = Survivors(fleet)
    assert {str(claim.ref) for claim in part.values()} <= {str(c.ref) for _, c in survivors.claims}
    told = {name: _ours(home.events(claim)) for name, claim in part.items()}
    (tmp_path / "tree").mkdir()
    release = next_release.tree(tmp_path / "tree")
    foretold = _render(part.values(), release, tmp_path)
    assert {condition[:2] for condition in foretold.values()} == {
        ("False", "PlatformChangePending")
    }

    installed.upgrade(next_release.runtime(release, control_plane.registry, tmp_path))
    installed.replace_function()
    assert f'version="{next_release.VERSION}"' in installed.function.metrics()
    survivors.look("upgraded")
    pending = [place.condition(claim, *scenery.HELD) for place, claim in survivors.claims]
    for held in lives.await_all(fleet.world, pending):
        assert held["status"]["phase"] == "Serving"
        assert api.status_of(held, "Ready") == "True"
        name = held["metadata"]["name"]
        if name in part:
            assert claims.conditions(held)["Current"] == foretold[name]
    time.sleep(lives.PATIENCE)
    assert survivors.restarted() == set()

    _accept(part["accepted"])
    part["edited"].apply(model=scenery.model_of(part["edited"], contextWindow=8192))
    part["left-alone"].apply(scaling={"maxReplicas": 2})
    lives.await_all(fleet.world, [home.ready(part[name]) for name in ("accepted", "edited")])
    for name in ("accepted", "edited"):
        (container,) = scenery.template_of(part[name])["spec"]["containers"]
        assert container["resources"]["limits"]["cpu"] == next_release.CPU_LIMIT
    part["left-alone"].wait(
        lambda _: part["left-alone"].one("ScaledObject")["spec"]["maxReplicaCount"] == 2,
        what="with its new limit",
    )
    rolled = {str(part[name].ref) for name in ("accepted", "edited")}
    assert survivors.restarted() == rolled
    # Not at all where core called in the moment without an active revision: what it then makes of
    # the conditions cannot be told from a transition.
    heard = _since(told["left-alone"], _ours(home.events(part["left-alone"])))
    assert heard in ({}, {"PlatformChangePending": 1})
    assert _since(told["accepted"], _ours(home.events(part["accepted"])))["RollingOut"] == 1

    _go_back(installed, older)
    assert f'version="{next_release.VERSION}"' not in installed.function.metrics()
    survivors.look("back")
    settled = [
        place.condition(claim, *scenery.HELD) if str(claim.ref) in rolled else place.ready(claim)
        for place, claim in survivors.claims
    ]
    lives.await_all(fleet.world, settled)
    assert survivors.restarted() == rolled


def _render(
    live_claims: Iterable[claims.Claim], release: pathlib.Path, work: pathlib.Path
) -> dict[str, tuple[str, str, str]]:
    """The condition Current that the release's command line renders for each claim, by name."""
    written = commands.write(work / "claims.yaml", [claim.manifest for claim in live_claims])
    observed = [
        item for claim in live_claims for item in (claim.read(), *claim.composed().values())
    ]
    done = commands.own_render(
        written,
        environment=shipped.environment("reference"),
        observed=commands.write(work / "observed.yaml", observed),
        tree=release,
    )
    assert done.code == 0, done.errors
    rendered = [item for item in done.objects if item["kind"] == shipped.KIND]
    return {item["metadata"]["name"]: claims.conditions(item)["Current"] for item in rendered}


def _accept(claim: claims.Claim) -> None:
    """Accept the pending change with the token that the claim prints."""
    message = claims.conditions(claim.read())["Current"][2]
    match = re.search(rf"{re.escape(rollouts.ACCEPT_ANNOTATION)}=(\w+)", message)
    assert match is not None, message
    body = {"metadata": {"annotations": {rollouts.ACCEPT_ANNOTATION: match[1]}}}
    claim.plane.developer.patch(claim.ref, body)
