"""Which model a claim serves: the weights, their adapters, and how the engine reads them."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import alias_generators

from function.api import base

# Hugging Face: [namespace/]name, each of letters, digits, `-`, `_`, `.`; never `--` or `..`.
REPOSITORY = base.form(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$",
    "a repository of the hub, such as Qwen/Qwen3-8B: no URL, and nothing behind the name",
)
# A commit, a tag, a branch, or refs/pr/N.
REVISION = base.form(
    r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", "a commit, tag or branch of the repository, such as main"
)
RELATIVE_PATH = base.form(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$",
    "a path below the volume, such as llm/qwen: no segment begins with a dot, none is empty",
)
ABSOLUTE_PATH = base.form(
    r"^(/[A-Za-z0-9._-]+)+$",
    "an absolute path of letters, digits, '.', '_' and '-', such as /models/chat.jinja",
)
# As container runtimes read names of images: pods of another would never start, and those that run
# would have made room for them (distribution/reference, regexp.go).
_HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
PINNED_IMAGE = base.form(
    rf"^({_HOST}/)?{_PART}(/{_PART})*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?@sha256:[a-f0-9]{{64}}$",
    "an image by digest and in small letters, such as registry.example.com/qwen3-8b@sha256: and 64"
    " digits: a tag alone may be moved to other weights",
)
# Names of buckets: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
S3_URI = base.form(
    r"^s3://[a-z0-9](\.?[a-z0-9-]){1,61}\.?[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
    "a bucket and the directory in it, such as s3://models/qwen3-8b, without a slash at its end",
)
WORD = base.form(
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "one word of letters, digits, '.', '_' and '-', with a letter or digit at its beginning",
)

TEMPLATE = base.Rule(
    cel="!self.split('/').exists(s, s == '..') && !(self.split('/')[1] in ['dev', 'proc', 'sys'])",
    message="a chat template is in the prompt: its path holds no '..', and lies outside of /dev,"
    " /proc and /sys",
    holds=lambda path: (
        ".." not in path.split("/") and path.split("/")[1] not in ("dev", "proc", "sys")
    ),
    admission_only=True,
)

Repository = Annotated[
    str,
    base.text(193, REPOSITORY),
    base.Rule(
        cel="!self.contains('..') && !self.contains('--')",
        message="a repository holds neither '..' nor '--'",
        holds=lambda value: ".." not in value and "--" not in value,
    ),
]

Revision = Annotated[
    str,
    base.text(64, REVISION),
    base.Rule(
        cel="!self.contains('..')",
        message="a revision does not hold '..'",
        holds=lambda value: ".." not in value,
    ),
]

Word = Annotated[str, base.text(63, WORD)]


class Preload(base.Model):
    """How the weights get onto the volume."""

    enabled: bool | None = pydantic.Field(
        None,
        description="Download the weights with a Job before the engine starts. Absent means true"
        " for what comes from the hub: the model of source huggingface, and adapters, though not"
        " those of source pvc. False means that they already lie at 0.9.0's paths:"
        " /models/<revision> and /models/loras/<adapter>, inside weightsFileSystem.subPath.",
    )
    generation: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="Raise it to ask for another try of a failed download."
    )


class Streaming(base.Model):
    """Loading with the Run:ai model streamer."""

    enabled: bool | None = pydantic.Field(
        None,
        description="Read the safetensors files concurrently (--load-format runai_streamer). Source"
        " s3 always does.",
    )
    concurrency: Annotated[int, base.number(1, 64)] | None = pydantic.Field(
        None, description="Concurrent readers."
    )


_KEY = base.form(
    r"^[-._A-Za-z0-9]+$", "the key of a Secret: letters, digits, '-', '_' and '.', and no path"
)


class SecretKey(base.Model):
    """One key of a Secret in the claim's namespace."""

    name: base.DnsSubdomain = pydantic.Field(description="Name of the Secret.")
    key: Annotated[str, base.text(253, _KEY)] = pydantic.Field(
        "token", description="Key in the Secret."
    )


