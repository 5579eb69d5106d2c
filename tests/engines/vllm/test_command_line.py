"""How a command line is parsed, and which numbers are refused."""

import json
import typing

import hypothesis
import pytest
from hypothesis import strategies as st

from function.api import base
from function.engines import judgements
from function.engines.vllm import command_line, dangers, flags, rows
from tests import cases, cluster
from tests.engines.vllm import recorded
from tests.resources import scene

read = command_line.CommandLine.read


# Numbers.


# Not finite, negative, too large for any engine, and no numbers at all.
NO_NUMBERS = [
    *("inf", "-inf", "Infinity", "nan", "-100", "-1"),
    *("1e300", "1e400", "9" * 100, "", "x", "1_0_"),
]


@pytest.mark.parametrize("flag", sorted(flags.BOUNDS))
@cases.together("value", list(enumerate(NO_NUMBERS)))
def test_a_number_that_planning_reckons_with_is_bounded(flag: str, value: str) -> None:
    site = scene.site(permissions={"unknownArguments": ["llm"]})
    for argument in (f"--{flag}={value}", f"--{flag[:-1].replace('-', '_')}={value}"):
        problems = scene.unplanned(scene.of(engineArgs=["--seed=1", argument]), site).problems
        assert [problem.path for problem in problems] == ["spec.engineArgs[1]"]
        assert problems[0].message.startswith(f"--{flag} ")


def test_a_number_is_refused_beside_all_else() -> None:
    arguments = ["--shutdown-timeout=inf", "--kv-offloading-size=nan", "--worker-cls=x.y"]
    problems = scene.unplanned(scene.of(engineArgs=arguments)).problems
    assert sorted(problem.path for problem in problems) == [
        f"spec.engineArgs[{index}]" for index in range(3)
    ]


def test_seconds_of_a_drain_are_whole() -> None:
    """vLLM reads them with int()."""
    for value in ("5.0", "1e1", "8k"):
        scene.unplanned(scene.of(engineArgs=[f"--shutdown-timeout={value}"]))
    assert scene.planned(scene.of(engineArgs=["--shutdown-timeout=5"])).drain.shutdown == 5


def test_each_use_of_a_number_is_looked_at_and_the_last_counts() -> None:
    line = read(["--shutdown-timeout=5", "--shutdown_timeout=7"])
    assert line.number("shutdown-timeout", 0, 10) == 7
    with pytest.raises(base.InvalidError, match="between 0 and 6"):
        line.number("shutdown-timeout", 0, 6)
    assert read([]).number("shutdown-timeout", 0, 1) is None
    assert read(["--kv-offloading-size=2.5"]).number("kv-offloading-size", 0, 3) == 2.5
    for text, value in (("8192", 8192), ("8k", 8000), ("8K", 8192), ("1.5k", 1500)):
        line = read([f"--max-num-batched-tokens={text}"])
        assert line.number("max-num-batched-tokens", 1, 1e6) == value


def test_an_offload_of_a_fraction_is_reckoned_up() -> None:
    assert scene.planned(scene.of(engineArgs=["--kv-offloading-size=2.5"])).serving.pinned_gib == 3


# Reading.


def test_a_command_line_of_0_9_0_is_read() -> None:
    for name in ("qwen-coder", "qwen3-8b"):
        arguments = _recorded_arguments(name)
        line = read(arguments)
        assert line.value("max-num-seqs") == arguments[arguments.index("--max-num-seqs") + 1]
        assert line.switched("enable-prefix-caching") is True
        assert line.value("tool-call-parser") is not None
        assert line.positional == ()
        kinds = {danger.kind for danger in dangers.of(line)}
        assert not list(dangers.problems(line)) or kinds == {judgements.Kind.MANAGED}


def _recorded_arguments(name: str) -> list[str]:
    for manifest in cluster.load_all(f"tests/fixtures/0.9.0/{name}.yaml"):
        if manifest["kind"] == "Deployment":
            (engine,) = manifest["spec"]["template"]["spec"]["containers"]
            return list(map(str, engine["args"]))
    raise LookupError(name)


