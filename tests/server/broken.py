"""The server with a bug in the core, deep enough that frames with the request are in its trace."""

from typing import Any

from function import main
from function.composites import inference_service


def _bug(*_: Any) -> Any:
    raise RuntimeError("a bug")


if __name__ == "__main__":
    inference_service.compose = _bug  # type: ignore[assignment]
    main.main()
