"""Nothing foreign is adopted: an object that is there already is not taken for the claim's.

Core applies by server-side apply with force. An object of the same kind and name that has no
controller becomes the claim's: its fields are overwritten, and it is deleted with the claim. So the
name of an object that was never observed is asked for before the object is emitted, and a stranger
under that name is fatal. Core calls again with the objects before it applies anything, so the
answer that asks may hold the object (crossplane v2.3.4 and v2.4.0,
internal/xfn/required_resources.go). A core that reads nothing for functions gets the objects
unasked.

examples/admission/adoption.yaml says the same at the API server, for the moment between the
question and the write. Both go by `owned`: change both.
"""

from collections.abc import Collection, Iterable, Iterator

from function import composition
from function.api import base
from function.cluster import gating, observed

# What core writes on everything that it composes: the object's key, and its claim's name.
KEY_ANNOTATION = "crossplane.io/composition-resource-name"
CLAIM_LABEL = "crossplane.io/composite"

_REQUIREMENT = "object "


def questions(
    world: observed.Observed,
    unobserved: Iterable[composition.Composed],
    optional: Collection[tuple[str, str]],
) -> dict[str, composition.Selector]:
    """Returns which objects to read, by the name under which they come back.

    Args:
        world: What the cluster reports.
        unobserved: What is desired and was never observed.
        optional: `(apiVersion, kind)` that the cluster may lack. Reading a kind that is not there
            fails the whole call, so core must have said first that it is.
    """
    if not world.can_read:
        return {}
    resources = {}
    for composed in unobserved:
        kind = composed.manifest["apiVersion"], composed.manifest["kind"]
        if kind not in optional or world.has(*kind):
            name = composed.manifest["metadata"]["name"]
            resources[_requirement(composed)] = composition.Selector(*kind, name=name)
    return resources


def check(world: observed.Observed, unobserved: Iterable[composition.Composed]) -> None:
    """Checks that no name of a new object is taken.

    Raises:
        base.InvalidError: An object that is not the claim's has the name of one that is desired.
    """
    problems = list(_problems(world, unobserved))
    if problems:
        raise base.InvalidError("claim", problems[: base.MOST_PROBLEMS], "NameTaken")


def owned(world: observed.Observed, suffix: str, item: observed.Object) -> bool:
    """Tells whether an object is the claim's own.

    The claim controls it. Or nobody does, and it has the marks that core wrote when it composed it
    for a claim of this name: a backup that restores claims and objects loses the controllers. Such
    marks anybody can write, so they are not enough for a Job whose end gives a canary its share: it
    could have been made, and run, before there was anything to judge.
    """
    controller = _controller(item)
    if controller is not None:
        return bool(observed.at(controller, "uid") == world.uid)
    if suffix.startswith(gating.SUFFIX):
        return False
    key = observed.at(item, "metadata", "annotations", KEY_ANNOTATION)
    claim = observed.at(item, "metadata", "labels", CLAIM_LABEL)
    return bool(key == f"{world.name}-{suffix}" and claim == world.name)


def _requirement(composed: composition.Composed) -> str:
    return _REQUIREMENT + composed.suffix


def _controller(item: observed.Object) -> observed.Object | None:
    for owner in observed.at(item, "metadata", "ownerReferences") or ():
        if observed.at(owner, "controller") is True:
            return owner  # type: ignore[no-any-return]
    return None


def _problems(
    world: observed.Observed, unobserved: Iterable[composition.Composed]
) -> Iterator[base.Problem]:
    for composed in unobserved:
        for item in world.required.get(_requirement(composed), ()):
            if not owned(world, composed.suffix, item):
                yield _problem(world, composed, item)


def _problem(
    world: observed.Observed, composed: composition.Composed, item: observed.Object
) -> base.Problem:
    kind, name = composed.manifest["kind"], composed.manifest["metadata"]["name"]
    secret = kind == "ExternalSecret"
    remedy = "use another name here" if secret else "give the claim another name"
    if secret:
        remedy += ", or name the Secret in spec.envFromSecrets"
    controller = _controller(item)
    if controller is None:
        whose = "nothing controls it"
    else:
        owner = observed.at(controller, "kind"), observed.at(controller, "name")
        whose = f"the {owner[0]} {owner[1]} controls it"
        if owner[0] in ("InferenceService", "InferenceGateway") and owner[1] == world.name:
            whose = "an earlier claim of this name controls it"
            remedy = "wait until Kubernetes has deleted it"
    return base.Problem(
        "spec.externalSecrets" if secret else "metadata.name",
        f"the namespace has a {kind} {name} that is not this claim's ({whose}): {remedy}, or delete"
        " the object if nothing needs it",
    )
