"""The server with an answer that takes time: `SLOW_SECONDS`, waited, not computed."""

import asyncio
import os
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function import main
from function.server import intake, runner


class Slow(runner.Runner):
    """Waits, then answers."""

    async def RunFunction(
        self, received: intake.Received, context: Any
    ) -> fnv1.RunFunctionResponse:
        await asyncio.sleep(float(os.environ["SLOW_SECONDS"]))
        return await super().RunFunction(received, context)


if __name__ == "__main__":
    runner.Runner = Slow  # type: ignore[misc]
    main.main()
