"""Servers that several tests only read from."""

from collections.abc import Iterator

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests.bench import requests
from tests.server import process


@pytest.fixture(scope="package")
def insecure() -> Iterator[process.Running]:
    with process.serving("--insecure") as server:
        yield server


@pytest.fixture(scope="session")
def request_() -> fnv1.RunFunctionRequest:
    """The first reconcile of an example claim."""
    return requests.first()
