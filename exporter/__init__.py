"""Writes the results of an evaluation as metrics to where the platform keeps them.

The second container of an evaluation's pod runs this package (`export-evals` in the preload image)
after Promptfoo; nothing else imports it, and it needs the standard library alone. `results` reads
what Promptfoo wrote, `program` writes it as Prometheus' text form and sends it.
"""
