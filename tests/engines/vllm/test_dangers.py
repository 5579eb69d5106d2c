"""Which flags exceed the rights of a claim's author, in every spelling that vLLM takes."""

import functools
import json
import typing

import hypothesis
import pytest
from hypothesis import strategies as st

from function.engines import judgements
from function.engines.vllm import command_line, dangers, flags, rows
from tests import cases, effort
from tests.engines.vllm import recorded
from tests.resources import scene

Kind = judgements.Kind
read = command_line.CommandLine.read


def kinds(*arguments: str, mounted: tuple[str, ...] = ()) -> set[tuple[str, Kind]]:
    """Returns the option and kind of each danger."""
    judged = dangers.of(read(arguments), mounted)
    return {(danger.option, danger.kind) for danger in judged}


# Each command line gives its author code execution, files or network connections.
CODE: tuple[tuple[str, str], ...] = (
    ("--trust-remote-code", "--trust-remote-code"),
    ("--Trust_Remote_Code=true", "--trust-remote-code"),
    ("--trust-rem", "--trust-remote-code"),
    ("--trust-remote-code.x=y", "--trust-remote-code"),
    ("--tool-parser-plugin=/models/x.py", "--tool-parser-plugin"),
    ("--reasoning-parser-plugin=/models/x.py", "--reasoning-parser-plugin"),
    ("--reasoning-parser-p=/models/x.py", "--reasoning-parser-plugin"),
    ("--middleware=x.y", "--middleware"),
    ("--mi=x.y", "--middleware"),
    ("--io=x", "--io-processor-plugin"),
    ("--logits-processors=x:y", "--logits-processors"),
    ("--logits-pro=x:y", "--logits-processors"),
    ("--worker-extension-cls=x.y", "--worker-extension-cls"),
    ("--worker-cls=x.y", "--worker-cls"),
    ("--worker-cls", "--worker-cls"),
    ("--scheduler-cls=x.y", "--scheduler-cls"),
    ("--distributed-executor-backend=x.Y", "--distributed-executor-backend"),
    ("--distributed-executor-backend=ray", "--distributed-executor-backend"),
    ("--model-impl=transformers", "--model-impl"),
    ('--model-class-overrides={"A": "x:Y"}', "--model-class-overrides.A"),
    ("--model-class-overrides.A=x:Y", "--model-class-overrides.A"),
    ('--hf-overrides={"auto_map": {}}', "--hf-overrides.auto_map"),
    ("--hf-overrides.architectures=X", "--hf-overrides.architectures"),
    ("--hf-overrides.rope_parameters=yarn", "--hf-overrides.rope_parameters"),
    ("--hf-overrides.rope_parameters.rope_type=x.Y", "--hf-overrides.rope_parameters.rope_type"),
    ("--hf-overrides.rope_parameters.factor=x.Y", "--hf-overrides.rope_parameters.factor"),
    ('--hf-overrides={"rope_scaling":{"factor":2,"x":1}}', "--hf-overrides.rope_scaling.x"),
    (
        '--hf-overrides={"rope_parameters":{"short_factor":[1,"x.Y"]}}',
        "--hf-overrides.rope_parameters.short_factor",
    ),
    ("--log-config-file=/models/x.json", "--log-config-file"),
    (
        '--logging-config={"pylogging_config_file": "/models/x.json"}',
        "--logging-config.pylogging_config_file",
    ),
    ("--logging-config.pylogging_config_file=x", "--logging-config.pylogging_config_file"),
    (
        '--structured-outputs-config={"reasoning_parser_plugin": "/models/x.py"}',
        "--structured-outputs-config.reasoning_parser_plugin",
    ),
    (
        "--structured_outputs_config.reasoning_parser_plugin=/models/x.py",
        "--structured-outputs-config.reasoning_parser_plugin",
    ),
    (
        "--structured.reasoning_parser_plugin=x",
        "--structured-outputs-config.reasoning_parser_plugin",
    ),
    (
        "--structured-outputs-config.reasoning_parser_plugin",
        "--structured-outputs-config",
    ),
    (
        '--structured-outputs-config={"reasoning_parser_plugin":"x","reasoning_parser_plugin":""}',
        "--structured-outputs-config.reasoning_parser_plugin",
    ),
    ('--structured-outputs-config={"new_key": 1}', "--structured-outputs-config.new_key"),
    ("--structured-outputs-config=auto", "--structured-outputs-config"),
    ("--structured-outputs-config=" + "[" * 200, "--structured-outputs-config"),
    ('--structured-outputs-config={"a": 1.5K}', "--structured-outputs-config"),
    (
        '--kv-transfer-config={"kv_connector":"X","kv_connector_module_path":"x.y"}',
        "--kv-transfer-config.kv_connector_module_path",
    ),
    (
        "--kv-transfer-config.kv_connector_extra_config.spec_module_path=x.y",
        "--kv-transfer-config.kv_connector_extra_config.spec_module_path",
    ),
    (
        "--kv-transfer-config.kv_connector_extra_config="
        '{"connectors":[{"kv_connector":"X","kv_connector_module_path":"x"}]}',
        "--kv-transfer-config.kv_connector_extra_config.connectors.kv_connector_module_path",
    ),
    (
        "--kv-transfer-config.kv_connector_extra_config.spec_name=TieringOffloadingSpec",
        "--kv-transfer-config.kv_connector_extra_config.spec_name",
    ),
    (
        "--kv-transfer-config.kv_connector_extra_config.secondary_tiers=[]",
        "--kv-transfer-config.kv_connector_extra_config.secondary_tiers",
    ),
    (
        '--ec-transfer-config={"ec_connector_module_path":"x"}',
        "--ec-transfer-config.ec_connector_module_path",
    ),
    (
        "--ec-manager-config.encoder_cache_manager_cls=x.Y",
        "--ec-manager-config.encoder_cache_manager_cls",
    ),
    ('--additional-config={"x": 1}', "--additional-config.x"),
    ('--compilation-config={"backend": "x.y"}', "--compilation-config.backend"),
    (
        '--compilation-config={"backend": "x.y", "backend": "inductor"}',
        "--compilation-config.backend",
    ),
    (
        "--compilation-config.inductor_compile_config.cpp.cxx=/models/cc",
        "--compilation-config.inductor_compile_config.cpp.cxx",
    ),
    ("--compilation-config.inductor_passes.p=x.y", "--compilation-config.inductor_passes.p"),
    ("--compilation-config.cache_dir=/models/x", "--compilation-config.cache_dir"),
    ('--speculative-config={"method": "custom_class"}', "--speculative-config.method"),
    ("--speculative-config.model=x.Y", "--speculative-config.model"),
    ("--speculative-config.model=/tmp/x", "--speculative-config.model"),
    (
        '--speculative-config={"draft-load-config": {"load_format": "x"}}',
        "--speculative-config.draft_load_config.load_format",
    ),
    ("--spec-method=custom_class", "--spec-method"),
    ("--spec-model=x.Y", "--spec-model"),
    ("--mm-processor-kwargs.trust_remote_code=true", "--mm-processor-kwargs.trust_remote_code"),
    (
        '--mm-processor-kwargs={"a": {"auto_map": {}}}',
        "--mm-processor-kwargs.a.auto_map",
    ),
)
FILES: tuple[tuple[str, str], ...] = (
    ("--allowed-local-media-path=/", "--allowed-local-media-path"),
    ("--chat-template=/proc/self/environ", "--chat-template"),
    ("--chat-template=/models/../proc/self/environ", "--chat-template"),
    ("--chat-template=../proc/self/environ", "--chat-template"),
    ("--chat-template=/models/{a}/../../proc/self/environ", "--chat-template"),
    ("--chat-template", "--chat-template"),
    ("--mm-processor-kwargs.vocab_file=/etc/passwd", "--mm-processor-kwargs.vocab_file"),
    ("--mm-processor-kwargs.x.merges_file=/etc/passwd", "--mm-processor-kwargs.x.merges_file"),
    ('--mm-processor-kwargs={"tokenizer_file": ["/a"]}', "--mm-processor-kwargs.tokenizer_file"),
    ("--mm-processor-kwargs.spm_file.a=/a", "--mm-processor-kwargs.spm_file.a"),
    ("--mm-processor-kwargs.added_tokens_file=/a", "--mm-processor-kwargs.added_tokens_file"),
    (
        "--mm-processor-kwargs.special_tokens_map_file=/a",
        "--mm-processor-kwargs.special_tokens_map_file",
    ),
    ("--mm-processor-kwargs.gguf_file=/a", "--mm-processor-kwargs.gguf_file"),
    (
        "--mm-processor-kwargs.image_processor_filename=a",
        "--mm-processor-kwargs.image_processor_filename",
    ),
    (
        "--mm-processor-kwargs.speaker_embeddings_dict_path=a",
        "--mm-processor-kwargs.speaker_embeddings_dict_path",
    ),
    ("--mm-processor-kwargs.data_dir=/a", "--mm-processor-kwargs.data_dir"),
    ("--tokenizer=/etc", "--tokenizer"),
    ("--tokenizer.x=/models/x", "--tokenizer"),
    ("--tokenizer=/models/../etc", "--tokenizer"),
    ("--hf-config-path=/etc", "--hf-config-path"),
    ("--generation-config=/etc", "--generation-config"),
    ('--default-mm-loras={"audio": "/etc"}', "--default-mm-loras.audio"),
    ("--download-dir=/etc", "--download-dir"),
    ("--mm-encoder-fp8-scale-path=/etc/x", "--mm-encoder-fp8-scale-path"),
    ("--mm-encoder-fp8-scale-save-path=/x", "--mm-encoder-fp8-scale-save-path"),
    ('--profiler-config={"torch_profiler_dir": "/x"}', "--profiler-config.torch_profiler_dir"),
    ("--watchdog-config.dump_dir=/x", "--watchdog-config.dump_dir"),
    ("--compilation-config.debug_dump_path=/x", "--compilation-config.debug_dump_path"),
    ("--ssl-keyfile=/x", "--ssl-keyfile"),
    ("--ssl-certfile=/x", "--ssl-certfile"),
    ("--ssl-ca-certs=/x", "--ssl-ca-certs"),
)
CONNECTS: tuple[tuple[str, str], ...] = (
    ("--otlp-traces-endpoint=http://a", "--otlp-traces-endpoint"),
    ("--ot=http://a", "--otlp-traces-endpoint"),
    ("--tool-server=demo", "--tool-server"),
    ("--kv-offloading-backend=lmcache", "--kv-offloading-backend"),
    (
        '--kv-transfer-config={"kv_connector":"P2pNcclConnector"}',
        "--kv-transfer-config.kv_connector",
    ),
    ("--kv-transfer-config.kv_ip=10.0.0.1", "--kv-transfer-config.kv_ip"),
    ('--ec-transfer-config={"ec_ip":"10.0.0.1"}', "--ec-transfer-config.ec_ip"),
    ('--weight-transfer-config={"backend":"nccl"}', "--weight-transfer-config.backend"),
    ("--data-parallel-address=10.0.0.1", "--data-parallel-address"),
    ("--data-parallel-backend=ray", "--data-parallel-backend"),
    ("--data-parallel-hybrid-lb", "--data-parallel-hybrid-lb"),
    ("--headless", "--headless"),
    ("--master-addr=10.0.0.1", "--master-addr"),
    ("--nnodes=2", "--nnodes"),
)
LISTENS: tuple[tuple[str, str], ...] = (
    ("--data-parallel-rpc-port=1", "--data-parallel-rpc-port"),
    ("--grpc", "--grpc"),
    ("--grpc-port=1", "--grpc-port"),
    ("--uds=/x", "--uds"),
    ('--kv-events-config={"publisher":"zmq"}', "--kv-events-config.publisher"),
)
SECRETS: tuple[tuple[str, str], ...] = (
    ("--api-key=x", "--api-key"),
    ("--api=x", "--api-key"),
    ("--hf-token=x", "--hf-token"),
    ("--mm-processor-kwargs.token=x", "--mm-processor-kwargs.token"),
    ("--mm-processor-kwargs.use_auth_token=x", "--mm-processor-kwargs.use_auth_token"),
)
# Of no version, or of each version its own.
UNKNOWN: tuple[tuple[str, str], ...] = (
    ("--swap-space=4", "--swap-space"),
    ("--rope-scaling.factor=4.0", "--rope-scaling.factor"),
    ("--a-flag-of-tomorrow", "--a-flag-of-tomorrow"),
    ("--enforce", "--enforce"),
    ("--tensor_parallel=4", "--tensor-parallel"),
    ("--no-enforce", "--no-enforce"),
)
# The permission of each class, in the settings' spelling.
SETTINGS = {
    Kind.CODE: "trustRemoteCode",
    Kind.FILES: "engineFiles",
    Kind.CONNECTS: "engineConnections",
    Kind.LISTENS: "engineListeners",
    Kind.SECRET: "engineSecrets",
    Kind.UNKNOWN: "unknownArguments",
}
ATTACKS = [
    (argument, option, kind)
    for kind, rows in (
        (Kind.CODE, CODE),
        (Kind.FILES, FILES),
        (Kind.CONNECTS, CONNECTS),
        (Kind.LISTENS, LISTENS),
        (Kind.SECRET, SECRETS),
        (Kind.UNKNOWN, UNKNOWN),
    )
    for argument, option in rows
]


