"""What the engine understands: its arguments, its metrics, by engine version."""
