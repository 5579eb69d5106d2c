"""What runs inside of the engine's process: programs of the standard library alone."""