every_attack = cases.together("attack", list(enumerate(ATTACKS)))


@every_attack
def test_an_author_reaches_neither_code_nor_files_nor_others(attack: tuple[str, str, Kind]) -> None:
    argument, option, kind = attack
    assert (option, kind) in kinds(argument)
    assert len(argument) <= 256


@every_attack
def test_the_plan_refuses_it_with_words_and_names_the_field(attack: tuple[str, str, Kind]) -> None:
    argument, option, kind = attack
    wanted = scene.of(engineArgs=["--seed=1", argument])
    problems = scene.unplanned(wanted).problems
    assert {problem.path for problem in problems} == {"spec.engineArgs[1]"}
    assert any(
        problem.message.startswith(f"{option} ") and SETTINGS[kind] in problem.message
        for problem in problems
    )
    scene.planned(wanted, scene.site(permissions={"trustRemoteCode": ["llm"]}))


@every_attack
def test_its_own_setting_opens_it_and_no_other_does(attack: tuple[str, str, Kind]) -> None:
    argument, _, _ = attack
    wanted = scene.of(engineArgs=[argument])
    named = {SETTINGS[danger] for _, danger in kinds(argument)}
    opened = {setting: ["llm"] for setting in named}
    scene.planned(wanted, scene.site(permissions=opened))
    for setting in set(SETTINGS.values()) - named - {SETTINGS[Kind.CODE]}:
        scene.unplanned(wanted, scene.site(permissions={setting: ["llm"]}))


