"""The table of flags is complete for each version, and each flag with a telling name is judged."""

import pathlib
import re

import pytest
from pydantic import alias_generators

from function.engines import judgements
from function.engines.vllm import dangers, flags, rows
from tests.engines.vllm import recorded

Kind = judgements.Kind


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_the_table_holds_every_flag_in_every_spelling(version: str) -> None:
    for flag in recorded.flags(version):
        name = flag.removeprefix("--")
        assert name in flags.TABLE, flag
        for option in recorded.names(version, flag):
            if option.startswith("--"):
                assert flags.OPTIONS[option.removeprefix("--")][0] == name, option
            else:
                assert flags.SHORT[option] == name, option


def test_the_table_holds_no_other() -> None:
    every = {flag for version in recorded.VERSIONS for flag in recorded.flags(version)}
    assert {f"--{name}" for name in flags.TABLE} == every


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_what_follows_a_flag_is_what_the_parser_expects(version: str) -> None:
    """A switch that the table gives a value would take the next flag of a pod as its value."""
    kinds = {
        "switch": rows.Takes.NOTHING,
        "json": rows.Takes.JSON,
        "integer": rows.Takes.WHOLE,
        "size": rows.Takes.SIZE,
        "number": rows.Takes.NUMBER,
        "text": rows.Takes.TEXT,
    }
    counts = {"+": rows.Takes.MANY, "?": rows.Takes.OPTIONAL}
    for flag, entry in recorded.flags(version).items():
        wanted = counts.get(entry.get("nargs", ""), kinds[entry["type"]])
        row = flags.TABLE[flag.removeprefix("--")]
        assert row.takes is wanted, flag
        assert row.repeats == entry.get("repeats", False), flag


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_each_key_of_a_judged_flag_has_a_rule(version: str) -> None:
    for flag, entry in recorded.flags(version).items():
        row = flags.TABLE[flag.removeprefix("--")]
        if row.kind in (Kind.PLAIN, Kind.MANAGED):
            continue
        missing = [key for key in entry.get("keys", ()) if not _ruled(row, key)]
        assert missing == [], flag


def _ruled(flag: rows.Flag, key: str) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:length]) in flag.keys for length in range(1, len(parts) + 1))


def test_a_full_name_is_no_dangerous_prefix_in_a_version_that_lacks_it() -> None:
    """A full name is judged as that flag alone, in every version."""
    for version in recorded.VERSIONS:
        options = {
            option.removeprefix("--"): flag.removeprefix("--")
            for flag in recorded.flags(version)
            for option in recorded.names(version, flag)
        }
        for name, (own, _) in flags.OPTIONS.items():
            meant = {flag for option, flag in options.items() if option.startswith(name)}
            if name not in options and len(meant) == 1:
                (flag,) = meant
                assert flag == own or flags.TABLE[flag].kind is Kind.PLAIN, (version, name, flag)


# Parts of names that hint at files, code, addresses and secrets.
_TELLING = re.compile(
    r"(^|[-_.])(path|paths|file|files|dir|dirs|cls|class|classes|plugin|plugins|module|modules|addr"
    r"|address|ip|port|endpoint|endpoints|url|uri|host|hosts|key|keys|certs?|certfile|keyfile"
    r"|middleware|server|socket|uds|processors?|overrides?|backend|connector|config|executor"
    r"|domains?|publisher|kwargs|params|remote|code|model|tokenizer|template)($|[-_.])"
)
# Flags with such a name that are plain. A backend, an algorithm or a format is a name among those
# that vLLM ships. A revision is a commit of a repository that another flag chooses. The
# configurations hold numbers, switches and such names (a test below checks their keys).
_REVIEWED = """
    all2all-backend attention-backend chat-template-content-format code-revision
    cohere-is-reasoning-model config-format cpu-offload-params dcp-comm-backend
    default-chat-template-kwargs disable-access-log-for-endpoints enable-tokenizer-info-endpoint
    gdn-prefill-backend kda-decode-backend kda-prefill-backend language-model-only linear-backend
    lora-target-modules mamba-backend media-io-kwargs mm-encoder-attn-backend mm-processor-cache-gb
    mm-processor-cache-type mm-processor-device mm-processor-kwargs moe-backend
    allowed-media-domains offload-backend offload-params override-attention-dtype
    override-generation-config root-path skip-tokenizer-init sleep-mode-backend
    sparse-indexer-topk-backend tokenizer-mode tokenizer-revision trust-request-chat-template
    enable-server-load-tracking api-server-count enable-tower-connector-lora max-lora-cls-labels
    num-gpu-blocks-override
    """
_REVIEWED_KEYS = """
    attention-config:backend attention-config:backend_per_kind
    attention-config:minimax_m3_msa_decode_backend attention-config:mla_prefill_backend
    attention-config:trtllm_ragged_backend attention-config:hisparse_config.device_buffer_size
    attention-config:hisparse_config.eager_host_mirror
    compilation-config:dynamic_shapes_config.assume_32_bit_indexing
    compilation-config:dynamic_shapes_config.evaluate_guards
    compilation-config:dynamic_shapes_config.type
    compilation-config:compile_ranges_endpoints speculative-config:max_model_len
    kernel-config:linear_backend kernel-config:linear_backend_per_quant kernel-config:moe_backend
    kernel-config:sparse_indexer_topk_backend profiler-config:proton_backend
    speculative-config:attention_backend speculative-config:code_revision
    speculative-config:moe_backend structured-outputs-config:backend watermark-config:key
    """


def test_a_telling_name_was_looked_at() -> None:
    """A flag of a new version that names a file, code or an address does not pass unseen."""
    telling = {
        flag.name
        for flag in flags.TABLE.values()
        if flag.kind is Kind.PLAIN and _TELLING.search(flag.name)
    }
    assert telling == set(_REVIEWED.split())


def test_so_was_a_telling_key() -> None:
    telling = set()
    for version in recorded.VERSIONS:
        for name, entry in recorded.flags(version).items():
            flag = flags.TABLE[name.removeprefix("--")]
            for key in entry.get("keys", ()):
                kind = dangers.rule(flag, key).kind
                if kind is Kind.PLAIN and _TELLING.search(key.removeprefix("pass_config.")):
                    telling.add(f"{flag.name}:{key}")
    assert telling == set(_REVIEWED_KEYS.split())


def test_a_dangerous_flag_says_what_it_does() -> None:
    for flag in flags.TABLE.values():
        assert bool(flag.why) == (flag.kind is not Kind.PLAIN or bool(flag.keys)), flag.name
        closed = flag.takes is rows.Takes.JSON and bool(flag.keys)
        assert closed or flag.kind is not Kind.UNKNOWN


def _camel(kind: Kind) -> str:
    return alias_generators.to_camel(judgements.OF_ARGUMENTS[kind])


def test_the_migration_page_names_every_flag_that_needs_a_permission() -> None:
    page = pathlib.Path("docs/migration-from-0.9.md").read_text()
    table = page.partition("### Engine arguments that need a permission")[2]
    named: dict[str, set[str]] = {}
    for line in table.splitlines():
        if line.startswith("| `--"):
            _, names, settings, *_ = line.split("|")
            for name in re.findall(r"`--([a-z0-9-]+)`", names):
                named[name] = set(re.findall(r"[a-z]+[A-Z]\w+", settings))
    needing = {}
    for flag in flags.TABLE.values():
        kinds = {flag.kind, *(rule.kind for rule in flag.keys.values())} & set(
            judgements.OF_ARGUMENTS
        )
        if kinds:
            needing[flag.name] = {_camel(kind) for kind in kinds}
    assert named == needing
