"""vLLM Semantic Router's own judge of configurations, on this machine."""
