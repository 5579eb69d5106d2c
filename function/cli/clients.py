"""`inference-service clients`: configuration of chats, editors and libraries from claims."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import click

from function.api import base, gateway, gateway_tokens
from function.cli import options, planned, refused, rendering, result, terminal
from function.clients import forms, offers
from function.cluster import observed
from function.composites import inference_gateway
from function.concerns.gateway import envoy_ai_gateway

KEY_VARIABLE = "INFERENCE_API_KEY"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"https?://[^\s\"'$`\\{}]+")


@click.command()
@options.claims_and_site
@click.option(
    "--for",
    "client",
    required=True,
    type=click.Choice(list(forms.FORMS)),
    help="Whose configuration is written.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Address of the OpenAI API, with /v1. By default that of an InferenceGateway among the"
    " claims that has a hostname, or that of the settings' gateway.",
)
@click.option(
    "--key-variable",
    default=KEY_VARIABLE,
    show_default=True,
    metavar="NAME",
    help="Environment variable, or secret of the client, that holds the key. No key is written.",
)
@click.option(
    "--caller",
    metavar="NAME",
    help="A caller of the InferenceGateway among the claims: only what this one may use is in it,"
    " and the address is that of its key or token.",
)
@options.output(
    "text",
    "json",
    words="text is the configuration. json has it as a field, beside the models with what they do.",
)
def clients(
    claims: tuple[str, ...],
    environments: tuple[str, ...],
    input_file: str | None,
    client: str,
    endpoint: str | None,
    key_variable: str,
    caller: str | None,
    output: Literal["text", "json"],
) -> None:
    """Write the configuration of a program that calls the models of claims.

    Claims in files or directories; `-` reads standard input. Claims with gateway.enabled are in
    it: served names, adapters, context, tools, fill-in-the-middle, embeddings.

    Exit codes: 0 it was written. 1 a claim or the settings cannot be used, or there is no model for
    this client. 2 wrong usage, no address or several, no claim at all, or something could not be
    read.
    """
    inputs = planned.Inputs(claims, environments, input_file)
    if inputs.repeats_standard_input:
        raise click.UsageError("standard input can be read once: `-` stands there twice")
    if _VARIABLE.fullmatch(key_variable) is None:
        raise click.UsageError(f"--key-variable {key_variable!r} is no name of a variable")
    if endpoint is not None and _ADDRESS.fullmatch(endpoint) is None:
        raise click.UsageError(f"--endpoint {endpoint!r} is no address such as https://host/v1")
    fleet = planned.read(inputs)
    for note in fleet.notes:
        terminal.complain(f"note: {note}")
    if (code := _unusable(fleet)) is not None:
        sys.exit(code)
    doors = _doors(fleet)
    offering = list(_published(fleet, doors))
    claimed = offers.offers(one.plan for one in offering if one.plan is not None)
    who = _Caller(None, None) if caller is None else _caller(caller, doors)
    reached = [door.spec for where, door in doors.items() if who.namespace in (None, where)]
    published = offers.with_providers(claimed, reached)
    published = tuple(one for one in published if who.may_use(one, offering))
    if not published or (
        client in forms.NEEDS_CHAT and not any(offer.kind == "chat" for offer in published)
    ):
        needed = "chat model" if published else "model"
        terminal.complain(f"no claim with gateway.enabled serves a {needed}: nothing for {client}")
        sys.exit(result.CANNOT_BE_USED)
    namespaces = {one.source.namespace for one in offering} or set(doors)
    address = endpoint or _endpoint(fleet, doors, namespaces, who)
    if address is None:
        sys.exit(result.NOT_READ)
    access = offers.Access(address.rstrip("/"), key_variable, published)
    form = forms.FORMS[client]
    text = form.write(access)
    terminal.write(text if output == "text" else _document(client, form, access, text))


def _unusable(fleet: planned.Fleet) -> int | None:
    """Says what cannot be read or used; returns the exit code, or None where all can."""
    for error in fleet.unreadable:
        terminal.complain(str(error))
    for problem in fleet.unusable:
        terminal.complain(f"settings: {problem}")
    unusable = [one for one in fleet.claims if one.refused]
    for one in unusable:
        for message in refused.messages(one.faults):
            terminal.complain(f"{one.source}: {message}")
        if one.source.misspelt:
            terminal.complain(f"{one.source}: {one.source.misspelt}")
    if fleet.unreadable:
        return result.NOT_READ
    return result.CANNOT_BE_USED if fleet.unusable or unusable else None


_Doors = Mapping[str, gateway.InferenceGateway]


def _doors(fleet: planned.Fleet) -> _Doors:
    """Returns the front door of each namespace: of several the one that the settings name."""
    doors: dict[str, gateway.InferenceGateway] = {}
    for one in fleet.claims:
        if fleet.site is None or rendering.other_kind(one.source) is not inference_gateway:
            continue
        door = base.parse(gateway.InferenceGateway, one.source.document, what="claim")
        if fleet.site.front_door_of(one.source.namespace) in (None, door.name):
            doors.setdefault(one.source.namespace, door)
    return doors


def _published(fleet: planned.Fleet, doors: _Doors) -> Iterator[planned.Planned]:
    for one in fleet.claims:
        if one.plan is None:
            continue
        door = doors.get(one.source.namespace)
        if not one.plan.ways.gateway:
            terminal.complain(f"note: {one.source} is left out: it is not on the gateway")
        elif door is not None and not _selects(door, one):
            words = f"InferenceGateway {door.name} does not select it"
            terminal.complain(f"note: {one.source} is left out: {words}")
        else:
            yield one


def _selects(door: gateway.InferenceGateway, one: planned.Planned) -> bool:
    wanted = {} if door.spec.selector is None else door.spec.selector.match_labels
    labels = observed.at(one.source.document, "metadata", "labels")
    return all(observed.at(labels, key) == value for key, value in wanted.items())


@dataclasses.dataclass(frozen=True)
class _Caller:
    """Whose configuration is written.

    Attributes:
        asked: The caller, or None for anybody.
        namespace: Of the front door that names the caller.
    """

    asked: gateway.Caller | None
    namespace: str | None

    def may_use(self, offer: offers.Offer, offering: Iterable[planned.Planned]) -> bool:
        """Tells whether the caller may use a name, as the rules of the front door have it."""
        if self.asked is None:
            return True
        here = {one.source.name: one for one in offering if one.source.namespace == self.namespace}
        if offer.claim and offer.claim not in here:
            return False
        models = self.asked.models
        if models is None or offer.name in models.names:
            return True
        if not models.match_labels or not offer.claim:
            return False
        labels = observed.at(here[offer.claim].source.document, "metadata", "labels")
        return all(observed.at(labels, key) == text for key, text in models.match_labels.items())


def _caller(name: str, doors: _Doors) -> _Caller:
    """Returns a caller of the front doors.

    Raises:
        click.UsageError: None has it, or several have.
    """
    named = [
        _Caller(one, namespace)
        for namespace, door in sorted(doors.items())
        for one in door.spec.callers or []
        if one.name == name
    ]
    if len(named) == 1:
        return named[0]
    if named:
        where = ", ".join(str(one.namespace) for one in named)
        raise click.UsageError(f"--caller {name}: in several namespaces ({where}): give one")
    known = sorted({one.name for door in doors.values() for one in door.spec.callers or []})
    there = f"there are: {', '.join(known)}" if known else "no InferenceGateway names one"
    raise click.UsageError(f"--caller {name}: no such caller; {there}")


def _endpoint(
    fleet: planned.Fleet, doors: _Doors, namespaces: Iterable[str], who: _Caller
) -> str | None:
    """Returns the address of all claims, or None and says why there is none."""
    if who.namespace is not None:
        namespaces = [who.namespace]
    addresses = {each: _address(fleet, doors.get(each), each, who) for each in sorted(namespaces)}
    (first, *others) = dict.fromkeys(addresses.values())
    if others:
        each = ", ".join(f"{name}: {address or 'none'}" for name, address in addresses.items())
        terminal.complain(
            f"several addresses: give --endpoint, or claims of one namespace ({each})"
        )
        return None
    if first is None:
        terminal.complain(
            "no address: give --endpoint, an InferenceGateway with a hostname, or settings with"
            " gateway.hostname or privateDomainName"
        )
    return first


def _address(
    fleet: planned.Fleet, door: gateway.InferenceGateway | None, namespace: str, who: _Caller
) -> str | None:
    """Returns the address of the front door, or of the settings' Gateway."""
    named = None if fleet.site is None else fleet.site.front_door_of(namespace)
    if door is not None and door.spec.hostname is not None:
        if named is None:
            words = f"on another Gateway than InferenceGateway {door.name}"
            terminal.complain(f"note: the settings publish namespace {namespace} {words}")
        scheme = "http" if door.spec.tls is None else "https"
        by_token = who.asked is not None and who.asked.jwt is not None
        port = f":{gateway_tokens.port(tls=door.spec.tls is not None)}" if by_token else ""
        return f"{scheme}://{door.spec.hostname}{port}/v1"
    if fleet.site is None or named is not None:
        return None
    return envoy_ai_gateway.shared_endpoint(fleet.site)


def _document(client: str, form: forms.Form, access: offers.Access, text: str) -> str:
    document: dict[str, Any] = {
        "apiVersion": result.API_VERSION,
        "kind": "ClientConfiguration",
        "client": client,
        "file": form.file,
        "endpoint": access.endpoint,
        "keyVariable": access.key_variable,
        "models": [dataclasses.asdict(offer) for offer in access.offers],
        "text": text,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
