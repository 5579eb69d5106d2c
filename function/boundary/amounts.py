"""Amounts that a container or a pod asks for, as far as Kubernetes refuses them at any node.

Of devices and huge pages nothing is overcommitted: request and limit are one whole amount.
"""

import decimal
from collections.abc import Iterator, Mapping
from typing import Any

from function.api import base, claim_pod
from function.capacity import quantity
from function.cluster import observed

STANDARD = frozenset(("cpu", "ephemeral-storage", "memory"))
# What a pod may ask for as a whole, beside huge pages.
_OF_PODS = frozenset(("cpu", "memory"))
_PAGES = "hugepages-"
_ONE = decimal.Decimal(1)

Amounts = Mapping[str, int | str]


def of_claim(own: claim_pod.ResourceRequirements) -> Iterator[base.Problem]:
    """Yields what Kubernetes cannot give of `spec.resources`.

    A request above its limit is no problem: the limit stands, and the request follows.
    """
    path = "spec.resources"
    requests, limits = own.requests or {}, own.limits or {}
    yield from _named(requests, limits, path, STANDARD)
    yield from _exact(requests, limits, path)


def of_pod(pod: Any, path: str) -> Iterator[base.Problem]:
    """Yields what Kubernetes cannot give of a whole pod spec, whose amounts are quantities."""
    for group in ("initContainers", "containers"):
        for index, container in enumerate(observed.at(pod, group) or []):
            at = f"{path}.{group}[{index}].resources"
            # Devices are the claim's own: `patches` lets none be changed.
            requests, limits = (
                {key: amount for key, amount in amounts.items() if "/" not in key}
                for amounts in _asked(container)
            )
            yield from _named(requests, limits, at, STANDARD)
            yield from _exact(requests, limits, at)
            yield from _ordered(requests, limits, at)
            yield from _beside(requests, limits, at)
    yield from _of_the_whole(pod, f"{path}.resources")


def _asked(holder: Any) -> tuple[Amounts, Amounts]:
    """Returns requests and limits of a container or a pod."""
    requests = observed.at(holder, "resources", "requests")
    return requests or {}, observed.at(holder, "resources", "limits") or {}


def _named(
    requests: Amounts, limits: Amounts, path: str, standard: frozenset[str]
) -> Iterator[base.Problem]:
    """Yields each resource that there is not, and huge pages that are no whole pages."""
    for kind, amounts in (("requests", requests), ("limits", limits)):
        for key in sorted(amounts):
            at = f"{path}.{kind}.{key}"
            if quantity.parse(amounts[key]) > quantity.MOST:
                words = f"{amounts[key]} is above {quantity.MOST}, the most that Kubernetes counts"
                yield base.Problem(at, f"{words}: write less")
            elif key.startswith(_PAGES):
                yield from _pages(key, amounts[key], at)
            elif key.startswith("requests."):
                yield base.Problem(at, "a resource cannot begin with requests.: quotas do")
            elif "/" not in key and key not in standard:
                yield base.Problem(at, f"there are {', '.join(sorted(standard))} and {_PAGES}*")


def _pages(key: str, amount: int | str, path: str) -> Iterator[base.Problem]:
    size = key.removeprefix(_PAGES)
    try:
        page = quantity.parse(size)
    except ValueError:
        page = decimal.Decimal(0)
    if not 0 < page <= quantity.MOST or not quantity.divides(_ONE, page):
        words = f"{size!r} is no size of a page: write for example {_PAGES}2Mi"
        yield base.Problem(path, words)
        return
    whole = quantity.parse(amount).to_integral_value(decimal.ROUND_CEILING)
    if not quantity.divides(page, whole):
        yield base.Problem(path, f"{amount} is no multiple of {size}")


def _exact(requests: Amounts, limits: Amounts, path: str) -> Iterator[base.Problem]:
    """Yields devices and huge pages of which request and limit are not one whole amount."""
    for key in sorted({*requests, *limits} - STANDARD):
        request, limit = requests.get(key), limits.get(key)
        at = f"{path}.requests.{key}" if limit is None else f"{path}.limits.{key}"
        asked = quantity.parse(base.given(limit, request))
        if "/" in key and not quantity.divides(_ONE, asked):
            yield base.Problem(at, "must be a whole number")
        elif limit is None and key.startswith(_PAGES):
            yield base.Problem(at, "needs the same limit")
        elif (
            limit is not None
            and request is not None
            and quantity.parse(limit) != quantity.parse(request)
        ):
            yield base.Problem(at, "must be the same as the request")


def _beside(requests: Amounts, limits: Amounts, path: str) -> Iterator[base.Problem]:
    """Yields huge pages that stand alone."""
    keys = {*requests, *limits}
    if any(key.startswith(_PAGES) for key in keys) and not _OF_PODS & keys:
        yield base.Problem(path, "huge pages need cpu or memory beside them")


def _ordered(requests: Amounts, limits: Amounts, path: str) -> Iterator[base.Problem]:
    """Yields each request above its limit."""
    for key in sorted(requests.keys() & limits.keys() & STANDARD):
        if quantity.parse(requests[key]) > quantity.parse(limits[key]):
            words = f"{requests[key]} is above the limit of {limits[key]}"
            yield base.Problem(f"{path}.requests.{key}", words)


def _of_the_whole(pod: Any, path: str) -> Iterator[base.Problem]:
    """Yields what a pod's own amounts leave its containers too little of."""
    requests, limits = _asked(pod)
    yield from _named(requests, limits, path, _OF_PODS)
    for kind, amounts in (("requests", requests), ("limits", limits)):
        for key in sorted(key for key in amounts if "/" in key):
            yield base.Problem(f"{path}.{kind}.{key}", "is asked for by containers")
    yield from _exact(requests, limits, path)
    yield from _ordered(requests, limits, path)
    yield from _beside(requests, limits, path)
    containers = [_asked(container) for container in observed.at(pod, "containers") or []]
    for key in sorted(_OF_PODS & requests.keys()):
        asked = sum(quantity.parse(amounts.get(key, 0)) for amounts, _ in containers)
        if quantity.parse(requests[key]) < asked:
            yield base.Problem(f"{path}.requests.{key}", "is below what the containers request")
    for key in sorted(_OF_PODS & limits.keys()):
        if any(
            quantity.parse(amounts.get(key, 0)) > quantity.parse(limits[key])
            for _, amounts in containers
        ):
            yield base.Problem(f"{path}.limits.{key}", "is below the limit of a container")
