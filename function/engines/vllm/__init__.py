"""vLLM: its command line, container, metrics and alerts, and the rules of claims about them."""
