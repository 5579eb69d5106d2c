"""Weights of a bucket as vLLM reads them: runs in the environment of the streamer.

`python reading.py read SOURCES ARGUMENTS [BESIDE]` reads with vLLM's own code (what a model's
configuration does with an address, the loader `runai_streamer`) and with the released streamer,
whose own library asks the store. ARGUMENTS are those of `vllm serve`, as JSON. It writes a JSON
object: the files that were fetched, with their hashes, and those of the tensors. What is raised
ends it, as it ends vLLM. BESIDE is an address that is asked for beside those that the bucket lists.

`python reading.py put DIRECTORY BUCKET` makes a bucket of a directory's files.

torch is a stand-in: the few things that the streamer does with a tensor on the host, by numpy.
"""

import argparse
import hashlib
import importlib
import json
import pathlib
import sys
import types
import typing

import inside  # type: ignore[import-not-found]

# The names of torch for types of safetensors, with their bytes.
_TYPES = {"uint8": 1, "int8": 1, "bool": 1, "bfloat16": 2, "float16": 2, "int16": 2, "float32": 4}
_TYPES |= {"int32": 4, "float64": 8, "int64": 8, "complex64": 8}


class Type:
    """A type of elements: its size alone."""

    def __init__(self, name: str, itemsize: int) -> None:
        self.name = name
        self.itemsize = itemsize


class Device:
    """Where a tensor is."""

    def __init__(self, name: str) -> None:
        self.type = name.partition(":")[0]


class Base:
    """What vLLM's loaders have in common, of which the one that streams uses this alone."""

    def __init__(self, load_config: typing.Any) -> None:
        self.load_config = load_config


class Tensor:
    """Bytes on the host with a shape; what torch does with them is not done."""

    device = "cpu"

    def __init__(self, data: typing.Any) -> None:
        self.data = data

    def view(self, *shape: typing.Any) -> "Tensor":
        """Returns the same bytes, whatever type or shape they are to have."""
        return self

    def clone(self) -> "Tensor":
        """Returns a copy."""
        return Tensor(self.data.copy())

    def numpy(self) -> typing.Any:
        """Returns the bytes."""
        return self.data

    def nelement(self) -> int:
        """Returns their number."""
        return int(self.data.size)

    def data_ptr(self) -> int:
        """Returns their address."""
        return int(self.data.ctypes.data)


def stand_in() -> None:
    """Gives the mock of torch what the streamer uses of it."""
    torch = importlib.import_module("torch")
    distributed = importlib.import_module("torch.distributed")
    known: dict[str, typing.Any] = {n: Type(n, size) for n, size in _TYPES.items()}
    known["from_numpy"] = Tensor
    known["device"] = Device
    for name, value in known.items():
        setattr(torch, name, value)
    torch.cuda.is_available = lambda: False
    for module in (distributed, torch.distributed):
        setattr(module, "is_initialized", lambda: False)  # noqa: B010 - a module has no such name


def fetched(model: str) -> tuple[pathlib.Path, str]:
    """Returns the directory of what is fetched before the weights, and where these are."""
    config = importlib.import_module("vllm.config.model").ModelConfig
    asked = types.SimpleNamespace(model=model, tokenizer=model, model_weights="")
    config.maybe_pull_model_tokenizer_for_runai(asked, model, model)
    return pathlib.Path(asked.model), str(asked.model_weights)


def loader(sources: pathlib.Path) -> typing.Any:
    """Returns the class of vLLM's loader, without the others, which need what computes."""
    room = "vllm.model_executor.model_loader"
    package, base = types.ModuleType(room), types.ModuleType(f"{room}.base_loader")
    package.__path__ = [str(sources.joinpath(*room.split(".")))]
    vars(base)["BaseModelLoader"] = Base
    sys.modules |= {room: package, base.__name__: base}
    return importlib.import_module(f"{room}.runai_streamer_loader").RunaiModelStreamerLoader


def tensors(made: typing.Any, weights: str) -> dict[str, str]:
    """Returns the hash of each tensor, by its name."""
    return {
        name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
        for name, tensor in made._get_weights_iterator(weights, None)
    }


def put(directory: pathlib.Path, bucket: str) -> None:
    """Makes a bucket of a directory's files."""
    store = importlib.import_module("boto3").client("s3")
    store.create_bucket(Bucket=bucket)
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            store.upload_file(str(path), bucket, str(path.relative_to(directory)))


def read(sources: pathlib.Path, arguments: list[str], beside: list[str]) -> None:
    """Reads, and writes what was read."""
    inside.prepare(sources)
    stand_in()
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--load-format", required=True)
    parser.add_argument("--model-loader-extra-config", type=json.loads, default={})
    given, _ = parser.parse_known_args(arguments)
    if given.load_format != "runai_streamer":
        sys.exit(f"--load-format={given.load_format} streams nothing")
    place, weights = fetched(given.model)
    files = {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }
    load = {"model_loader_extra_config": given.model_loader_extra_config, "use_tqdm_on_load": False}
    made = loader(sources)(types.SimpleNamespace(**load))
    module = importlib.import_module(type(made).__module__)
    listed = vars(module)["list_safetensors"]
    vars(module)["list_safetensors"] = lambda path: [*listed(path=path), *beside]
    print(json.dumps({"files": files, "tensors": tensors(made, weights)}))


def main() -> None:
    """Does what it is asked for."""
    verb, place, *rest = sys.argv[1:]
    if verb == "put":
        put(pathlib.Path(place), *rest)
    else:
        read(pathlib.Path(place), json.loads(rest[0]), rest[1:])


if __name__ == "__main__":
    main()
