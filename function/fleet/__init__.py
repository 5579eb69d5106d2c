"""The front door of a namespace: what spans its claims, from the claims themselves."""
