"""LiteLLM's proxy, on this machine."""
