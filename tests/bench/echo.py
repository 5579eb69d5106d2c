"""The least that a function on the SDK can do: `response.to(req)`, served by the SDK as it is."""

from typing import Any

import click
from crossplane.function import cli, response
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1


class Echo(grpcv1.FunctionRunnerServiceServicer):
    """Gives the desired state back."""

    async def RunFunction(self, req: fnv1.RunFunctionRequest, _: Any) -> fnv1.RunFunctionResponse:
        return response.to(req)


@click.command()
@cli.standard_options
def main(**options: Any) -> None:
    """Serves."""
    cli.run(Echo(), **options)


if __name__ == "__main__":
    main()
