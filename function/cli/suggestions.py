"""What an author probably meant: the nearest field, a flag's field, an address' repository."""

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import pydantic

from function import likeness
from function.api import base, schema, settings
from function.engines import advisers

# From this likeness on, of 1, a field is taken for a misspelt one.
_LIKE = 0.75
# From this likeness on, a sibling is meant before a field of the same name elsewhere: a unit.
_ALMOST = 0.9
# A field that stands in more places than these is no hint.
_MOST_PLACES = 3
# Fields of an object that are worth listing when nothing is near.
_MOST_FIELDS = 8

# What others call a field that resembles none of ours by its letters.
_SAME = {
    "adapters": "loraAdapters",
    "batchsize": "maxNumSeqs",
    "contextlength": "contextWindow",
    "contextsize": "contextWindow",
    "maxcontextlength": "contextWindow",
    "maxmodellen": "contextWindow",
    "maxmodellength": "contextWindow",
}

_UNKNOWN = "unknown field"
_ARGUMENT = re.compile(r"^spec\.engineArgs\[\d+\]$")
_REPOSITORY = re.compile(r"^spec\.(model|loraAdapters\[\d+\])\.repository$")
_ADDRESS = re.compile(
    r"^(?:(?:https?|hf)://)?(?:www\.)?(?:(?P<host>[\w-]+(?:\.[\w-]+)+(?::\d+)?)/)?"
    r"(?P<kind>datasets/|spaces/|models/)?(?P<repository>[\w.-]+(?:/[\w.-]+)?)"
    r"(?:/(?:tree|blob|resolve|commit)/(?P<revision>[\w.-]+)(?:/.*)?)?/?(?:[?#].*)?$"
)
_HUBS = ("huggingface.co", "hf.co", "www.huggingface.co")


def hinted(
    error: base.InvalidError, model: type[base.Model], document: Any
) -> tuple[base.Problem, ...]:
    """Returns the problems of an error, each with what was probably meant.

    Args:
        error: Why an object cannot be used.
        model: The object's model.
        document: The object.
    """
    return tuple(
        base.Problem(problem.path, _message(problem, model, document)) for problem in error.problems
    )


def address_note(path: str, repository: str | None) -> str | None:
    """Returns what is wrong with a repository that begins with the hub's host, or None.

    Such a one has the form of a repository: an organisation of the host's name.
    """
    if repository is None or not repository.startswith(tuple(f"{hub}/" for hub in _HUBS)):
        return None
    return _address(path, repository)


def _message(problem: base.Problem, model: type[base.Model], document: Any) -> str:
    if problem.message == _UNKNOWN:
        return problem.message + nearest(problem.path, model)
    if _REPOSITORY.match(problem.path):
        return _address(problem.path, value(document, problem.path)) or problem.message
    if _ARGUMENT.match(problem.path):
        argument = value(document, problem.path)
        instead = advisers.default().instead(argument) if isinstance(argument, str) else None
        return instead or problem.message
    return problem.message


# --- fields


def nearest(path: str, model: type[base.Model]) -> str:
    """Returns where a field that does not exist belongs, or which one it resembles, in words."""
    parent, _, name = path.rpartition(".")
    node = _at(model, parent)
    here = [] if node is None else [str(f.alias) for f in node.model_fields.values()]
    everywhere = list(fields(model))
    same = [f for f in here if _plain(f) == _plain(name)]
    if same:
        return f"; the nearest is {_join(parent, same[0])}"
    sibling = _SAME.get(_plain(name))
    if sibling in here:
        return f"; the nearest is {_join(parent, sibling)}"
    almost = likeness.nearest(name, here, least=_ALMOST)
    if almost:
        return f"; the nearest is {_join(parent, almost[0])}"
    places = [at for at, field in everywhere if _plain(field) == _plain(name)]
    if 0 < len(places) <= _MOST_PLACES:
        owners = " or ".join(at.rpartition(".")[0] or _root(model) for at in places)
        bounds = [at for at, field in everywhere if _plain(field) in _bounds(name)]
        or_bounds = f"; the nearest are {' and '.join(bounds)}" if bounds else ""
        return f"; it belongs to {owners}{or_bounds}"
    near = likeness.nearest(name, here, least=_LIKE)
    if near:
        return f"; the nearest is {_join(parent, near[0])}"
    if _plain(name) in _SAME:
        places = [at for at, field in everywhere if field == _SAME[_plain(name)]]
        if places:
            return f"; the nearest is {places[0]}"
    names = {_plain(field) for _, field in everywhere}
    # The second place is for pairs: `replicas` resembles both minReplicas and maxReplicas.
    close = likeness.nearest(_plain(name), names, 2, _LIKE)
    places = [at for at, field in everywhere if _plain(field) in close]
    if 0 < len(places) <= _MOST_PLACES:
        return f"; the nearest {'is' if len(places) == 1 else 'are'} {' and '.join(places)}"
    if 0 < len(here) <= _MOST_FIELDS:
        return f"; there are: {', '.join(here)}"
    return ""


