"""How many replicas there are, by the engine's own saturation."""
