"""One reason why an object is refused."""

import typing


class Finding(typing.NamedTuple):
    """A reason with the path that it is about.

    Attributes:
        path: as Kubernetes writes it, `spec.triggers[0].type`; empty for the object itself.
        message: what is wrong.
        blocking: the API server does not run CEL rules on an object that has such a finding (type,
            enum, required, too long, too many; `hasBlockingErr` in apiextensions-apiserver 1.36).
    """

    path: str
    message: str
    blocking: bool = False

    def __str__(self) -> str:
        return f"{self.path or '<object>'}: {self.message}"


def texts(findings: list[Finding]) -> list[str]:
    """Return the findings as text."""
    return [str(finding) for finding in findings]


def child(path: str, name: str) -> str:
    """Return the path of a declared property."""
    return f"{path}.{name}" if path else name
