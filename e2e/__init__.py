"""End-to-end tests: the product on a real control plane, without Docker or a kubelet."""