@pytest.mark.parametrize(
    "argument",
    [
        "--reasoning-parser=qwen3",
        "--Reasoning_Parser=qwen3",
        "--seed=1",
        "--tensor-parallel-size=2",
        "--distributed-executor-backend=mp",
        "--no-trust-remote-code",
        "--model-impl=vllm",
        "--tokenizer=Qwen/Qwen3-8B",
        "--tokenizer=/models/other",
        "--generation-config=vllm",
        "--chat-template=/models/base/chat.jinja",
        "--chat-template=examples/tool_chat_template_hermes.jinja",
        "--chat-template={% for m in messages %}{{ m.content }}{% endfor %}",
        "--logging-config.log_level=DEBUG",
        '--structured-outputs-config={"backend": "xgrammar", "disable_any_whitespace": true}',
        "--structured-outputs-config={}",
        "--structured-outputs-config.backend=guidance",
        "--hf-overrides.rope_parameters.factor=4.0",
        '--hf-overrides={"rope_parameters":{"rope_type":"yarn","factor":4.0,'
        '"original_max_position_embeddings":32768,"mrope_section":[16,24,24]}}',
        '--hf-overrides={"text_config":{"rope_scaling":{"type":"linear","truncate":false}}}',
        "--compilation-config=3",
        '--compilation-config={"cudagraph_mode":"FULL","pass_config":{"fuse_norm_quant":true}}',
        '--compilation-config={"max_cudagraph_capture_size": 2k}',
        "--compilation-config.compile_sizes=[1,2]",
        '--speculative-config={"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":4}',
        '--speculative-config={"model":"Qwen/Qwen3-0.6B","num-speculative-tokens":3}',
        "--spec-method=ngram",
        '--kv-transfer-config={"kv_connector":"OffloadingConnector","kv_role":"kv_both",'
        '"kv_connector_extra_config":{"cpu_bytes_to_use":80g}}',
        "--kv-transfer-config.kv_connector_extra_config.spec_name=CPUOffloadingSpec",
        '--override-generation-config={"temperature": 0.2}',
        '--limit-mm-per-prompt={"image": 2}',
        '--mm-processor-kwargs={"max_pixels": 1003520}',
        "--max-num-batched-tokens=8192",
        "--enable-log-requests",
    ],
)
def test_tuning_passes(argument: str) -> None:
    scene.planned(scene.of(engineArgs=[argument]))