class StoreCredentials(base.Model):
    """A Secret with keys of the object store, in the claim's namespace."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the Secret. Its keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and,"
        " where it has one, AWS_SESSION_TOKEN become variables of the engine."
    )


Quantization = Literal[
    "auto", "fp16", "fp8", "awq", "gptq", "bitsandbytes", "compressed-tensors", "modelopt", "mxfp4"
]

LoraRank = Literal[8, 16, 32, 64, 128, 256, 320, 512]


def _required(source: str, field: str) -> Callable[["ModelSpec"], bool]:
    """Returns the predicate that a source has the field that says where its weights are."""
    return lambda model: model.source != source or getattr(model, field) is not None


def _only(sources: tuple[str, ...], field: str) -> Callable[["ModelSpec"], bool]:
    """Returns the predicate that a field is there for these sources alone."""
    return lambda model: getattr(model, field) is None or model.source in sources


class ModelSpec(base.Model):
    """Which model, and how the engine reads it."""

    source: Literal["huggingface", "pvc", "oci", "s3"] | None = pydantic.Field(
        None,
        description="Where the weights come from: the Hugging Face hub (default), a directory that"
        " is already on the weights volume (model.path), an image that nodes pull and pods mount"
        " (oci, model.image), or a bucket that the engine reads at its start (s3, model.uri)."
        " Adapters come from the hub.",
    )
    repository: Repository | None = pydantic.Field(
        None,
        description="Hugging Face repository, for example Qwen/Qwen3-8B. For sources other than the"
        " hub: which model the files are of, where fit and defaults follow from its name; nothing"
        " is downloaded.",
    )
    revision: Revision | None = pydantic.Field(
        None,
        description="Commit SHA, tag or branch; main when absent. Pin a SHA: a branch moves.",
    )
    path: Annotated[str, base.text(255, RELATIVE_PATH)] | None = pydantic.Field(
        None,
        description="Directory of the weights: for source pvc in the volume's subPath, for oci in"
        " the image, where it is models when absent.",
    )
    image: Annotated[str, base.text(512, PINNED_IMAGE)] | None = pydantic.Field(
        None,
        description="Image that holds the weights, by digest, for source oci. The settings say"
        " which images (allowed.modelImages).",
    )
    uri: Annotated[str, base.text(512, S3_URI)] | None = pydantic.Field(
        None,
        description="Directory of the weights in a bucket, for source s3. The settings say which"
        " (allowed.modelUris), and where the store is (objectStore).",
    )
    credentials_secret_ref: StoreCredentials | None = pydantic.Field(
        None,
        description="Keys of the object store, for source s3. When absent the pods' identity"
        " counts, which the settings' objectStore.serviceAccountAnnotations may give.",
    )
    quantization: Quantization | None = pydantic.Field(
        None,
        description="auto (default; fp16 is its old name) passes no flag. fp8 quantizes a 16-bit"
        " checkpoint while it loads. The others describe a checkpoint that is already"
        " quantized: the engine detects it, no flag is passed.",
    )
    dtype: Literal["auto", "half", "float16", "bfloat16", "float", "float32"] | None = (
        pydantic.Field(None, description="Type of the weights that are not quantized.")
    )
    kv_cache_dtype: Literal["auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2"] | None = (
        pydantic.Field(None, description="Type of the KV cache; fp8 doubles its tokens.")
    )
    runner: Literal["generate", "pooling"] | None = pydantic.Field(
        None,
        description="generate, or pooling for embeddings and reranking. What the model is made for"
        " when absent, and generate where nobody knows.",
    )
    context_window: Annotated[int, base.number(1024)] | None = pydantic.Field(
        None,
        description="Longest sequence in tokens (--max-model-len). When absent: the model's own, or"
        " what leaves room for as many full sequences as the settings say (capacity); 4096 where"
        " the model or the GPU is not known.",
    )
    max_num_seqs: Annotated[int, base.number(1, 65536)] | None = pydantic.Field(
        None,
        description="Requests that one replica runs at once; the running trigger is a share of it."
        " When absent: requests of the settings' capacity.sequenceTokens that the KV cache"
        " holds, from 8 to 256; 64 where the model or the GPU is not known.",
    )
    longest_queue_seconds: Annotated[int, base.number(1, 3600)] | None = pydantic.Field(
        None,
        description="Longest wait of a request for its turn in a full replica; requests beyond"
        " that are refused at once, with 429 and Retry-After by the AI gateway, with 503 elsewhere."
        " Needs vLLM 0.32. Without a bound when absent.",
    )
    tool_call_parser: Word | None = pydantic.Field(
        None,
        description="Parser of tool calls, for example hermes; turns tool calls on. The one of the"
        " model's family when absent; none for no parser.",
    )
    reasoning_parser: Word | None = pydantic.Field(
        None,
        description="Parser of the reasoning part of an answer, for example qwen3. The one of the"
        " model's family when absent; none for no parser.",
    )
    chat_template: Annotated[str, base.text(255, ABSOLUTE_PATH), TEMPLATE] | None = pydantic.Field(
        None,
        description="Path of a chat template in the container: below /models, of source oci"
        " below /image, the engine's own below /vllm-workspace, or in a volume that podTemplate"
        " mounts.",
    )
    max_lora_rank: LoraRank | None = pydantic.Field(
        None, description="Largest rank of the adapters; 64 when absent."
    )
    size_gi_b: Annotated[int, base.number(1, 4096)] | None = pydantic.Field(
        None,
        alias="sizeGiB",
        description="Size of the checkpoint in GiB: the start budget follows from it.",
    )
    facts: base.Raw | None = pydantic.Field(
        None,
        description="What the model is made of, as `inference-service facts` prints it: for a model"
        " that neither the catalogue nor the settings have. Fit and defaults follow from it.",
    )
    token_secret_ref: SecretKey | None = pydantic.Field(
        None, description="The hub token, given to the preload Job alone."
    )
    preload: Preload | None = None
    retention: Literal["Retain", "Delete"] | None = pydantic.Field(
        None,
        description="What becomes of weights that this claim wants no more, after a change of model"
        " or adapters: Retain (default) keeps them. Delete removes them with a Job once all pods"
        " run with the new ones, unless another claim uses them; going back then downloads again.",
    )
    streaming: Streaming | None = None

    @property
    def place(self) -> str:
        """Where the weights lie, of a source other than the hub; empty of the hub."""
        return self.image or self.uri or self.path or ""

    @property
    def naming(self) -> str:
        """The field that says which model it is, as far as the claim says so."""
        if self.repository is not None:
            return "repository"
        return next((f for f in ("image", "uri", "path") if getattr(self, f)), "repository")

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.source) && self.source != 'huggingface' || has(self.repository)",
            message="repository is required (for source pvc: path, for oci: image, for s3: uri)",
            holds=lambda m: m.source not in (None, "huggingface") or m.repository is not None,
            at="repository",
        ),
        *(
            base.Rule(
                cel=f"!(has(self.source) && self.source == '{source}') || has(self.{field})",
                message=f"{field} is required for source {source}",
                holds=_required(source, field),
                at=field,
            )
            for source, field in (("pvc", "path"), ("oci", "image"), ("s3", "uri"))
        ),
        *(
            base.Rule(
                cel=f"!has(self.{alias_generators.to_camel(field)})"
                f" || (has(self.source) && self.source in {list(sources)})",
                message=f"{alias_generators.to_camel(field)} is for source {' and '.join(sources)}",
                holds=_only(sources, field),
                at=alias_generators.to_camel(field),
            )
            for field, sources in (
                ("path", ("pvc", "oci")),
                ("image", ("oci",)),
                ("uri", ("s3",)),
                ("credentials_secret_ref", ("s3",)),
            )
        ),
        base.Rule(
            cel="!(has(self.revision) && has(self.source) && self.source in ['oci', 's3'])",
            message="revision is of the hub: an image has its digest, and a bucket has none",
            holds=lambda m: m.revision is None or m.source not in ("oci", "s3"),
            at="revision",
        ),
        base.Rule(
            cel="!(has(self.source) && self.source == 's3' && has(self.streaming)"
            " && has(self.streaming.enabled) && !self.streaming.enabled)",
            message="source s3 is streamed: streaming.enabled cannot be false",
            holds=lambda m: (
                not (m.source == "s3" and m.streaming is not None and m.streaming.enabled is False)
            ),
            at="streaming.enabled",
        ),
        base.Rule(
            cel="!(has(self.source) && self.source == 'pvc' && has(self.preload)"
            " && has(self.preload.enabled) && self.preload.enabled)",
            message="source pvc brings its own weights: preload.enabled cannot be true",
            holds=lambda m: (
                not (m.source == "pvc" and m.preload is not None and m.preload.enabled is True)
            ),
            at="preload.enabled",
        ),
        base.Rule(
            cel="!(has(self.runner) && self.runner == 'pooling' && (has(self.toolCallParser)"
            " || has(self.reasoningParser) || has(self.chatTemplate)))",
            message="toolCallParser, reasoningParser and chatTemplate are for runner generate",
            holds=lambda m: (
                m.runner != "pooling"
                or (
                    m.tool_call_parser is None
                    and m.reasoning_parser is None
                    and m.chat_template is None
                )
            ),
            at="runner",
        ),
    )


class LoraAdapter(base.Model):
    """An adapter, served under its name beside the base model."""

    name: Word = pydantic.Field(description="Name that clients ask for.")
    repository: Repository = pydantic.Field(description="Hugging Face repository of the adapter.")
    revision: Revision | None = pydantic.Field(
        None, description="Commit SHA, tag or branch; main when absent."
    )
    hot: bool | None = pydantic.Field(
        None,
        description="Load it into pods that run, once it is verified, and unload it when it is"
        " taken out: no pod starts again. Settings say who may (permissions.hotAdapters).",
    )


class WeightsFileSystem(base.Model):
    """Where on the shared volume the claim's weights lie."""

    sub_path: Annotated[str, base.text(255, RELATIVE_PATH)] | None = pydantic.Field(
        None, description="Sub-directory of the volume; the claim's name when absent."
    )
