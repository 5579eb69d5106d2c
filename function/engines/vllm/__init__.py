"""vLLM: its command line, what each flag of it can do."""