@pytest.mark.parametrize(
    ("argument", "changes", "words"),
    [
        ("--dtyp=half", {"model": {"dtype": "half"}}, "sets --dtype and model.dtype is set too"),
        ("--shutdown-time=60", {"drainSeconds": 60}, "sets --shutdown-timeout and drainSeconds"),
        ("--max-num-s=4", {}, "every spelling"),
        ("--device-memory-utiliz=0.5", {}, "--gpu-memory-utilization is set by the composition"),
    ],
)
def test_what_is_short_for_a_flag_is_refused_as_that_flag(
    argument: str, changes: dict[str, typing.Any], words: str
) -> None:
    site = scene.site(permissions={"unknownArguments": ["llm"]})
    problems = scene.unplanned(
        scene.of(engineArgs=["--seed=1", argument], **changes), site
    ).problems
    assert [problem.path for problem in problems] == ["spec.engineArgs[1]"]
    assert words in problems[0].message


def test_what_is_short_for_a_flag_is_named_in_full_where_it_is_refused() -> None:
    (problem,) = scene.unplanned(scene.of(engineArgs=["--max-num-batched-token=8192"])).problems
    assert "is short for --max-num-batched-tokens, and for which flag" in problem.message


def test_a_flag_of_no_version_and_a_secret_are_told_apart() -> None:
    assert kinds("--swap-space=4") == {("--swap-space", Kind.UNKNOWN)}
    assert kinds("--api-key=x") == {("--api-key", Kind.SECRET)}
    assert kinds("--max-num-seqs=4") == {("--max-num-seqs", Kind.MANAGED)}


