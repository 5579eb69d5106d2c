"""Label matchers of one claim's own pods. The names themselves are tested against expositions."""

from function.engines.vllm import metrics


def test_matchers_name_namespace_and_job() -> None:
    """Two claims of one name in two namespaces must not scale or alert together."""
    assert metrics.matchers("a", "llm") == '{namespace="llm",job="a"}'
    assert metrics.matchers("a", "llm", model_name="a") == (
        '{namespace="llm",job="a",model_name="a"}'
    )
    assert metrics.matchers("a", "x") != metrics.matchers("a", "y")
