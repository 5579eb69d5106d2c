"""Forms of values that several parts of the settings have."""

import re
from typing import Annotated, Any

import pydantic

from function.api import base, claim_pod

Image = Annotated[str, base.text(255, claim_pod.IMAGE)]
Port = Annotated[int, base.number(1, 65535)]
# Printable ASCII: `\s` would mean Unicode's blanks to pydantic and ASCII's to the API server.
URL = rf"^https?://([!-.0-~]*@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:{base.PORT})?([/?#][!-~]*)?$"
Url = Annotated[
    Annotated[str, base.text(512, URL)],
    base.OneMessage("must be an address such as http://proxy:3128, its port at most 65535"),
]
_ADDRESS = re.compile(URL)
# What Cilium takes as matchName and matchPattern, with the site's region to be filled in.
_LABEL = r"([A-Za-z0-9*]|\{region\})([A-Za-z0-9*-]|\{region\})*"
HOST_PATTERN = base.form(
    rf"^{_LABEL}(\.{_LABEL})*\.?$",
    "a host such as sts.{region}.amazonaws.com or *.example.com: letters, digits, '-' and '*' with"
    " dots between them, and no braces but {region}",
)
HostPattern = Annotated[str, base.text(255, HOST_PATTERN)]
NAMESPACE = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"
Namespace = Annotated[str, base.text(63, NAMESPACE)]
Namespaces = Annotated[list[Namespace], base.items(64)]
# Printable ASCII, braces for the two names alone. `function/boundary/grants.py` matches.
PATTERN = r"^([!-z|~]|\{name\}|\{namespace\})+$"
PatternList = Annotated[list[Annotated[str, base.text(512, PATTERN)]], base.items(64)]
Patterns = Annotated[dict[Namespace, PatternList], base.items(32), base.NULLS_ABSENT]


def port(address: str) -> int:
    """Returns the port of an address that `Url` takes; its scheme's own when it names none.

    Not by `urllib.parse`: that refuses what a pattern cannot, such as `http://[0]`.
    """
    written = _ADDRESS.fullmatch(address)
    digits = written and written[4]
    if digits:
        return int(digits)
    return 443 if address.startswith("https:") else 80


def quantities(**resources: int | str) -> Any:
    """A default of a map of resources."""
    return pydantic.Field(default_factory=lambda: dict(resources))