def test_the_claims_own_mounts_are_its_own_files() -> None:
    assert not kinds("--chat-template=/templates/a.jinja", mounted=("/templates",))
    assert kinds("--chat-template=/templates/../a", mounted=("/templates",))
    assert kinds("--chat-template=/templatesx/a", mounted=("/templates",))
    assert kinds("--chat-template=/proc/self/environ", mounted=("/", ""))
    assert kinds("--worker-cls=/templates/a", mounted=("/templates",))


def test_the_plan_knows_the_claims_mounts() -> None:
    pod = {"volumeMounts": [{"name": "templates", "mountPath": "/templates"}]}
    site = scene.site(permissions={"volumes": ["llm"]})
    template = "--chat-template=/templates/a.jinja"
    scene.planned(scene.of(engineArgs=[template], podTemplate=pod), site)
    scene.unplanned(scene.of(engineArgs=[template]), site)


def test_the_second_name_of_a_managed_flag_is_refused() -> None:
    """0.32 has --device-memory-utilization as a second name; no permission allows it."""
    for argument in ("--device-memory-utilization=0.5", "--device_memory=0.5", "--device=0"):
        wanted = scene.of(engineArgs=[argument])
        for site in (None, scene.site(permissions={"trustRemoteCode": ["*"]})):
            (problem,) = scene.unplanned(wanted, site).problems
            assert problem.path == "spec.engineArgs[0]"
            assert "spec.gpu.memoryUtilization" in problem.message


