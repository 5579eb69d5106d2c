"""Label matchers of one claim's own pods. The names themselves are tested against expositions."""

from function.engines import engine
from function.planning import identity


def test_matchers_name_namespace_and_job() -> None:
    """Two claims of one name in two namespaces must not scale or alert together."""
    one, other = identity.Identity("a", "llm", {}), identity.Identity("a", "x", {})
    assert engine.matchers(one) == '{namespace="llm",job="a"}'
    assert engine.matchers(one, model_name="a") == ('{namespace="llm",job="a",model_name="a"}')
    assert engine.matchers(one) != engine.matchers(other)
