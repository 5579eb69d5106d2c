"""Secrets that another system keeps, fetched into the claim's namespace."""
