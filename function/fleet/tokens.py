"""Callers with tokens: a listener of their own, and the policy that reads their tokens.

Envoy Gateway 1.9 asks for a key and for a token where one policy has both: its filter for keys has
no exception for requests without one. So tokens have a port of their own, whose policy holds there
in place of the Gateway's. The caller's name is a claim of the token, and goes into the header that
keys have it in: rules, limits and metrics are the same.
"""

from collections.abc import Iterator

from function import assembly, kinds
from function.api import gateway_tokens
from function.cluster import routes
from function.concerns.gateway import credentials
from function.fleet import doors, keys, rows, situations
from function.planning import identity


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the policy of the listener."""
    door = now.door
    if door.own and door.provided and door.issuers:
        yield assembly.Part(rows.TOKENS, security_policy(now))


def security_policy(now: situations.Situation) -> identity.Manifest:
    """Returns the policy: whose tokens count, and what each caller may use."""
    door = now.door
    target = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": door.identity.name,
        "sectionName": doors.TOKENS,
    }
    rules = [
        rule
        for grant in now.in_force
        if grant.caller.jwt is not None
        for rule in keys.rules_of(grant, _token(door, grant.caller.name, grant.caller.jwt))
    ]
    return {
        "apiVersion": kinds.SECURITY_POLICY.api_versions[0],
        "kind": kinds.SECURITY_POLICY.name,
        "metadata": door.identity.metadata(door.identity.part("tokens"), component=doors.COMPONENT),
        "spec": {
            "targetRefs": [target],
            "jwt": {"providers": [_provider(issuer) for issuer in door.issuers]},
            "authorization": {"defaultAction": "Deny", **({"rules": rules} if rules else {})},
        },
    }


def _provider(issuer: gateway_tokens.Issuer) -> identity.Manifest:
    given: identity.Manifest = {}
    if issuer.jwks_config_map is not None:
        reference = {"group": "", "kind": "ConfigMap", "name": issuer.jwks_config_map.name}
        given = {"localJWKS": {"type": "ValueRef", "valueRef": reference}}
    elif issuer.jwks_uri is not None:
        given = {"remoteJWKS": {"uri": issuer.jwks_uri, "cacheDuration": "300s"}}
    return {
        "name": issuer.name,
        "issuer": issuer.issuer,
        "audiences": list(issuer.audiences),
        **given,
        # Not from the address, where logs would have it.
        "extractFrom": {
            "headers": [
                {"name": credentials.AUTHORIZATION, "valuePrefix": "Bearer "},
                {"name": credentials.API_KEY},
            ]
        },
        "claimToHeaders": [
            {"header": routes.CALLER_HEADER, "claim": gateway_tokens.named_by(issuer)}
        ],
    }


def _token(door: doors.Door, caller: str, asked: gateway_tokens.Token) -> identity.Manifest:
    """Returns what a caller's token is: of its issuer, with its name, and what else is asked for.

    By the header alone each issuer could name the callers of all others.
    """
    issuer = next(one for one in door.issuers if one.name == asked.issuer)
    claims = [{"name": gateway_tokens.named_by(issuer), "valueType": "String", "values": [caller]}]
    for claim in asked.claims or []:
        kind = claim.type or "String"
        claims.append({"name": claim.name, "valueType": kind, "values": list(claim.values)})
    return {"provider": issuer.name, "claims": claims}
