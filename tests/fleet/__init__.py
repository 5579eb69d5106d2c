"""The second kind: the front door of a namespace."""
