"""Secrets that are fetched for a claim from the platform's store."""

from typing import Annotated

import pydantic

from function import duration
from function.api import base


def _plain(path: str) -> bool:
    control = any(ord(character) < 32 or ord(character) == 127 for character in path)
    return not control and ".." not in path.split("/")


# 0.9.0 stored claims that break these, and a refusal of the schema would block their deletion. The
# boundary asks them of every claim that is rendered.
STORE_PATH = base.Rule(
    cel="!self.split('/').exists(s, s == '..') && self.matches('^[^\\\\x00-\\\\x1f\\\\x7f]*$')",
    message="a path of the store holds no segment '..' and no control character",
    holds=_plain,
    admission_only=True,
)

# What Go cannot read as a duration, External Secrets cannot list: then it fetches nobody's Secrets.
REFRESH = base.Rule(
    cel="duration(self) == duration('0s')"
    " || (duration(self) >= duration('1m') && duration(self) <= duration('8760h'))",
    message="must be 0s, which fetches once, or between 1m and 8760h",
    holds=lambda text: (
        duration.milliseconds(text) == 0
        or duration.within(text, 60 * duration.SECOND, 8760 * duration.HOUR)
    ),
    admission_only=True,
)


class ExternalSecret(base.Model):
    """A Secret that External Secrets fetches; also given to the engine's environment."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the ExternalSecret and of the Secret that it makes."
    )
    remote_ref: Annotated[str, base.text(512), STORE_PATH] = pydantic.Field(
        description="Path of the secret in the store; settings say which are allowed."
    )
    refresh_interval: Annotated[base.Duration, REFRESH] | None = pydantic.Field(
        None, description="1h when absent; 0s fetches once, otherwise at least 1m."
    )