def test_deep_json_ends_in_words() -> None:
    """An argument of a running pod has no bound on its length."""
    for text in ("[" * 100_000, '{"a":' * 900 + "1" + "}" * 900):
        assert {kind for _, kind in kinds(f"--hf-overrides={text}")} == {Kind.CODE}


VALUES = ("x", "x.y", "/tmp/x", "1", "a=b", '{"a": 1}', "", "two words", "é")


@st.composite
def _spelled(draw: st.DrawFn, version: str) -> str:
    """Draws a token of an attacker: a recorded option, misspelled or shortened, with any value."""
    flag = draw(st.sampled_from(sorted(recorded.flags(version))))
    option = draw(st.sampled_from(recorded.names(version, flag)))
    if option.startswith("--"):
        option = option[: draw(st.one_of(st.just(len(option)), st.integers(3, len(option))))]
        option = "".join(
            draw(st.sampled_from("-_")) if c == "-" and at > 1 else c for at, c in enumerate(option)
        )
    keys = recorded.flags(version)[flag].get("keys", ["a"])
    key = draw(st.sampled_from([*keys, "a.b"]))
    tail = draw(
        st.sampled_from(
            [
                "",
                f".{key}=x",
                f".{key}+=x",
                f".{key}",
                f"={json.dumps({key.split('.')[0]: 'x'})}",
                *(f"={value}" for value in VALUES),
            ]
        )
    )
    return option + tail


@functools.cache
def _harmful() -> frozenset[str]:
    """The flags by which "x" or a key set to "x" is always more than tuning, JSON flags apart."""
    return frozenset(
        flag.name
        for flag in flags.TABLE.values()
        if flag.kind not in (Kind.PLAIN, Kind.SECRET) and flag.takes is not rows.Takes.JSON
    )


@pytest.mark.parametrize("version", recorded.VERSIONS)
@hypothesis.given(st.data())
@effort.examples(30, 3 * hypothesis.settings().max_examples)
def test_what_the_parser_takes_for_a_dangerous_flag_is_judged(
    version: str, data: st.DataObject
) -> None:
    """Any spelling is judged, also in a row of flags of which one may take the next as value."""
    arguments = data.draw(st.lists(_spelled(version), min_size=1, max_size=3))
    try:
        parsed = recorded.parser(version).read(["/models/x", *arguments])
    except recorded.RefusedError:
        return
    judged = list(dangers.of(read(arguments)))
    for name, value in parsed.items():
        flag = flags.TABLE.get(name.removeprefix("--"))
        if flag is None or _tame(flag, value):
            continue
        assert any(danger.flag == flag.name for danger in judged), (name, value)


def _tame(flag: rows.Flag, value: typing.Any) -> bool:
    """Tells whether the parsed value does nothing that is judged."""
    if flag.kind is Kind.MANAGED:
        return False
    if value == "off":
        return True
    if flag.takes is rows.Takes.JSON:
        if flag.kind is Kind.PLAIN and not flag.keys:
            return True
        try:
            content = json.loads(value)
        except ValueError:
            return flag.kind is Kind.PLAIN
        if not isinstance(content, dict):
            return flag.kind is Kind.PLAIN or flag.name == "compilation-config"
        return all(dangers.rule(flag, key).kind is Kind.PLAIN for key, _ in recorded.flat(content))
    if flag.name not in _harmful():
        return True
    given = value if isinstance(value, list) else [value]
    return flag.plain is not None and all(flag.plain(str(text)) for text in given)
