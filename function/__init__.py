"""A Crossplane composition function that serves open-weight LLMs from one short claim.

`composites.inference_service.compose` turns a claim, the site's settings and what the cluster
reports into the objects that serve a model. Everything else here brings those three to it or takes
the answer away: `server` over gRPC for Crossplane, `cli` for a laptop or CI.
"""

__version__ = "1.1.0"
