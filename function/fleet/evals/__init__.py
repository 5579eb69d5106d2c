"""Evaluations: each model behind a front door is asked by a schedule, and its results told."""
