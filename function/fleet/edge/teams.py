"""Teams of the proxy before a front door: each caller is in one at most."""

from collections.abc import Iterator

from function.api import base, gateway


def refusals(resource: gateway.InferenceGateway) -> Iterator[base.Problem]:
    """Yields what is wrong with the teams of the proxy: who is in none, or in two."""
    if resource.spec.edge is None:
        return
    spec = resource.spec.edge.litellm
    known = {caller.name for caller in resource.spec.callers or []} - {spec.caller}
    placed: dict[str, str] = {}
    for index, team in enumerate(spec.teams):
        for place, name in enumerate(team.callers):
            path = f"spec.edge.litellm.teams[{index}].callers[{place}]"
            if name == spec.caller:
                yield base.Problem(path, f"{name!r} is the proxy itself, which has no key there")
            elif name not in known:
                yield base.Problem(path, f"{name!r} is none of callers")
            elif name in placed:
                yield base.Problem(path, f"{name!r} is in team {placed[name]!r} already")
            placed.setdefault(name, team.name)
