"""What text-embeddings-inference is to be for one claim: every default that is its own."""

import dataclasses

from function import explanation
from function.api import base, claim, settings
from function.capacity import facts
from function.engines import engine, semver
from function.engines.tei import command_line, images, models, versions
from function.planning import prospects

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


@dataclasses.dataclass(frozen=True)
class Serving:
    """What text-embeddings-inference is to be for one claim.

    Attributes:
        image: The image, mirror included.
        version: Its version.
        max_requests: Texts in a batch at most, or None where tokens alone bound it.
        batch_tokens: Tokens in a batch at most, or None for the program's own number.
        context_window: Longest text in tokens, or None where nobody knows.
        dtype: What it computes in, or None for the program's own choice.
        threads: Whether it computes on the CPU.
        model: The facts of the model that the claim names, or None.
    """

    image: str
    version: semver.Version
    max_requests: int | None
    batch_tokens: int | None
    context_window: int | None
    dtype: str | None
    threads: bool
    model: facts.Facts | None

    generates = calls_tools = reasons = False
    pinned_gib: int | None = None
    outlook: engine.Outlook | None = None

    @property
    def release(self) -> str:
        """The version, as the engine writes it."""
        return semver.show(self.version)


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
    tokens = _batch_tokens(spec, prospect, why)
    return Serving(
        image=image,
        version=version,
        max_requests=spec.model.max_num_seqs,
        batch_tokens=tokens,
        context_window=_context(spec, prospect, tokens),
        dtype=_DTYPES.get(spec.model.dtype or ""),
        threads=spec.without_gpu,
        model=prospect.model,
    )


def own(spec: claim.Spec) -> command_line.CommandLine:
    """Returns the author's own arguments, read."""
    return command_line.CommandLine.read(spec.engine_args or [])


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


def _batch_tokens(
    spec: claim.Spec, prospect: prospects.Prospect, why: list[explanation.Explanation]
) -> int | None:
    """Returns the tokens of a batch that the composition sets.

    Fewer than a text may have would cut the text. So nothing is set for a model that nobody knows.
    """
    if not spec.without_gpu or prospect.model is None or own(spec).sets("max-batch-tokens"):
        return None
    result = max(CPU_BATCH_TOKENS, prospect.model.context)
    why.append(
        explanation.Explanation(
            "max-batch-tokens",
            str(result),
            f"{CPU_BATCH_TOKENS} on a CPU, or the model's own context: a check of health waits for"
            " the batch that is computed",
            f"{prospect.model.name}, context {prospect.model.context}",
            field="spec.engineArgs",
        )
    )
    return result


def _context(spec: claim.Spec, prospect: prospects.Prospect, tokens: int | None) -> int | None:
    """Returns the longest text in tokens: a longer one is cut, or refused."""
    if prospect.model is None:
        return None
    most = own(spec).whole("max-batch-tokens") or tokens or BATCH_TOKENS
    return min(prospect.model.context, most)


def scores(prospect: prospects.Prospect) -> bool:
    """Tells whether the model is known to rank or classify, and to make no vectors."""
    return prospect.model is not None and models.scores(prospect.model.architecture)