def _root(model: type[base.Model]) -> str:
    return "the top level of " + ("inferenceService" if model is settings.Settings else "the claim")


def _join(parent: str, field: str) -> str:
    return f"{parent}.{field}" if parent else field


def _bounds(name: str) -> tuple[str, str]:
    """Returns the fields that say between what a value lies: `replicas` of a Deployment is none."""
    return f"min{_plain(name)}", f"max{_plain(name)}"


def _plain(name: str) -> str:
    """Returns a name as it is compared: `max_num_seqs` is `maxNumSeqs`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _at(model: type[base.Model], path: str) -> type[base.Model] | None:
    """Returns the model of the object at a path such as `spec.loraAdapters[0]`, or None."""
    node: type[base.Model] | None = model
    steps = iter(re.findall(r"[^.\[\]]+", path))
    for step in steps:
        if node is None:
            return None
        field = next((f for f in node.model_fields.values() if f.alias == step), None)
        if field is None:
            return None
        node, key = _inner(field.annotation)
        if key:
            next(steps, None)
    return node


def field(model: type[base.Model], path: str) -> pydantic.fields.FieldInfo | None:
    """Returns the field at a path, or None; an item of a list or map is its field."""
    path = re.sub(r"(\[[^\]]*\])+$", "", path.replace("[]", "[0]"))
    parent, _, name = path.rpartition(".")
    node = _at(model, parent)
    if node is None:
        return None
    return next((one for one in node.model_fields.values() if one.alias == name), None)


def fields(
    model: type[base.Model], at: str = "", inside: tuple[type[base.Model], ...] = ()
) -> Iterator[tuple[str, str]]:
    """Yields path and name of each field of an object, and of the objects in it."""
    for field in model.model_fields.values():
        path = _join(at, str(field.alias))
        yield path, str(field.alias)
        node, key = _inner(field.annotation)
        if node is not None and node not in inside:
            yield from fields(node, path + key, (*inside, model))


def _inner(annotation: Any) -> tuple[type[base.Model] | None, str]:
    """Returns the model in a field's type, and how a path goes on to it: ``, `[]` or `.<name>`."""
    annotation, _ = schema.unwrap(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        return _inner(arguments[0])[0], "[]"
    if origin is dict:
        return _inner(arguments[1])[0], ".<name>"
    if inspect.isclass(annotation) and issubclass(annotation, base.Model):
        return annotation, ""
    return None, ""


# --- addresses


def value(document: Any, path: str) -> Any:
    """Returns the value at a path such as `spec.loraAdapters[0].name`, or None."""
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            document = document[int(step) if isinstance(document, list) else step]
        except (IndexError, KeyError, TypeError):
            return None
    return document


def _address(path: str, value: Any) -> str | None:
    """Returns which repository a pasted address means, or None for what is none."""
    parts = _ADDRESS.match(value) if isinstance(value, str) else None
    if parts is None or not ("://" in value or parts["host"] in _HUBS):
        return None
    if parts["kind"] in ("datasets/", "spaces/"):
        return f"this is the address of one of the hub's {parts['kind'][:-1]}, not of a model"
    words = f"this is an address; the repository is {parts['repository']}"
    if parts["revision"] is not None:
        field = path.rpartition(".")[0]
        words += f", and {field}.revision is {parts['revision']}"
    return words
