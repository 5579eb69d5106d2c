"""Where a request may have a caller's key or token."""

from function.planning import identity

# OpenAI's clients write `Bearer` before it, in the first; Anthropic's have the second.
AUTHORIZATION, API_KEY = "Authorization", "x-api-key"
HEADERS = (AUTHORIZATION, API_KEY)


def removed() -> identity.Manifest:
    """Returns the part of an AIServiceBackend by which who answers gets neither.

    Envoy Gateway takes a key away where it is judged, and passes a token on.
    """
    return {"headerMutation": {"remove": [name.lower() for name in HEADERS]}}
