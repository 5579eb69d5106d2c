"""RunFunction: protobuf in, `compose`, protobuf out. The one place that knows protobuf.

The answer is all or nothing. Whatever is absent from a desired state is deleted, so a claim or
settings that cannot be used, and a bug too, end in a fatal result with the reason on the claim:
core then applies nothing and deletes nothing, and what runs keeps running.
"""

import functools
import time
import traceback
from collections.abc import Mapping
from typing import Any

from crossplane.function import logging as function_logging
from crossplane.function import request as requests
from crossplane.function import response as responses
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import duration_pb2, struct_pb2

from function import canonical, composition, memo
from function.api import base, settings
from function.cluster import memory, observed
from function.composites import composite, inference_service, registry
from function.server import intake, structs

# The step's bootstrap requirement in the Composition: EnvironmentConfigs by label, in one call.
SETTINGS_REQUIREMENT = "settings"
ENVIRONMENT_CONTEXT = "apiextensions.crossplane.io/environment"
KIND_REQUIREMENT = "kind "

_STATUS = {
    "True": fnv1.STATUS_CONDITION_TRUE,
    "False": fnv1.STATUS_CONDITION_FALSE,
    "Unknown": fnv1.STATUS_CONDITION_UNKNOWN,
}


class Runner:
    """Answers RunFunction."""

    def __init__(self) -> None:
        self.log = function_logging.get_logger()

    async def RunFunction(  # noqa: N802 - the service's name
        self, received: intake.Received, _: Any
    ) -> fnv1.RunFunctionResponse:
        """Returns the desired state, or a fatal result. Raises nothing."""
        return run(received.request, self.log, refusal=received.refusal)


def answer(data: bytes, log: Any) -> fnv1.RunFunctionResponse:
    """Returns the answer to one request as it came over the wire. Raises nothing."""
    received = intake.read(data)
    return run(received.request, log, refusal=received.refusal)


