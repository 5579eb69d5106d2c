"""The engines that there are."""

from function.api import claim
from function.engines import engine
from function.engines.tei import router
from function.engines.vllm import server

ENGINES: dict[str, engine.Engine] = {server.NAME: server, router.NAME: router}

DEFAULT = server.NAME


def chosen(spec: claim.Spec) -> engine.Engine:
    """Returns the engine that serves a claim."""
    return ENGINES[spec.engine_kind]


def of(name: str) -> engine.Engine:
    """Returns the engine of a name, or the default for one that nobody has any more."""
    return ENGINES.get(name, ENGINES[DEFAULT])
