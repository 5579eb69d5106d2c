"""What text-embeddings-inference is to be for one claim: every default that is its own."""

import dataclasses

from function import explanation
from function.api import base, claim, settings
from function.capacity import cards, facts, quantity
from function.engines import engine, semver
from function.engines.tei import authored, command_line, images, memory, models, versions
from function.planning import hardware, prospects

# `--max-batch-tokens` without the flag (router/src/main.rs).
BATCH_TOKENS = 16384
# The same on a CPU, where a batch takes seconds, and `/health` waits for the one that is computed
# (backends/src/lib.rs, `Backend::health`): probes must not fail because a replica works.
CPU_BATCH_TOKENS = 4096

_DTYPES = {
    "half": "float16",
    "float16": "float16",
    "float": "float32",
    "float32": "float32",
}
# The claim's words for them.
WORDS = {"float16": "half", "float32": "float"}


@dataclasses.dataclass(frozen=True)
class Serving:
    """What text-embeddings-inference is to be for one claim.

    Attributes:
        image: The image, mirror included.
        version: Its version.
        batch_requests: Texts in a batch at most, as the program is told, or None.
        max_requests: The same as it becomes, or None where tokens alone bound it.
        batch_tokens: Tokens in a batch at most, or None for the program's own number.
        context_window: Longest text in tokens, or None where nobody knows.
        dtype: What it computes in, or None for the program's own choice.
        computes_in: The same, or what the author's own arguments say, or the program's choice.
        threads: Whether it computes on the CPU.
        from_hub: Whether the preload Job fetched the model, and no ONNX files with it.
        model: The facts of the model that the claim names, or None.
        card: The GPU, or None without one, or where nobody knows it.
        memory: What a replica takes on CPUs, or None with a GPU, or where nobody knows it.
        overruled: The author's variables that the program does not read: field and words.
    """

    image: str
    version: semver.Version
    batch_requests: int | None
    max_requests: int | None
    batch_tokens: int | None
    context_window: int | None
    dtype: str | None
    computes_in: str
    threads: bool
    from_hub: bool
    model: facts.Facts | None
    card: cards.Card | None
    memory: memory.Memory | None
    overruled: tuple[tuple[str, str], ...]

    generates = calls_tools = reasons = False
    pinned_gib: int | None = None
    outlook: engine.Outlook | None = None

    @property
    def release(self) -> str:
        """The version, as the engine writes it."""
        return semver.show(self.version)

    @property
    def needs(self) -> hardware.Needs | None:
        """What a replica takes on CPUs, for its requests and limits."""
        return None if self.memory is None else self.memory.needs


def of(planned: engine.Serving) -> Serving:
    """Returns the engine's own plan: the seam carries it without a look inside."""
    if not isinstance(planned, Serving):
        raise TypeError(f"{type(planned).__name__} is no plan of text-embeddings-inference")
    return planned


def make(
    spec: claim.Spec,
    site: settings.Settings,
    prospect: prospects.Prospect,
    why: list[explanation.Explanation],
) -> Serving:
    """Returns what text-embeddings-inference is to be."""
    image, version = image_of(spec, site, prospect)
    dtype = _DTYPES.get(spec.model.dtype or "")
    computes_in = dtype or authored.value(spec, "dtype") or _usual_dtype(spec, prospect)
    tokens = _batch_tokens(spec, site, prospect, computes_in, why)
    context = _context(spec, prospect, tokens)
    return Serving(
        image=image,
        version=version,
        batch_requests=spec.model.max_num_seqs,
        max_requests=_max_requests(spec, why),
        batch_tokens=tokens,
        context_window=context,
        dtype=dtype,
        computes_in=computes_in,
        threads=spec.without_gpu,
        from_hub=_from_hub(spec),
        model=prospect.model,
        card=None if spec.without_gpu else prospect.card,
        memory=(
            memory.of(prospect.model, context, batch_of(spec, tokens), computes_in)
            if spec.without_gpu
            else None
        ),
        overruled=_overruled(spec, dtype, tokens, why),
    )


def own(spec: claim.Spec) -> command_line.CommandLine:
    """Returns the author's own arguments, read."""
    return authored.line(spec)


def version_of(spec: claim.Spec, site: settings.Settings) -> semver.Version:
    """Returns the version of the engine: the claim's, its image's, or the settings'."""
    image, version = base.of(spec.engine, "image"), base.of(spec.engine, "version")
    if image is not None and version is None:
        return versions.of_image(image) or (0, 0, 0)
    return semver.parse(base.given(version, site.engine.tei.version))


def image_of(
    spec: claim.Spec, site: settings.Settings, prospect: prospects.Prospect
) -> tuple[str, semver.Version]:
    """Returns the image, mirror included, and the version of the engine."""
    image, version = base.of(spec.engine, "image"), version_of(spec, site)
    if image is None:
        number = base.given(base.of(spec.engine, "version"), site.engine.tei.version)
        chosen = images.CPU if spec.without_gpu else images.of_card(prospect.card)
        image = images.image(site, number.removeprefix("v"), chosen)
    return engine.mirrored(image, site), version


def _usual_dtype(spec: claim.Spec, prospect: prospects.Prospect) -> str:
    """Returns what the program computes in unless it is told.

    backends/src/dtype.rs, `DType::default`; router/src/lib.rs for Gemma 3.
    """
    gemma = prospect.model is not None and prospect.model.architecture.startswith("Gemma3")
    return "float32" if spec.without_gpu or gemma else "float16"


def _from_hub(spec: claim.Spec) -> bool:
    return spec.model.source in (None, "huggingface")


