"""Objects that until 1.1 had a name that a claim could bear too.

Such an object has a new key and a new name. The former one stays until the new one does its work,
so that nothing is unprotected or unreachable in between.
"""

from function.cluster import observed, readiness
from function.situation import guards


def verdict(world: observed.Observed, former: str, suffix: str) -> readiness.Readiness | None:
    """Returns that an object is ready while the former one does its work; else None.

    An upgrade does not make a claim unready.

    Args:
        world: What the cluster reports.
        former: End of the former key.
        suffix: End of the key that takes its place.
    """
    if world.get(suffix) is not None or world.get(former) is None:
        return None
    return readiness.READY if guards.lack(world, former) is None else None


def stays(world: observed.Observed, former: str, suffix: str) -> bool:
    """Tells whether a former object must stay.

    Args:
        world: What the cluster reports.
        former: End of the former key.
        suffix: End of the key that takes its place.
    """
    return world.get(former) is not None and guards.lack(world, suffix) is not None
