"""Alert and trigger expressions, held against what the engine and the cluster expose."""