def batch_on_cpu(texts: int | None) -> int | None:
    """Returns how many texts a batch has on a CPU, where the program is told a number."""
    return None if texts is None else models.BATCH_ON_CPU


def _max_requests(spec: claim.Spec, why: list[explanation.Explanation]) -> int | None:
    """Returns the texts in a batch at most."""
    told = spec.model.max_num_seqs
    result = batch_on_cpu(told) if spec.without_gpu else told
    if result != told:
        why.append(
            explanation.Explanation(
                "texts in a batch",
                str(result),
                f"without a GPU tei takes {result} texts into a batch, whatever is asked for: the"
                " running trigger counts with them",
                f"model.maxNumSeqs={told}",
                surprising=True,
                field="spec.model.maxNumSeqs",
            )
        )
    return result


def _batch_tokens(
    spec: claim.Spec,
    site: settings.Settings,
    prospect: prospects.Prospect,
    dtype: str,
    why: list[explanation.Explanation],
) -> int | None:
    """Returns the tokens of a batch that the composition sets.

    Fewer than a text may have cut the text. So nothing is set for a model that nobody knows, and
    no less than its context where the memory of a replica has room for that, or where the author
    wants no text cut.
    """
    model = prospect.model
    if not spec.without_gpu or model is None or own(spec).sets("max-batch-tokens"):
        return None
    result, inputs = max(CPU_BATCH_TOKENS, model.context), f"{model.name}, context {model.context}"
    rule = (
        f"{CPU_BATCH_TOKENS} on a CPU, or the model's own context: a check of health waits for"
        " the batch that is computed"
    )
    taken, holds = whole(model, dtype), room(spec, site)
    cuts = authored.value(spec, "auto-truncate") != "false"
    if taken is not None and taken.bytes > holds.bytes and cuts:
        usual, result = result, longest(taken, holds)
        if result < usual:
            fits = taken.of_one(result).bytes <= holds.bytes
            rule = "as many as" if fits else "few, and still more than"
            rule += f" {holds.words} has room for"
            rule += "; longer texts are cut" if result < model.context else ""
            inputs += f"; a replica with {usual} takes {taken.gib}Gi"
    why.append(
        explanation.Explanation(
            "max-batch-tokens", str(result), rule, inputs, field="spec.engineArgs"
        )
    )
    return result


def whole(model: facts.Facts, dtype: str) -> memory.Memory | None:
    """Returns what a replica takes on CPUs that cuts no text, or None where nobody knows."""
    return memory.of(model, model.context, max(CPU_BATCH_TOKENS, model.context), dtype)


@dataclasses.dataclass(frozen=True)
class Room:
    """Memory that a replica may take on CPUs.

    Attributes:
        bytes: So many.
        words: Whose it is, for people.
        shortest: Texts of so many tokens, or fewer, are not cut for it.
    """

    bytes: int
    words: str
    shortest: int = memory.SHORTEST


def room(spec: claim.Spec, site: settings.Settings) -> Room:
    """Returns the memory that the claim gives, or that the nodes have, or that is usual."""
    usual = memory.USUAL_GIB * cards.GIB
    for kind, least in (("limits", 0), ("requests", usual)):
        written = (base.of(spec.resources, kind) or {}).get("memory")
        # A smaller request bounds nothing: the limit is what ends a container.
        if written is not None and quantity.parse(written) > least:
            return Room(int(quantity.parse(written)), f"spec.resources.{kind}.memory={written}")
    node = site.cpu.node_memory
    if node is not None and quantity.parse(node) < usual:
        # What is requested is whole GiB.
        gib = int(quantity.parse(node)) // cards.GIB
        return Room(gib * cards.GIB, f"the settings' cpu.nodeMemory={node}")
    words = f"the {memory.USUAL_GIB}Gi that common nodes of 8 CPUs offer"
    return Room(usual, words, CPU_BATCH_TOKENS)


def longest(taken: memory.Memory, holds: Room) -> int:
    """Returns the tokens of a batch for which a replica's memory has room.

    Where it has room for none, memory has to follow from the texts: from few tokens.
    """
    tokens = taken.within(holds.bytes)
    if tokens is None or tokens < holds.shortest:
        return max(CPU_BATCH_TOKENS, taken.least(CPU_BATCH_TOKENS))
    return tokens


def _overruled(
    spec: claim.Spec, dtype: str | None, tokens: int | None, why: list[explanation.Explanation]
) -> tuple[tuple[str, str], ...]:
    """Returns the author's variables that the program does not read."""
    ours = {"dtype": dtype, "max-batch-tokens": None if tokens is None else str(tokens)}
    result = tuple(authored.overruled(spec, {k: v for k, v in ours.items() if v is not None}))
    for field, words in result:
        why.append(
            explanation.Explanation(
                "variable", "not read", words, field, surprising=True, field=field
            )
        )
    return result


def _context(spec: claim.Spec, prospect: prospects.Prospect, tokens: int | None) -> int | None:
    """Returns the longest text in tokens: a longer one is cut, or refused."""
    if prospect.model is None:
        return None
    return min(prospect.model.context, batch_of(spec, tokens))


def batch_of(spec: claim.Spec, tokens: int | None) -> int:
    """Returns the tokens of a batch at most: ours, the author's or the program's own number."""
    return tokens or authored.whole(spec, "max-batch-tokens") or BATCH_TOKENS


def scores(prospect: prospects.Prospect) -> bool:
    """Tells whether the model is known to rank or classify, and to make no vectors."""
    return prospect.model is not None and prospect.model.scores
