"""Claims on their way from files to verdicts, for every verb that compares them with a cluster."""

import collections
from collections.abc import Callable

from function.api import base, settings
from function.cli import documents, rendering, snapshot, verdicts


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
    namesakes = collections.defaultdict(list)
    for source in given.sources:
        namesakes[source.namespace, source.name].append(source)
    for number, source in enumerate(given.sources):
        say(f"rendering {number + 1} of {len(given.sources)}")
        if source.misspelt:
            judged.append(verdicts.refused(source, verdicts.MISSPELT, (source.misspelt,)))
            continue
        try:
            kind = rendering.other_kind(source)
            if kind is not None:
                others.append(rendering.plain(source, kind, site, cluster))
                continue
            item = rendering.render(source, site, cluster, assumed)
        except base.InvalidError as error:
            messages = tuple(map(str, error.problems))
            judged.append(verdicts.refused(source, verdicts.INVALID, messages))
            continue
        used.append(item)
        same = [s.file for s in namesakes[source.namespace, source.name] if s is not source]
        judged.append(verdicts.of(item, tuple(same)))
    return used, others, judged


def removed(given: documents.Claims, cluster: snapshot.Snapshot) -> list[verdicts.Verdict]:
    """Returns the verdict on each claim of the cluster that no file has.

    A file that cannot be read may have any: then nothing is said.
    """
    names = {(source.namespace, source.name) for source in given.sources}
    return [verdicts.removed(cluster, *name) for name in cluster.claims() if name not in names]
