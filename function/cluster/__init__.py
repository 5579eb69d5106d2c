"""Typed readers of what the cluster reports: one file for each thing that is read."""
