"""Claims on their way from files to what a verb makes of them, for every verb that reads claims."""

import collections
import dataclasses
import itertools
import os
import typing
from collections.abc import Callable, Iterable, Iterator

from function.api import base, settings
from function.cli import documents, refused, rendering, snapshot, verdicts

NOTHING = snapshot.Snapshot()

Made = typing.TypeVar("Made")


@dataclasses.dataclass(frozen=True)
class Read(typing.Generic[Made]):
    """A claim that was read, and what was made of it.

    Attributes:
        source: Where it was read; `source.misspelt` says that it is of no kind.
        namesakes: Where else a claim of its kind and name stands.
        made: What the verb made of an InferenceService; None where it cannot be used.
        plain: What a claim of another kind becomes.
        problems: Why it cannot be used.
    """

    source: documents.Source
    namesakes: tuple[documents.Source, ...]
    made: Made | None = None
    plain: rendering.Plain | None = None
    problems: tuple[base.Problem, ...] = ()


def each(
    sources: Iterable[documents.Source],
    site: settings.Settings,
    make: Callable[[documents.Source], Made],
    cluster: snapshot.Snapshot = NOTHING,
) -> Iterator[Read[Made]]:
    """Yields the claims in their order.

    Args:
        sources: Where they were read.
        site: The settings.
        make: Returns what the verb makes of an InferenceService; raises base.InvalidError for one
            that it cannot use.
        cluster: What was observed.
    """
    given = list(sources)
    named = collections.defaultdict(list)
    for source in given:
        named[source.namespace, source.name, source.document["kind"]].append(source)
    for source in given:
        same = named[source.namespace, source.name, source.document["kind"]]
        read: Read[Made] = Read(source, tuple(other for other in same if other is not source))
        if source.misspelt:
            yield read
            continue
        try:
            kind = rendering.other_kind(source)
            if kind is None:
                yield dataclasses.replace(read, made=make(source))
            else:
                plain = rendering.plain(source, kind, site, cluster, given)
                yield dataclasses.replace(read, plain=plain)
        except base.InvalidError as error:
            yield dataclasses.replace(read, problems=error.problems)


def rendered(
    given: documents.Claims,
    site: settings.Settings,
    cluster: snapshot.Snapshot,
    assumed: rendering.Assumption | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[rendering.Rendered], list[rendering.Plain], list[verdicts.Verdict]]:
    """Returns the claims that can be used, those of other kinds, and the verdict on each."""
    others: list[rendering.Plain] = []
    used: list[rendering.Rendered] = []
    judged: list[verdicts.Verdict] = []
    numbers = itertools.count(1)

    def render(source: documents.Source) -> rendering.Rendered:
        say(f"rendering {next(numbers)} of {len(given.sources)}")
        return rendering.render(source, site, cluster, assumed, given.sources)

    for read in each(given.sources, site, render, cluster):
        source = read.source
        if source.misspelt:
            judged.append(verdicts.refused(source, verdicts.MISSPELT, (source.misspelt,)))
        elif read.plain is not None:
            others.append(read.plain)
        elif read.made is None:
            faults = refused.findings(source.document, read.problems, site)
            messages = refused.messages(faults)
            judged.append(verdicts.refused(source, verdicts.INVALID, messages))
        else:
            used.append(read.made)
            judged.append(verdicts.of(read.made, tuple(other.file for other in read.namesakes)))
    return used, others, judged


def absent(given: documents.Claims, cluster: snapshot.Snapshot) -> list[snapshot.Name]:
    """Returns the claims of the cluster that no file has, by namespace and name.

    A file that cannot be read may have any: then there are none.
    """
    if given.unreadable:
        return []
    names = {(source.namespace, source.name) for source in given.sources}
    return [name for name in cluster.claims() if name not in names]


def whole(names: Iterable[str], given: documents.Claims) -> bool:
    """Tells whether files are all that there are: a claim that a directory lacks is removed.

    Standard input with several objects is what a program made of a directory. Of claims beside a
    single file, or beside a single one of standard input, nobody says anything by naming it.
    """
    return given.piped > 1 or any(map(os.path.isdir, names))


def beside(names: Iterable[snapshot.Name]) -> Iterator[str]:
    """Yields a note on claims that live beside single files."""
    named = sorted("/".join(name) for name in names)
    if named:
        more = f" and {len(named) - _MOST_NAMES} more" if len(named) > _MOST_NAMES else ""
        listed = ", ".join(named[:_MOST_NAMES]) + more
        yield f"not among the files, so not counted and taken to stay: {listed}"


_MOST_NAMES = 10