def run(
    req: fnv1.RunFunctionRequest, log: Any, *, refusal: str | None = None
) -> fnv1.RunFunctionResponse:
    """Returns the answer to one request. Raises nothing.

    Args:
        req: The request.
        log: Takes one entry.
        refusal: Why the request was cut before it was decoded, in words, or None.
    """
    started = time.perf_counter()
    outcome = "error"
    world = observed.Observed()
    try:
        world = observed_state(req)
        if refusal is not None:
            raise base.InvalidError("claim", [base.Problem("", refusal)])
        rsp = respond(req, composed(req, world))
        outcome = "composed"
    except base.InvalidError as error:
        rsp = _fatal(req, error.reason, str(error), world)
        outcome = "invalid"
    except Exception as error:  # a bug must not empty the desired state
        # The same failure has the same id: a message that changes would wake core each time.
        trace = [(f.name, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        identity = canonical.digest([type(error).__name__, trace], 12)
        words = f"internal error {identity}: the function's log has the details"
        rsp = _fatal(req, "InternalError", f"{words}; nothing was changed", world)
        log.exception("Cannot compose", error_id=identity, error=type(error).__name__)
    metadata = structs.StructView(req.observed.composite.resource).get("metadata")
    log.info(
        "Answered",
        outcome=outcome,
        namespace=observed.at(metadata, "namespace"),
        claim=observed.at(metadata, "name"),
        tag=req.meta.tag,
        milliseconds=round((time.perf_counter() - started) * 1000, 2),
    )
    return rsp


def composed(req: fnv1.RunFunctionRequest, world: observed.Observed) -> composition.Composition:
    """Returns what the claim of a request becomes.

    Raises:
        base.InvalidError: The claim or the settings cannot be used.
    """
    resource = req.observed.composite.resource
    metadata = resource.fields["metadata"].struct_value if "metadata" in resource.fields else None
    kind = _composite(req)
    if kind is None:
        view = structs.StructView(resource)
        what = f"{view.get('apiVersion')} {view.get('kind')}"
        raise base.InvalidError("claim", [base.Problem("kind", f"{what} is no kind of claim here")])
    written = structs.fingerprint(resource, intake.CLAIM)
    about = None if metadata is None else structs.fingerprint(metadata, intake.METADATA)

    def parse() -> Any:
        document = structs.only(resource, intake.CLAIM)
        if metadata is not None:
            document["metadata"] = structs.only(metadata, intake.METADATA)
        return kind.parse(document)

    size = _PARSED_BYTES + _PARSED_FACTOR * (written.size + (about.size if about else 0))
    claim = _claims.get((kind.GROUP, kind.KIND, written, about), size, parse)
    return kind.compose(claim, site_settings(req), world)


# Claims change rarely and are looked at often. By what their bytes come to: parsing is pure.
_claims: memo.Bounded[Any] = memo.Bounded(8 * 1024 * 1024)
# What a parsed claim holds, at least and for each byte of it in protobuf: measured on the examples.
_PARSED_BYTES = 16 * 1024
_PARSED_FACTOR = 8


def _composite(req: fnv1.RunFunctionRequest) -> composite.Composite | None:
    return registry.of(structs.StructView(req.observed.composite.resource))


# --- in

# A status changes as rarely at rest as the claim does, and is read whole in each call.
_statuses: memo.Bounded[tuple[memo.Manifest, Mapping[str, observed.Condition]]] = memo.Bounded(
    12 * 1024 * 1024
)
# What the parts of a status that are read hold in Python, at least and for each byte in protobuf.
# Ours have 2 KiB; the parts of a much larger one, which somebody else wrote, may hold more.
_STATUS_BYTES = 4 * 1024
_STATUS_FACTOR = 12
_MOST_STATUS = 16 * 1024
_NO_STATUS = memo.Manifest()


def _status(
    resource: struct_pb2.Struct,
) -> tuple[observed.Object, Mapping[str, observed.Condition]]:
    """Returns what is remembered in a claim's status, and its conditions. Never to be changed."""
    if "status" not in resource.fields:
        return _NO_STATUS, {}
    status = resource.fields["status"].struct_value
    written = structs.fingerprint(status, (*memory.FIELDS, "conditions"))

    def read() -> tuple[memo.Manifest, Mapping[str, observed.Condition]]:
        remembered = memo.Manifest(structs.only(status, memory.FIELDS))
        return remembered, observed.conditions(structs.only(status, ("conditions",)))

    if written.size > _MOST_STATUS:
        return read()
    return _statuses.get(written, _STATUS_BYTES + _STATUS_FACTOR * written.size, read)


def observed_state(req: fnv1.RunFunctionRequest) -> observed.Observed:
    """Returns what the cluster reports, decoded only where it is read."""
    resource = structs.StructView(req.observed.composite.resource)
    status, conditions = _status(req.observed.composite.resource)
    kinds = {
        name.removeprefix(KIND_REQUIREMENT): bool(schema.openapi_v3.fields)
        for name, schema in req.required_schemas.items()
        if name.startswith(KIND_REQUIREMENT)
    }
    required = {
        name: [structs.StructView(item.resource) for item in resources.items]
        for name, resources in req.required_resources.items()
        if name != SETTINGS_REQUIREMENT
    }
    return observed.Observed(
        name=str(observed.at(resource, "metadata", "name") or ""),
        uid=str(observed.at(resource, "metadata", "uid") or ""),
        resources={
            key: structs.StructView(resource.resource)
            for key, resource in req.observed.resources.items()
        },
        conditions=conditions,
        status=status,
        required=required,
        kinds=kinds,
        can_ask=requests.advertises_capabilities(req)
        and requests.has_capability(req, fnv1.CAPABILITY_REQUIRED_SCHEMAS),
        can_read=requests.advertises_capabilities(req)
        and requests.has_capability(req, fnv1.CAPABILITY_REQUIRED_RESOURCES),
    )


def site_settings(req: fnv1.RunFunctionRequest) -> settings.Settings:
    """Returns the settings: the Composition's input, then the context, then EnvironmentConfigs.

    Raises:
        base.InvalidError: There are none, or they break the schema.
    """
    configs = []
    if SETTINGS_REQUIREMENT in req.required_resources:
        configs = [
            item.resource.SerializeToString(deterministic=True)
            for item in req.required_resources[SETTINGS_REQUIREMENT].items
        ]
    context = b""
    if ENVIRONMENT_CONTEXT in req.context.fields:
        environment = req.context.fields[ENVIRONMENT_CONTEXT].struct_value
        context = environment.SerializeToString(deterministic=True)
    return _resolved(req.input.SerializeToString(deterministic=True), context, tuple(configs))


# Settings are the same for every claim: parsing them again each time would cost more than
# composing. A pure function of its bytes, and small.
@functools.lru_cache(maxsize=16)
def _resolved(given: bytes, context: bytes, configs: tuple[bytes, ...]) -> settings.Settings:
    return settings.assemble(
        _struct(given), _struct(context), [_struct(config) for config in configs]
    )


def _struct(serialized: bytes) -> dict[str, Any]:
    return structs.plain(struct_pb2.Struct.FromString(serialized))


# --- out


def respond(
    req: fnv1.RunFunctionRequest, answer: composition.Composition
) -> fnv1.RunFunctionResponse:
    """Returns the composition as a response, over whatever earlier steps desired."""
    rsp = responses.to(req)
    rsp.meta.ttl.CopyFrom(duration_pb2.Duration(seconds=answer.ttl))
    for key, desired in answer.resources.items():
        target = rsp.desired.resources[key]
        target.resource.Clear()  # an earlier step may have desired the same key
        structs.merge(target.resource, desired.manifest)
        target.ready = fnv1.READY_TRUE if desired.ready else fnv1.READY_FALSE
    structs.merge(rsp.desired.composite.resource.fields["status"].struct_value, answer.status)
    if not answer.complete:
        rsp.desired.composite.ready = fnv1.READY_FALSE
    _add_conditions(rsp, answer.conditions)
    for event in answer.events:
        rsp.results.add(
            severity=fnv1.SEVERITY_WARNING if event.warning else fnv1.SEVERITY_NORMAL,
            reason=event.reason,
            message=event.message,
            target=fnv1.TARGET_COMPOSITE,
        )
    _ask(req, rsp, answer.questions)
    return rsp


def _ask(
    req: fnv1.RunFunctionRequest,
    rsp: fnv1.RunFunctionResponse,
    questions: composition.Questions,
) -> None:
    """Adds what should be read; nothing is touched when nothing is asked, which costs a call."""
    for api_version, kind in questions.kinds:
        responses.require_schema(rsp, f"{KIND_REQUIREMENT}{api_version}/{kind}", api_version, kind)
    for name, selector in questions.resources.items():
        metadata = structs.StructView(req.observed.composite.resource).get("metadata")
        responses.require_resources(
            rsp,
            name,
            selector.api_version,
            selector.kind,
            match_name=selector.name or None,
            match_labels=None if selector.name else dict(selector.labels),
            namespace=None if selector.everywhere else str(observed.at(metadata, "namespace")),
        )


def _fatal(
    req: fnv1.RunFunctionRequest, reason: str, message: str, world: observed.Observed
) -> fnv1.RunFunctionResponse:
    """Returns a fatal answer: all conditions, no status field, nothing desired but what came."""
    rsp = responses.to(req)
    rsp.results.add(
        severity=fnv1.SEVERITY_FATAL,
        reason=reason,
        message=message,
        target=fnv1.TARGET_COMPOSITE,
    )
    kind = _composite(req) or inference_service
    _add_conditions(rsp, kind.invalid(reason, message, world))
    return rsp


def _add_conditions(
    rsp: fnv1.RunFunctionResponse, conditions: tuple[observed.Condition, ...]
) -> None:
    for condition in conditions:
        rsp.conditions.add(
            type=condition.type,
            status=_STATUS.get(condition.status, fnv1.STATUS_CONDITION_UNKNOWN),
            reason=condition.reason or "Unknown",
            message=condition.message,
            target=fnv1.TARGET_COMPOSITE,
        )
