"""A stand-in for the KCL module 0.9.0: a function that desires what 0.9.0 desired.

``python -m e2e.previous`` serves it. For a claim whose objects were recorded
(``tests/fixtures/0.9.0``) it gives those, and says that they are ready, as function-auto-ready did.
What it does not stand in for is everything that 0.9.0 worked out.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from crossplane.function import resource as resources
from crossplane.function import response as responses
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from e2e import shipped
from e2e.controlplane import api
from function.server import intake, serving

FIXTURES = shipped.ROOT / "tests" / "fixtures" / "0.9.0"


def recorded(claim: str) -> dict[str, api.Object]:
    """The objects of 0.9.0 for a claim, by key."""
    items = api.load(FIXTURES / f"{claim.removeprefix('xplane-')}.yaml")
    return {item["metadata"]["annotations"][shipped.KEY]: item for item in items}


class Previous:
    """Answers RunFunction with the recorded objects."""

    async def RunFunction(  # noqa: N802 - the service's name
        self, received: intake.Received, _: Any
    ) -> fnv1.RunFunctionResponse:
        """Returns them, whatever is observed."""
        req = received.request
        rsp = responses.to(req)
        claim = resources.struct_to_dict(req.observed.composite.resource)["metadata"]["name"]
        for key, item in recorded(claim).items():
            target = rsp.desired.resources[key]
            resources.update(target, _desired(item))
            target.ready = fnv1.READY_TRUE
        return rsp


def _desired(item: api.Object) -> api.Object:
    """A recorded object without what core adds: its key, its owner's label, the namespace."""
    metadata = item["metadata"]
    labels = {k: v for k, v in metadata["labels"].items() if k != "crossplane.io/composite"}
    annotations = {k: v for k, v in metadata["annotations"].items() if k != shipped.KEY}
    bare = {"name": metadata["name"], "labels": labels}
    if annotations:
        bare["annotations"] = annotations
    return item | {"metadata": bare}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="The objects of 0.9.0 as a function.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--http-address", default="")
    parser.add_argument("--tls-server-certs-dir", type=pathlib.Path, required=True)
    given = parser.parse_args()
    options = serving.Options(
        address=given.address,
        http_address=given.http_address,
        tls_certs_dir=str(given.tls_server_certs_dir),
        insecure=False,
        max_recv_message_size=4,
        max_send_message_size=None,
        drain_seconds=1,
    )
    serving.serve(Previous(), options)


if __name__ == "__main__":
    main()
