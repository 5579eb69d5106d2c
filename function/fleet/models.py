"""The models behind a front door: which claims are published, and why others are not."""

from function.cluster import observed
from function.concerns import reasons
from function.fleet import situations


class ModelsReady(reasons.Reasons):
    """Reasons of ModelsReady."""

    PUBLISHED = reasons.Reason(
        "Published",
        True,
        "Every selected claim with `gateway.enabled` is published.",
    )
    PARTLY = reasons.Reason(
        "Partly",
        True,
        "Some of them are; the message names the others.",
        "`kubectl -n llm describe inferenceservices.cloud.ogenki.io NAME`: its RouteReady"
        " ([RouteReady](#routeready)).",
    )
    NOT_READ = reasons.Reason(
        "NotRead",
        False,
        "Crossplane has not read the claims of the namespace yet.",
        "Wait a moment.",
    )
    NOT_THE_PARENT = reasons.Reason(
        "NotTheParent",
        False,
        "The settings publish the claims of the namespace on another Gateway; the message says on"
        " which.",
        "Name this object in the settings' `frontDoor.namespaces` once GatewayReady is True.",
        alarm=True,
    )
    NO_CLAIMS = reasons.Reason(
        "NoClaims",
        False,
        "No claim is selected that asks to be published.",
        "A claim with `gateway.enabled`, and labels that `selector` asks for.",
    )
    NOT_PUBLISHED = reasons.Reason(
        "NotPublished",
        False,
        "None of the selected claims is published yet.",
        "The same as for Partly.",
    )


# So many claims are named in a message.
_MOST_NAMED = 8


def condition(now: situations.Situation) -> observed.Condition:
    """Returns ModelsReady."""
    if not now.members.read:
        return ModelsReady.NOT_READ.condition("the claims of the namespace are not read yet")
    if not now.door.attached:
        return ModelsReady.NOT_THE_PARENT.condition(
            f"the settings publish claims of namespace {now.door.identity.namespace} on"
            f" {now.door.published_on}, not on {'/'.join(now.door.parent)}"
        )
    asking = [member for member in now.members.members if member.asks]
    waiting = [member.name for member in asking if not member.published]
    if not asking:
        return ModelsReady.NO_CLAIMS.condition("no selected claim has gateway.enabled")
    more = f" and {len(waiting) - _MOST_NAMED} more" if len(waiting) > _MOST_NAMED else ""
    listed = ", ".join(waiting[:_MOST_NAMED]) + more
    if len(waiting) == len(asking):
        return ModelsReady.NOT_PUBLISHED.condition(f"not published yet: {listed}")
    if waiting:
        return ModelsReady.PARTLY.condition(f"not published yet: {listed}")
    return ModelsReady.PUBLISHED.condition("every selected claim is published")
