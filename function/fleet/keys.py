"""Who may call what: one policy on the Gateway, which denies whatever it does not allow.

Envoy asks for the key first, then the AI gateway reads the model from the body, then the rules are
judged, with the caller's name and the model in two headers (Envoy Gateway 1.9.0, httpfilters.go).
Keys of routes would not do: before the body is read, a request is matched by the catch-all of
whichever route is the oldest, and its policy would be asked.
"""

from collections.abc import Iterator

from function import assembly, canonical, duration, kinds
from function.api import gateway as api
from function.cluster import observed, readiness, routes
from function.concerns import reasons
from function.concerns.gateway import credentials
from function.fleet import doors, rows, situations
from function.planning import identity

# Envoy Gateway: values of one header in a rule, at most.
_MOST_VALUES = 256


class CallersReady(reasons.Reasons):
    """Reasons of CallersReady."""

    ENFORCED = reasons.Reason(
        "Enforced",
        True,
        "Every caller's key is in force; whoever has none is refused.",
    )
    UNKNOWN_MODEL = reasons.Reason(
        "UnknownModel",
        True,
        "The same, and a caller may use a model that no selected claim serves; the message names"
        " both. It counts as soon as one does.",
        "Correct the name, or wait for the claim.",
    )
    ELSEWHERE = reasons.Reason(
        "Elsewhere",
        True,
        "`spec.gateway` names a Gateway of somebody else, whose keys are its own.",
    )
    NO_CALLERS = reasons.Reason(
        "NoCallers",
        False,
        "Nobody may call: every request is refused.",
        "Name somebody in `spec.callers`.",
    )
    NOT_PROVIDED = reasons.Reason(
        "NotProvided",
        False,
        "A caller's key is in a store, and the settings have no provider of Secrets.",
        "Set `providers.secrets`, or use `secretRef`.",
        alarm=True,
    )
    KIND_MISSING = reasons.MISSING_KIND
    KEY_PENDING = reasons.Reason(
        "KeyPending",
        False,
        "A caller's key is not fetched yet; the others are in force.",
        "`kubectl -n llm describe externalsecret`: the path (`remoteRef`), the store.",
    )
    WAITING = reasons.Reason(
        "Waiting",
        False,
        "The gateway has not said yet that it took the policy.",
        "Wait a moment; [GatewayReady](#gatewayready).",
    )
    REFUSED = reasons.Reason(
        "Refused",
        False,
        "The gateway refuses the policy, and every request with 403; the message is the"
        " controller's. A Secret is missing, or two callers have one key. Anybody may read the list"
        " of models meanwhile.",
        "Make the Secret that `secretRef` names, with the caller's name as its key; change the key"
        " that is there twice.",
        alarm=True,
    )
    OVERRIDDEN = reasons.Reason(
        "Overridden",
        False,
        "On some routes a SecurityPolicy or ClientTrafficPolicy of somebody else holds in place of"
        " the object's own, or over it. Who may call there is what that one says, perhaps"
        " everybody.",
        "`kubectl -n llm get securitypolicies,clienttrafficpolicies`: delete the other policy, and"
        " let nobody but the platform write such ones.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the policy of the Gateway, and what fetches keys from the store.

    What the observed policy still names stays: core deletes before it applies, and a policy without
    one of its Secrets fails as a whole.
    """
    door = now.door
    if not (door.own and door.provided):
        return
    fetched = {c.name: c.external_secret for c in door.callers if c.external_secret is not None}
    if door.site.providers.secrets != "none":
        for name, key in fetched.items():
            yield assembly.Part(f"{rows.KEY}{name}", external_secret(door, name, key))
    else:
        fetched = {}
    named = situations.credentials(now.world.get(rows.SECURITY))
    for suffix, resource in now.world.starting(rows.KEY):
        name = suffix.removeprefix(rows.KEY)
        if name not in fetched and situations.secret_name(door, name) in named:
            spec = canonical.plain(observed.at(resource, "spec") or {})
            yield assembly.Part(suffix, _external_secret(door, name, spec), readiness.READY)
    yield assembly.Part(rows.SECURITY, security_policy(now))


def external_secret(door: doors.Door, caller: str, key: api.ExternalKey) -> identity.Manifest:
    """Returns what fetches a caller's key: a Secret whose key is the caller's name."""
    remote: identity.Manifest = {
        "key": key.remote_ref,
        "conversionStrategy": "Default",
        "decodingStrategy": "None",
        "metadataPolicy": "None",
    }
    if key.property is not None:
        remote["property"] = key.property
    store = door.site.secret_store
    spec = {
        # In its controller's own form, so that nothing drifts.
        "refreshInterval": duration.normal(key.refresh_interval or "1h"),
        "secretStoreRef": {"kind": store.kind, "name": store.name},
        "target": {
            "name": situations.secret_name(door, caller),
            "creationPolicy": "Owner",
            "deletionPolicy": "Retain",
        },
        "data": [{"secretKey": caller, "remoteRef": remote}],
    }
    return _external_secret(door, caller, spec)


def _external_secret(door: doors.Door, caller: str, spec: identity.Manifest) -> identity.Manifest:
    name = situations.secret_name(door, caller)
    return {
        "apiVersion": kinds.EXTERNAL_SECRET.api_versions[0],
        "kind": kinds.EXTERNAL_SECRET.name,
        "metadata": door.identity.metadata(name, component=doors.COMPONENT),
        "spec": spec,
    }


def security_policy(now: situations.Situation) -> identity.Manifest:
    """Returns the policy: keys, and what each caller may use.

    A key is asked for also where none is in force. The AI gateway answers the list of models
    before the rules are judged: without that question anybody could read it.
    """
    door = now.door
    keyed = [grant for grant in now.in_force if grant.caller.jwt is None]
    secrets = dict.fromkeys(situations.key_secret(door, grant.caller) for grant in keyed)
    rules = [rule for grant in keyed for rule in rules_of(grant)]
    secret = now.router_key
    spec: identity.Manifest = {
        "targetRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": door.identity.name}
        ],
        "apiKeyAuth": {
            "credentialRefs": [{"group": "", "kind": "Secret", "name": name} for name in secrets],
            "extractFrom": [{"headers": list(credentials.HEADERS)}],
            "forwardClientIDHeader": routes.CALLER_HEADER,
            # Engines need no key, and their logs and pods should have none.
            "sanitize": True,
        },
        "authorization": {"defaultAction": "Deny", **({"rules": rules} if rules else {})},
    }
    return {
        "apiVersion": kinds.SECURITY_POLICY.api_versions[0],
        "kind": kinds.SECURITY_POLICY.name,
        "metadata": door.identity.metadata(
            component=doors.COMPONENT,
            annotations=None if secret is None else {situations.ROUTER_SECRET: secret},
        ),
        "spec": spec,
    }


def rules_of(
    grant: situations.Grant, token: identity.Manifest | None = None
) -> Iterator[identity.Manifest]:
    """Yields the rules of a caller.

    Args:
        grant: What the caller may use.
        token: What the caller's token must be, of one with a token.
    """
    name = grant.caller.name
    caller = {"name": routes.CALLER_HEADER, "values": [name]}
    if grant.models is None:
        yield _rule(f"caller-{name}", [caller], token)
        return
    for start in range(0, len(grant.models), _MOST_VALUES):
        chosen = list(grant.models[start : start + _MOST_VALUES])
        part = f"-{start // _MOST_VALUES + 1}" if start else ""
        model = {"name": routes.MODEL_HEADER, "values": chosen}
        yield _rule(f"caller-{name}{part}", [caller, model], token)


def _rule(
    name: str, headers: list[identity.Manifest], token: identity.Manifest | None
) -> identity.Manifest:
    principal = {"headers": headers, **({} if token is None else {"jwt": token})}
    return {"name": name, "action": "Allow", "principal": principal}


_TAKEN = readiness.per_parent("ancestors", "Accepted")


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns CallersReady."""
    door = now.door
    if not door.own:
        return CallersReady.ELSEWHERE.condition("the Gateway has keys of its own, or none")
    absent = desired.lacking(CallersReady.type())
    if absent is not None:
        provider = "secrets" if absent.endswith(kinds.EXTERNAL_SECRET.name) else "gateway"
        return CallersReady.KIND_MISSING.condition(reasons.missing(absent, provider))
    policies = [rows.SECURITY, *([rows.TOKENS] if door.issuers else [])]
    taken = readiness.READY
    for policy in map(now.world.get, policies):
        one = readiness.NOT_CREATED if policy is None else _TAKEN(policy)
        refusal = situations.refused(policy)
        if refusal is not None:
            return CallersReady.REFUSED.condition(f"SecurityPolicy: {refusal}")
        taken = taken if one.ready else one
    other = _overridden(now)
    if other is not None:
        return CallersReady.OVERRIDDEN.condition(other)
    if not door.callers:
        return CallersReady.NO_CALLERS.condition("spec.callers names nobody: all are refused")
    if now.pending and door.site.providers.secrets == "none":
        return CallersReady.NOT_PROVIDED.condition("the settings have no provider of secrets")
    if now.pending:
        listed = ", ".join(sorted(now.pending))
        return CallersReady.KEY_PENDING.condition(f"the key is not fetched yet: {listed}")
    if not taken.ready:
        return CallersReady.WAITING.condition(f"SecurityPolicy: {taken.message}")
    unknown = [f"{name} ({g.caller.name})" for g in now.grants for name in g.unknown]
    if unknown:
        words = f"no selected claim serves {', '.join(unknown)}"
        return CallersReady.UNKNOWN_MODEL.condition(words)
    return CallersReady.ENFORCED.condition("every caller's key is in force")


def _overridden(now: situations.Situation) -> str | None:
    """Returns what the gateway says of a policy that holds in place of one of the door's own.

    One on a route replaces the Gateway's or is merged over it, and one on a listener too. Without
    the door's ClientTrafficPolicy a client may write the caller's name, which counts where no key
    is asked for.
    """
    listener = f"{now.door.identity.namespace}/{now.door.identity.name}/{doors.TOKENS}"
    ours = f" for these gateway listeners: [{listener}]"
    for suffix in (rows.SECURITY, rows.TOKENS, rows.CLIENTS):
        policy = now.world.get(suffix)
        for ancestor in observed.items(policy, "status", "ancestors"):
            for kind in ("Overridden", "Merged"):
                condition = observed.condition(ancestor, kind)
                if condition is None or condition.status != "True":
                    continue
                # The policy of tokens holds on their listener in place of the one of keys.
                expected = now.door.issuers and suffix == rows.SECURITY
                if not (expected and condition.message.endswith(ours)):
                    return f"{observed.at(policy, 'kind')}: {condition.message or condition.reason}"
    return None
