"""A Kubernetes and Crossplane control plane on loopback, made of the programs in ``tools``."""
