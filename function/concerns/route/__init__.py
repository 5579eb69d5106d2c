"""The plain HTTP route to the engine."""
