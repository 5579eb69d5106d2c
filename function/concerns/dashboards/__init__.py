"""Dashboards: what a claim does, drawn for people."""
