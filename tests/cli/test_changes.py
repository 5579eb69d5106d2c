"""What differs between two objects, with values."""

import hypothesis
from hypothesis import strategies as st

from function import canonical
from function.cli import changes

_names = st.sampled_from("abc")
_values = st.recursive(
    st.integers(0, 2) | _names,
    lambda inner: (
        st.dictionaries(_names, inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"name": _names, "x": inner}), max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.given(_values, _values)
def test_the_paths_are_those_of_the_hold(old: object, new: object) -> None:
    """A field that restarts pods is differences by its path."""
    differences = list(changes.between(old, new))
    assert [change.path for change in differences] == canonical.differences(old, new)
    assert all(change.old != change.new for change in differences)


@hypothesis.given(_values, _values)
def test_of_what_is_ours_nothing_goes(old: object, new: object) -> None:
    """Fields of maps that only the old one has belong to somebody else."""
    assert not list(changes.between(new, new, ours=True))
    for change in changes.between(old, new, ours=True):
        assert change.new is not changes.ABSENT or "[" in change.path


def test_what_others_added_to_an_item_is_theirs() -> None:
    old = {"ports": [{"name": "http", "port": 80, "nodePort": 30000}]}
    new = {"ports": [{"name": "http", "port": 81}]}
    (change,) = changes.between(old, new, ours=True)
    assert change.document() == {"path": "ports[http].port", "old": 80, "new": 81}
