"""Real nodes: machines with a kubelet, a container runtime and a network of their own."""
