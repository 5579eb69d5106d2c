"""What the semantic router of a front door is to decide, and who answers each decision.

A decision that nobody serves is left out, and so is a name without its default; the rest goes on.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from function.api import gateway_router as api
from function.fleet import members

# Every prompt has at least one token.
_SHORTEST = 1


@dataclasses.dataclass(frozen=True)
class Choice:
    """A decision.

    Attributes:
        decision: What the author asks for.
        model: Who answers, or None while nobody serves it.
    """

    decision: api.Decision
    model: str | None


@dataclasses.dataclass(frozen=True)
class Virtual:
    """A name behind which the router picks.

    Attributes:
        name: The name.
        taken: Whether a claim or a provider serves it, and has it.
        default: Who answers where no decision holds, or None while nobody serves it.
        choices: The decisions, in the author's order.
    """

    name: str
    taken: bool
    default: str | None
    choices: tuple[Choice, ...]

    @property
    def served(self) -> bool:
        """Whether the name can be published."""
        return self.default is not None and not self.taken

    @property
    def decided(self) -> tuple[tuple[api.Decision, str], ...]:
        """The decisions that somebody answers, with who does."""
        return tuple((c.decision, c.model) for c in self.choices if c.model is not None)

    @property
    def targets(self) -> frozenset[str]:
        """Every model that may answer."""
        answering = {model for _, model in self.decided}
        return frozenset(answering if self.default is None else {*answering, self.default})


def virtuals(
    router: api.SemanticRouter | None,
    behind: members.Members,
    outside: Iterable[str],
    foreign: Iterable[str],
) -> tuple[Virtual, ...]:
    """Returns the names of a router, by name.

    Args:
        router: What the author asks for.
        behind: The claims whose models may answer.
        outside: Names of models from outside that may answer too.
        foreign: Names of models from outside that the router cannot ask.
    """
    if router is None:
        return ()
    served = {model.name for model in behind.models} | set(outside)
    taken = served | set(foreign) | behind.beside

    def who(target: api.Target) -> str | None:
        return _who(target, behind, served)

    return tuple(
        Virtual(
            model.name,
            model.name in taken,
            who(model.default),
            tuple(Choice(decision, who(decision.to)) for decision in model.decisions),
        )
        for model in sorted(router.models, key=lambda model: model.name)
    )


def _who(target: api.Target, behind: members.Members, served: set[str]) -> str | None:
    """Returns who answers: of several claims that have what is asked for, the first by name."""
    if target.model is not None:
        return target.model if target.model in served else None
    wanted = {"tier": target.tier, "specialty": target.specialty}
    asked = {field: value for field, value in wanted.items() if value is not None}
    labels = target.match_labels or {}
    for member in behind.members:
        fits = asked.items() <= member.routing.items() and labels.items() <= member.labels.items()
        own = next((model.name for model in member.models if model.kind == "base"), None)
        if fits and own is not None:
            return own
    return None


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What a decision asks for; None for a kind that it does not ask for."""

    words: frozenset[str] | None
    domains: frozenset[str] | None
    band: tuple[int, float] | None

    def covers(self, other: "_Asked") -> bool:
        """Whether every prompt that the other holds for is one that this holds for."""
        if self.words is not None and not (
            other.words and all(self._has(phrase) for phrase in other.words)
        ):
            return False
        if self.domains is not None and not (other.domains and other.domains <= self.domains):
            return False
        if self.band is None:
            return True
        least, most = other.band or (_SHORTEST, float("inf"))
        return self.band[0] <= least and most <= self.band[1]

    def _has(self, phrase: str) -> bool:
        return any(f" {word} " in f" {phrase} " for word in self.words or ())


def _asked(when: api.When) -> _Asked:
    band = when.tokens
    return _Asked(
        None if when.keywords is None else frozenset(word.lower() for word in when.keywords),
        None if when.domains is None else frozenset(when.domains),
        None
        if band is None
        else (band.at_least or _SHORTEST, float("inf") if band.at_most is None else band.at_most),
    )


def unreachable(decisions: Iterable[api.Decision]) -> Iterator[tuple[int, str]]:
    """Yields the place of each decision that none of the prompts reach, and what takes them."""
    before: list[tuple[str, _Asked]] = []
    for place, decision in enumerate(decisions):
        asked = _asked(decision.when)
        taker = next((name for name, earlier in before if earlier.covers(asked)), None)
        if taker is not None:
            yield place, f"decision {taker!r} takes every prompt of it"
        elif any(joint.covers(asked) for joint in _joint(earlier for _, earlier in before)):
            yield place, "the decisions before it take every prompt of it together"
        before.append((decision.name, asked))


def _joint(earlier: Iterable[_Asked]) -> Iterator[_Asked]:
    """Yields what decisions that ask for one kind alone take together."""
    words: set[str] = set()
    domains: set[str] = set()
    bands: list[tuple[int, float]] = []
    for asked in earlier:
        if asked.words is not None and asked.domains is None and asked.band is None:
            words |= asked.words
        elif asked.domains is not None and asked.words is None and asked.band is None:
            domains |= asked.domains
        elif asked.band is not None and asked.words is None and asked.domains is None:
            bands.append(asked.band)
    if words:
        yield _Asked(frozenset(words), None, None)
    if domains:
        yield _Asked(None, frozenset(domains), None)
    for band in _merged(bands):
        yield _Asked(None, None, band)


def _merged(bands: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    merged: list[tuple[int, float]] = []
    for least, most in sorted(bands):
        if merged and least <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], most))
        else:
            merged.append((least, most))
    return merged
