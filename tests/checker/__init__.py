"""A model checker: random lives of a claim, and what must hold after every step of them.

`world` is the cluster with pods, weights on a volume and an autoscaler, each moving by itself;
`changes` is what authors, platform owners and the world do; `oracle` says from the documentation
what a claim has to say; `laws` are the invariants; `test_lives` lets hypothesis interleave it all.
"""
