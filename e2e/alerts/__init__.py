"""Situations for the alerts, as series of a real engine and of kube-state-metrics."""
