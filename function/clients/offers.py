"""What claims offer to clients: names, and what each can do. From claims alone."""

import dataclasses
from collections.abc import Iterable, Iterator

from function.api import gateway
from function.planning import plans

# Tokens of an answer, at most, where a client asks: a quarter of the context, and at most so many.
_LONGEST_ANSWER = 8192
_SHARE = 4


@dataclasses.dataclass(frozen=True)
class Offer:
    """A name that clients may ask for.

    Attributes:
        name: What clients put into the field model of a request.
        claim: The claim that serves it; empty of a provider's.
        kind: chat, complete (fill-in-the-middle), embed or guard.
        context: Tokens of prompt and answer together, or None where nobody knows.
        tools: Whether it calls tools.
        reasoning: Whether its answers have a part in which it thinks.
    """

    name: str
    claim: str
    kind: str
    context: int | None
    tools: bool
    reasoning: bool

    @property
    def base(self) -> bool:
        """Whether it is a claim's base model, and no adapter."""
        return self.name == self.claim

    @property
    def answer(self) -> int | None:
        """Tokens of an answer that leave room for its prompt, or None."""
        return None if self.context is None else min(self.context // _SHARE, _LONGEST_ANSWER)


@dataclasses.dataclass(frozen=True)
class Access:
    """How the models are reached.

    Attributes:
        endpoint: Address of the OpenAI API, with its version.
        key_variable: Environment variable that holds the caller's key.
        offers: The names, in the order of claims.
    """

    endpoint: str
    key_variable: str
    offers: tuple[Offer, ...]

    def of(self, kind: str) -> list[Offer]:
        """Returns the names of a kind."""
        return [offer for offer in self.offers if offer.kind == kind]

    @property
    def small(self) -> Offer | None:
        """The chat model for small tasks: the last base model, or None."""
        return next((offer for offer in reversed(self.of("chat")) if offer.base), None)


def with_providers(claimed: Iterable[Offer], doors: Iterable[gateway.Spec]) -> tuple[Offer, ...]:
    """Returns the names of claims, then those of providers and routers that no claim has.

    They chat, and what else they can do nobody here knows. Those of a provider without OpenAI's API
    are left out: no client here speaks another.
    """
    named = {offer.name: offer for offer in claimed}
    for door in doors:
        for provider in sorted(door.providers or [], key=lambda provider: provider.name):
            if provider.api == "OpenAI":
                for model in sorted(provider.models, key=lambda model: model.name):
                    outside = Offer(model.name, "", "chat", None, tools=False, reasoning=False)
                    named.setdefault(model.name, outside)
        router = door.semantic_router
        if router is not None and not router.configuration_only:
            for virtual in sorted(router.models, key=lambda virtual: virtual.name):
                picked = Offer(virtual.name, "", "chat", None, tools=False, reasoning=False)
                named.setdefault(virtual.name, picked)
    return tuple(named.values())


def offers(published: Iterable[plans.Plan]) -> Iterator[Offer]:
    """Yields the names of claims: the base model, then its adapters, which do what it does."""
    for plan in published:
        for directory in plan.storage.directories:
            yield Offer(
                directory.name,
                plan.identity.name,
                _kind(plan),
                plan.serving.context_window,
                tools=plan.serving.calls_tools,
                reasoning=plan.serving.reasons,
            )


def words(plan: plans.Plan) -> list[str]:
    """Returns what the names of a claim can be asked for, as its status has it."""
    also = {"reasoning": plan.serving.reasons, "tools": plan.serving.calls_tools}
    return [_kind(plan), *(word for word, can in also.items() if can)]


def _kind(plan: plans.Plan) -> str:
    if not plan.serving.generates:
        return "embed"
    routing = plan.spec.routing
    return _SPECIALTIES.get(routing.specialty or "", "chat") if routing is not None else "chat"


_SPECIALTIES = {"code-fim": "complete", "guardrail": "guard"}
