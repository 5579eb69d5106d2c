"""Random lives of a claim. `HYPOTHESIS_PROFILE=thousands` lives many more, and longer ones."""

import copy
import functools
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from tests import cluster, effort, recordings
from tests.checker import changes, courses, laws
from tests.checker import world as worlds

NAME = "xplane-qwen-coder"
STARTS = ("serving", "asleep", "born", "taken over", "born suspended")
# What happens after a change. The simplest case is nothing.
_THEN = st.sampled_from(("nothing", "reconcile", "reconcile", "progress"))
_FATES = st.builds(
    cluster.Fate,
    order=st.integers(0, 999),
    stop=st.none() | st.integers(0, 24),
    crash=st.booleans(),
)


@functools.cache
def _start(kind: str) -> worlds.World:
    """Returns a world in which a life begins."""
    claim, environment = cluster.example(NAME), cluster.environment("reference")
    site = environment["data"]["inferenceService"]
    site.setdefault("weights", {})["imageVolumes"] = True
    site["canaryGates"] = worlds.METRICS
    site.setdefault("permissions", {})["hotAdapters"] = ["*"]
    site.setdefault("allowed", {}).update(
        {"modelImages": {"*": ["**"]}, "modelUris": {"*": ["**"]}}
    )
    if kind == "taken over":
        world = worlds.World.of(recordings.taken_over(claim, environment))
        world.volume.clear()
        return world
    if kind == "asleep":
        claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    if kind == "born suspended":
        claim["spec"]["suspend"] = True
    fresh = cluster.Cluster(claim, environment)
    if kind not in ("born", "born suspended"):
        fresh.converge()
    return worlds.World.of(fresh)


class Lives(stateful.RuleBasedStateMachine):
    """Authors, platform owners, the world and core take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.judged_world = laws.JudgedWorld(_start("born"))

    @property
    def world(self) -> worlds.World:
        """The world of this life."""
        return self.judged_world.world

    @stateful.initialize(
        start=st.sampled_from(STARTS),
        lingers=st.booleans(),
    )
    def begin(self, start: str, lingers: bool) -> None:
        """The claim is new, or in the middle of its life."""
        self.judged_world = laws.JudgedWorld(copy.deepcopy(_start(start)))
        if start == "taken over":
            self.judged_world.origin = None
        self.world.lingers = lingers

    def _then(self, then: str) -> None:
        if then == "progress":
            self.world.progress()
        if then != "nothing":
            self.judged_world.reconcile()

    @stateful.rule(change=st.sampled_from(sorted(changes.EDITS)), then=_THEN)
    def edit(self, change: str, then: str) -> None:
        """The author edits the claim."""
        changes.EDITS[change](self.world)
        self._then(then)

    @stateful.rule(change=st.sampled_from(sorted(changes.SETTINGS)), then=_THEN)
    def configure(self, change: str, then: str) -> None:
        """The platform's owner edits the settings; a new function version is no different."""
        changes.SETTINGS[change](self.world)
        self._then(then)

    @stateful.rule(event=st.sampled_from(sorted(changes.EVENTS)), then=_THEN)
    def happen(self, event: str, then: str) -> None:
        """Something happens in the world."""
        changes.EVENTS[event](self.world)
        if event == "the memory is lost":
            self.judged_world.origin = None
        self._then(then)

    @stateful.rule(fate=_FATES)
    def reconcile(self, fate: cluster.Fate) -> None:
        """Core reconciles, in some order and perhaps not to the end."""
        self.judged_world.reconcile(fate)

    @stateful.rule()
    def progress(self) -> None:
        """All goes one good step on."""
        self.world.progress()
        self.judged_world.reconcile()

    @stateful.rule(data=st.data())
    def lag(self, data: st.DataObject) -> None:
        """Core's cache keeps showing an object, or the claim, as it is now."""
        keys = sorted(self.world.objects)
        self.world.lag(data.draw(st.sampled_from([cluster.CLAIM, *keys])))

    @stateful.rule()
    def catch_up(self) -> None:
        """Core's cache catches up."""
        self.world.catch_up()

    @stateful.rule(
        spoil=st.sampled_from(sorted(changes.SPOILS)),
        events=st.lists(st.sampled_from(sorted(changes.EVENTS)), max_size=2),
    )
    def spoil(self, spoil: str, events: list[str]) -> None:
        """Claim or settings are invalid for a while, and the world goes on meanwhile."""
        spec, environments = (
            copy.deepcopy(self.world.claim["spec"]),
            copy.deepcopy(self.world.environments),
        )
        changes.SPOILS[spoil](self.world)
        self.judged_world.reconcile()
        for event in events:
            self.happen(event, "reconcile")
        self.world.environments = environments
        self.world.claim["spec"] = spec
        self.world.claim["metadata"]["generation"] += 1
        self.judged_world.reconcile()

    @stateful.rule(story=st.sampled_from(sorted(courses.STORIES)))
    def live(self, story: str) -> None:
        """Things happen in an order that matters."""
        acts: dict[str, Callable[[], object]] = {
            "reconcile": self.judged_world.reconcile,
            "progress": self.progress,
            "rest": self.rest,
            "lag": lambda: self.world.lag(f"{NAME}-deployment"),
            "born again": lambda: self.delete("nothing"),
        }
        changed = {**changes.EDITS, **changes.SETTINGS, **changes.EVENTS}
        for step in courses.STORIES[story]:
            if step in acts:
                acts[step]()
            else:
                changed[step](self.world)

    @stateful.rule(then=_THEN)
    def delete(self, then: str) -> None:
        """The claim is deleted and made again; what lies on the volume stays."""
        self.world.make_claim_again()
        self.judged_world = laws.JudgedWorld(self.world)
        self._then(then)

    @stateful.rule()
    def look_again(self) -> None:
        """Nothing but core moves."""
        self.judged_world.quiet()

    @stateful.rule()
    def rest(self) -> None:
        """Nobody changes anything until all has come to rest."""
        self.judged_world.rest()

    def teardown(self) -> None:
        """Every life ends at rest."""
        if not self.judged_world.broken:
            self.judged_world.rest()
            self.judged_world.quiet()


_DEEP = hypothesis.settings().max_examples > 1000
TestLives = Lives.TestCase
TestLives.settings = hypothesis.settings(
    effort.examples(15),
    stateful_step_count=60 if _DEEP else 20,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.mark.parametrize("story", sorted(courses.STORIES))
def test_a_story(story: str) -> None:
    """Each story runs once here, because the random lives may leave one out."""
    life = Lives()
    life.begin("serving", lingers=False)
    life.live(story)
    life.teardown()
