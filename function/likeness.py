"""Which name somebody probably meant: a repository, a card, a class, a field, a flag or a word."""

import difflib
import heapq
from collections.abc import Iterable, Iterator

# From this likeness on, of 1, a name is taken for a misspelt one: what `difflib` takes.
LEAST = 0.6
# What it counts that the word is the beginning of the name, or goes on from it.
_BEGINNING = 0.2


def nearest(word: str, among: Iterable[str], most: int = 1, least: float = LEAST) -> list[str]:
    """Returns the names that a word resembles, the nearest first.

    The case of letters does not count. A name that the word begins, or goes on from, is nearer than
    its letters say: `l40` is l40s, and `Qwen3-8B-Instruct` is Qwen3-8B rather than a model of
    another size that ends so.

    Args:
        word: What was written.
        among: The names that there are.
        most: How many are returned at most.
        least: From which likeness on, of 1.
    """
    best = heapq.nlargest(most, _scored(word.lower(), dict.fromkeys(among), least))
    return [name for _, name in best]


def hint(word: str, among: Iterable[str], before: str = "") -> str:
    """Returns the end of a sentence that asks for the nearest name; empty where none is near.

    Args:
        word: What was written.
        among: The names that there are.
        before: What stands before a name.
    """
    near = nearest(word, sorted(among))
    return f": did you mean {before}{near[0]}?" if near else ""


def _scored(word: str, among: Iterable[str], least: float) -> Iterator[tuple[float, str]]:
    """Yields the names that are like the word, with how much."""
    matcher = difflib.SequenceMatcher[str]()
    matcher.set_seq2(word)
    for name in among:
        plain = name.lower()
        more = _BEGINNING if _begins(word, plain) or _goes_on(word, plain) else 0.0
        matcher.set_seq1(plain)
        # Each is above the next, and takes less time.
        if (
            matcher.real_quick_ratio() + more >= least
            and matcher.quick_ratio() + more >= least
            and (ratio := matcher.ratio()) + more >= least
        ):
            yield ratio + more, name


# A word of fewer letters begins too many names.
_SHORTEST = 3


def _begins(word: str, name: str) -> bool:
    return len(word) >= _SHORTEST and name.startswith(word)


def _goes_on(word: str, name: str) -> bool:
    """Tells whether the word is the name, and after it other words."""
    rest = word[len(name) :]
    return len(name) >= _SHORTEST and word.startswith(name) and not rest[:1].isalnum()
