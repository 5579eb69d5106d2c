"""Adapters that are loaded into pods that run.

vLLM's own ways to that are not offered. One variable, `VLLM_ALLOW_RUNTIME_LORA_UPDATING`, opens the
endpoints that load any path for whoever reaches the port, and nothing is resolved by name without
it (its entrypoints/serve/lora and entrypoints/serve/engine, 0.25.1 to 0.33.0). So a program of ours
stands before them inside of the engine, closes them, and loads what a ConfigMap lists.
"""

import functools
import pathlib
from collections.abc import Iterator, Mapping

from function.api import base, claim
from function.engines import semver
from function.engines.vllm import serving, versions
from function.planning import identity, parallelism, storage

_MODULE = "inference_service_adapters"
_VOLUME = "adapters"
_DIRECTORY = "/etc/inference-service/adapters"
_PROGRAM = f"{identity.DOMAIN}/adapters-program"
MIDDLEWARE = f"--middleware={_MODULE}.Adapters"
# What the author must not set beside it, by flag, with the reason.
_FLAGS = {
    "api-key": "what loads hot adapters has the key of VLLM_API_KEY alone",
    "api-server-count": "vLLM loads adapters with one API server alone",
    "middleware": "pods of hot adapters have one of this function",
    "data-parallel-size": "vLLM loads adapters with one copy of the model alone",
}


def refusals(spec: claim.Spec, version: semver.Version) -> Iterator[base.Problem]:
    """Yields why a claim cannot have hot adapters."""
    hot = [index for index, one in enumerate(spec.lora_adapters or []) if one.hot is True]
    if not hot:
        return
    path = f"spec.loraAdapters[{hot[0]}].hot"
    if version < versions.HOT_ADAPTERS:
        yield base.Problem(
            path,
            f"vLLM {semver.show(version)} is older than {semver.show(versions.HOT_ADAPTERS)},"
            " the first that keeps an adapter's cached prefixes from another one's under the same"
            " name: name a newer spec.engine.version, or leave it out",
        )
    if parallelism.split(spec).data > 1:
        yield base.Problem(path, f"{_FLAGS['data-parallel-size']}: leave out spec.gpu.parallelism")
    own = serving.own(spec)
    for flag, why in _FLAGS.items():
        for use in own.of(flag):
            yield base.Problem(f"spec.engineArgs[{use.index}]", f"{why}: leave out --{flag}")
    for index, variable in enumerate(base.of(spec.pod_template, "env") or []):
        if variable.name in environment():
            yield base.Problem(
                f"spec.podTemplate.env[{index}]",
                f"hot adapters have {variable.name} of their own: leave it out",
            )


def environment() -> dict[str, str]:
    """Returns the variables of the engine."""
    return {
        "INFERENCE_SERVICE_ADAPTERS": f"{_DIRECTORY}/{storage.ADAPTERS}",
        "PYTHONPATH": _DIRECTORY,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    }


@functools.cache
def _program() -> str:
    path = pathlib.Path(__file__).with_name("inside") / f"{_MODULE}.py"
    return path.read_text("utf-8")


def annotations() -> Mapping[str, str]:
    """Returns the program, on the pod itself.

    In a ConfigMap it would be run for whoever may write ConfigMaps.
    """
    return {_PROGRAM: _program()}


def mount() -> identity.Manifest:
    """Returns the mount of the program and of the list."""
    return {"name": _VOLUME, "mountPath": _DIRECTORY, "readOnly": True}


def volume(who: identity.Identity) -> identity.Manifest:
    """Returns the volume of both."""
    program = {
        "path": f"{_MODULE}.py",
        "fieldRef": {"fieldPath": f"metadata.annotations['{_PROGRAM}']"},
    }
    item = {"key": storage.ADAPTERS, "path": storage.ADAPTERS}
    listed = {"name": who.adapters_name, "optional": True, "items": [item]}
    sources = [{"downwardAPI": {"items": [program]}}, {"configMap": listed}]
    return {"name": _VOLUME, "projected": {"sources": sources}}
