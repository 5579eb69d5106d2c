"""Engines: what each understands, a folder for each."""
