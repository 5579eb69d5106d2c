"""Judges one step of a canary by what the metrics store has of the gateway, and ends with a code.

The container of a gate's Job runs this package (`judge-canary` in the preload image); nothing else
imports it, and it needs the standard library alone. `plan` reads what is asked, `store` asks the
metrics store, `verdicts` decides on numbers alone, `program` waits and ends.
"""
