"""From a caller with a key to an engine's pod, through the front door of a namespace.

An author applies an InferenceGateway as its guide says, and Crossplane composes the Gateway and its
policies. Envoy Gateway, the AI gateway and Envoy are the released programs, in pods that kubelets
run on machines of their own; the engine is a stand-in. Every question is put to each proxy.

All files share one front door, so one worker runs them, in the order of ``e2e/conftest.py``.
"""
