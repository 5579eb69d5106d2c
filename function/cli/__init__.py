"""The command line: the same `compose`, on a laptop or in CI, without a cluster."""
