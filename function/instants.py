"""Times as the API server writes them (metav1.Time): RFC 3339, in seconds, in UTC."""

import datetime
import re
from typing import Any

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def read(text: Any) -> datetime.datetime | None:
    """Returns the time that a text is, or None where it is none, such as a 45th day."""
    # The form too: strptime takes fewer digits, and other digits than these.
    if not isinstance(text, str) or _FORM.fullmatch(text) is None:
        return None
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
