"""What each engine knows of claims."""

from collections.abc import Iterable, Mapping
from typing import Any

from function.capacity import allotments
from function.engines import adviser, engine, engines
from function.engines.tei import advice as tei_advice
from function.engines.tei import router
from function.engines.vllm import advice, server
from function.findings import rules


class Silent:
    """The adviser of an engine that brings none: it breaks no rule, and nothing is known of it."""

    RULES: tuple[rules.Rule, ...] = ()
    NO_FLAG: tuple[rules.Rule, ...] = ()
    NAMED: tuple[rules.Rule, ...] = ()
    CONTEXT_WINDOW = allotments.SHORTEST_CONTEXT
    MAX_REQUESTS = allotments.LEAST_SEQUENCES

    def judge(
        self, plan: engine.Planned, adapters: Mapping[str, adviser.Adapter]
    ) -> Iterable[rules.Finding]:
        """Returns nothing."""
        del plan, adapters
        return ()

    def judge_arguments(self, *_: Any, **__: Any) -> tuple[()]:
        """Returns nothing."""
        return ()

    steps = judge_arguments

    def fits(self, *_: Any, **__: Any) -> None:
        """Returns that nobody knows."""

    instead = stretched = fits

    def in_force(self, planned: engine.Serving) -> dict[str, Any]:
        """Returns what every engine has."""
        return {"spec.engine.image": planned.image, "spec.engine.version": planned.release}

    def comparable(self, container: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the container as it is."""
        return dict(container)


SILENT: adviser.Adviser = Silent()
ADVISERS: dict[str, adviser.Adviser] = {server.NAME: advice, router.NAME: tei_advice}


def of(chosen: engine.Engine) -> adviser.Adviser:
    """Returns what an engine knows of claims."""
    return ADVISERS.get(chosen.NAME, SILENT)


def default() -> adviser.Adviser:
    """Returns what the engine knows that a claim gets without a word for another."""
    return of(engines.ENGINES[engines.DEFAULT])
