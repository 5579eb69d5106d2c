"""The table of flags, held to the help that the program printed."""

from tests.engines.tei import recorded


def test_our_table_of_flags_is_the_programs() -> None:
    assert list(recorded.differences(recorded.HELP.read_text(encoding="utf-8"))) == []


def test_another_help_is_noticed() -> None:
    """Or the test above would compare nothing."""
    text = recorded.HELP.read_text(encoding="utf-8")
    for was, becomes, words in (
        ("--payload-limit <PAYLOAD_LIMIT>", "--body-limit <PAYLOAD_LIMIT>", "--body-limit is not"),
        ("[env: DTYPE=]", "[env: TYPE=]", "--dtype: its variable is TYPE"),
        ("[default: 16384]", "[default: 32768]", "the default is 32768"),
        ("--disable-spans", "--disable-spans <SPANS>", "--disable-spans: <SPANS> follows"),
    ):
        assert was in text
        found = "\n".join(recorded.differences(text.replace(was, becomes, 1)))
        assert words in found, found