@pytest.mark.parametrize(
    ("arguments", "flag", "values"),
    [
        (["--lora-modules", "sql=/a", "law=/b", "--seed=1"], "lora-modules", ("sql=/a", "law=/b")),
        (["--lora-modules=sql=/a"], "lora-modules", ("sql=/a",)),
        (["--lora-modules", "a=/a", "--lora-modules", "b=/b"], "lora-modules", ("b=/b",)),
        (["--middleware=a", "--middleware", "b"], "middleware", ("a", "b")),
        (["-tp", "2"], "tensor-parallel-size", ("2",)),
        (["-tp=2"], "tensor-parallel-size", ("2",)),
        (["-O3"], "optimization-level", ("3",)),
        (["-O=3"], "optimization-level", ("3",)),
        (["-q", "fp8"], "quantization", ("fp8",)),
        (["-qfp8"], "quantization", ("fp8",)),
        (["--seed", "-1"], "seed", ("-1",)),
        (["--max_num_seqs", "8"], "max-num-seqs", ("8",)),
        (["--max-num-seq=8"], "max-num-seqs", ("8",)),
        (["--max-num-s=8"], "max-num-seqs", ()),
        (["/m", "--enforce-eager", "--seed=2"], "enforce-eager", ()),
        (["--device-memory-utilization=0.5"], "gpu-memory-utilization", ("0.5",)),
        (["--dt=half"], "dtype", ("half",)),
        (["--kv-off=3"], "kv-offloading-size", ()),
        ([], "seed", ()),
    ],
)
def test_values(arguments: list[str], flag: str, values: tuple[str, ...]) -> None:
    assert read(arguments).values(flag) == values
    assert read(arguments).value(flag) == (values[-1] if values else None)


def test_an_ambiguous_prefix_sets_nothing() -> None:
    assert not read(["--kv-offl=3"]).sets("kv-offloading-size")
    assert read(["--kv-offloading-s=3"]).sets("kv-offloading-size")


@pytest.mark.parametrize(
    ("argument", "on"),
    [
        ("--enable-prefix-caching", True),
        ("--no-enable-prefix-caching", False),
        ("--disable-prefix-caching", False),
        ("--no_enable_prefix", False),
        ("--seed=1", None),
    ],
)
def test_a_switch(argument: str, on: bool | None) -> None:
    assert read([argument]).switched("enable-prefix-caching") is on


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (
            ['--compilation-config={"mode":3,"pass_config":{"a":true}}'],
            {"mode": 3, "pass_config.a": True},
        ),
        (["-cc.mode=3", "-cc.pass_config.a", "true"], {"mode": 3, "pass_config.a": True}),
        (["--compilation-config.splitting_ops+=a,b"], {"splitting_ops": ["a", "b"]}),
        # Dotted keys are appended as one value, which replaces any other.
        (["--compilation-config.mode=3", '--compilation-config={"backend":"x"}'], {"mode": 3}),
        (['--compilation-config={"a":1}', '--compilation-config={"b":2k}'], {"b": 2000}),
        (["--compilation-config=x"], {}),
        ([], {}),
    ],
)
def test_keys(arguments: list[str], keys: dict[str, typing.Any]) -> None:
    assert read(arguments).keys("compilation-config") == keys


# Against the parsers.


@st.composite
def _line(draw: st.DrawFn, version: str) -> list[str]:
    """Draws a whole command line that the version's parser accepts, in any of its forms."""
    line = ["/models/x"]
    for flag in draw(st.lists(st.sampled_from(sorted(recorded.flags(version))), max_size=6)):
        entry = recorded.flags(version)[flag]
        option = draw(st.sampled_from(recorded.names(version, flag)))
        if option.startswith("--"):
            option = "--" + option[2:].replace("-", draw(st.sampled_from("-_")))
        if entry["type"] == "switch":
            line.append(option)
        elif entry["type"] == "json" and draw(st.booleans()):
            key, value = draw(st.sampled_from((("a", "1"), ("a.b", "x"), ("c+", "p,q"))))
            line += draw(st.sampled_from(([f"{option}.{key}={value}"], [f"{option}.{key}", value])))
        elif entry["type"] == "json":
            line.append(option + "=" + draw(st.sampled_from(('{"a": {"b": 2}}', '{"c": []}'))))
        elif entry.get("nargs") == "+":
            line += [option, *draw(st.lists(st.sampled_from(("x=1", "y", "-2")), min_size=1))]
        else:
            value = draw(st.sampled_from(("x", "a=b", "-1", "1.5", "")))
            line += draw(st.sampled_from(([f"{option}={value}"], [option, value or "x"])))
    return line


@pytest.mark.parametrize("version", recorded.VERSIONS)
@hypothesis.given(st.data())
def test_a_line_is_read_as_the_parser_reads_it(version: str, data: st.DataObject) -> None:
    arguments = data.draw(_line(version))
    parsed = recorded.parser(version).read(arguments)
    line = read(arguments)
    assert line.positional == (parsed.pop("model_tag"),)
    assert {argument.flag for argument in line.arguments} == {
        name.removeprefix("--") for name in parsed
    }
    for name, value in parsed.items():
        flag = flags.TABLE[name.removeprefix("--")]
        if flag.takes is rows.Takes.NOTHING:
            assert line.switched(flag.name) is (value == "on")
        elif flag.takes is rows.Takes.JSON:
            assert line.keys(flag.name) == dict(recorded.flat(json.loads(value)))
        elif flag.takes is rows.Takes.MANY:
            assert list(line.values(flag.name)) == value
        else:
            assert line.value(flag.name) == value
