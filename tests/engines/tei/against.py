"""What claims of text-embeddings-inference build on, asked of its program.

`python -m tests.engines.tei.against PROGRAM` starts `text-embeddings-router` with the command lines
of claims and small models of random numbers, and ends with 1 where it is otherwise than the product
says. With `--record` it also writes what the tests read: the program's help, and its series.
"""

import argparse
import concurrent.futures
import itertools
import pathlib
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from function.engines.tei import flags, models
from tests import cluster
from tests.engines.tei import answers, composed, recorded, running, weights

# Of text and of numbers, right and wrong ones. Zero is a number to the parser, and to us too few.
_VALUES = ("1", "-1", "x", "", "true", "false", "yes", "8k", "cls", "float16", "bfloat16")
_SLOW_TEXT = "what is deep learning " * 100


def claim(*arguments: str, **model: object) -> cluster.Object:
    """Returns a claim on CPUs of a model that nobody knows."""
    named = {"repository": "org/unknown", "dtype": "float", **model}
    return composed.tei(named, engineArgs=list(arguments))


class Contract:
    """The questions.

    Attributes:
        program: Where it lies.
        place: Where the models lie.
        shown: What the programs showed of their series.
    """

    def __init__(self, program: pathlib.Path, place: pathlib.Path) -> None:
        self.program, self.place = program, place
        self.shown: list[str] = []

    def _run(
        self, model: str, claimed: cluster.Object, variables: dict[str, str] | None = None
    ) -> running.Program:
        return running.Program(self.program, claimed, self.place / model, variables)

    def flags(self) -> Iterator[str]:
        """Yields where the table of flags is not the program's."""
        yield from recorded.differences(recorded.help_of(self.program))

    def values(self, count: int = 150) -> Iterator[str]:
        """Yields arguments and variables of which the table says another thing than the parser."""
        chance = random.Random(0)
        empty = self.place / "empty"
        empty.mkdir(exist_ok=True)
        for _ in range(count):
            flag = chance.choice([flag for flag in flags.TABLE.values() if flag.name != "model-id"])
            value = chance.choice((None, *_VALUES, *flag.choices))
            word = f"--{flag.name}" + ("" if value is None else f"={value}")
            ours = flags.wrong(flag, value) is not None
            if running.refuses(self.program, [word], {}, empty) is not ours:
                yield f"{word}: ours {'refused' if ours else 'taken'}"
            if value is None:
                continue
            ours = flags.wrong_variable(flag, value) is not None
            if running.refuses(self.program, [], {flag.variable: value}, empty) is not ours:
                yield f"{flag.variable}={value}: ours {'refused' if ours else 'taken'}"

    def exclusive(self) -> Iterator[str]:
        """Yields pairs that the parser takes, each of the two as flag or as variable."""
        empty = self.place / "empty"
        empty.mkdir(exist_ok=True)
        for pair in flags.EXCLUSIVE:
            for kinds in itertools.product(("flag", "variable"), repeat=len(pair)):
                both = list(zip(pair, kinds, strict=True))
                words = [f"--{name}=x" for name, kind in both if kind == "flag"]
                names = [name for name, kind in both if kind == "variable"]
                variables = {flags.TABLE[name].variable: "x" for name in names}
                if not running.refuses(self.program, words, variables, empty):
                    yield f"{words} with {variables}: taken"

    def answers(self) -> Iterator[str]:
        """Yields answers that are others."""
        for served in answers.SERVED:
            with self._run(served.model, claim(*served.arguments)) as program:
                program.ready()
                before = program.ask("GET", "/metrics")
                if before != (200, ""):
                    yield f"before the first request /metrics says {before}"
                yield from answers.differences(served, program)
                self.shown.append(program.ask("GET", "/metrics")[1])

    def series(self) -> Iterator[str]:
        """Yields series of the programs so far that the recorded exposition has otherwise."""
        ours, theirs = map(recorded.shape, (recorded.exposition(), recorded.merged(self.shown)))
        yield from (f"{line} is not shown" for line in sorted(ours - theirs))
        yield from (f"{line} is not recorded" for line in sorted(theirs - ours))

    def batches(self) -> Iterator[str]:
        """Yields what the program makes otherwise of batches and lengths."""
        for told in (2, 64):
            claimed = claim("--max-batch-tokens=1024", maxNumSeqs=told)
            with self._run("embeds", claimed) as program:
                program.ready()
                info = program.json("GET", "/info")
            wanted = {
                "max_batch_requests": models.BATCH_ON_CPU,
                "max_batch_tokens": 1024,
                "max_input_length": 512,
                "max_client_batch_size": 32,
                "max_concurrent_requests": 512,
                "auto_truncate": True,
                "served_model_name": "model",
                "model_dtype": "float32",
            }
            for name, value in wanted.items():
                if info[name] != value:
                    yield f"maxNumSeqs {told}: {name} is {info[name]}, not {value}"
        with self._run("long", claim("--max-batch-tokens=1024")) as program:
            program.ready()
            length = program.json("GET", "/info")["max_input_length"]
            if length != 1024 or "will be truncated to" not in program.log:
                yield f"a long context becomes {length}"

    def ends(self) -> Iterator[str]:
        """Yields models with which the program goes on, or ends with other words."""
        for model, arguments, words in (
            ("twice", (), "duplicate field"),
            ("generates", (), "could not find a pooling configuration"),
            ("mistral", (), "only supported on Cuda devices in fp16"),
            ("t5", ("--pooling=mean",), "Model is not supported"),
            (
                "long",
                ("--auto-truncate=false", "--max-batch-tokens=1024"),
                "exceeds `--max-batch-tokens",
            ),
        ):
            with self._run(model, claim(*arguments)) as program:
                code = program.ended()
                if code != 1 or words not in program.log:
                    yield f"{model} ends with {code}: {program.log}"

    def drain(self) -> Iterator[str]:
        """Yields what a slow model and SIGTERM do otherwise.

        Health waits for the batch, what was begun is answered, and no new connection is taken.
        """
        asked = {"input": [_SLOW_TEXT] * 8}
        with self._run("slow", claim()) as program, concurrent.futures.ThreadPoolExecutor() as some:
            print(f"  the slow model is healthy after {program.ready():.1f} s")
            begun = some.submit(program.ask, "POST", answers.OPENAI, asked)
            time.sleep(0.5)
            at = time.monotonic()
            healthy = program.ask("GET", "/health")[0]
            print(f"  health beside batches: {healthy} after {time.monotonic() - at:.1f} s")
            print(f"  all answered {begun.result()[0]} after {time.monotonic() - at:.1f} s")
            program.ask("POST", answers.OPENAI, {"input": "a"})
            self.shown.append(program.ask("GET", "/metrics")[1])
            begun = some.submit(program.ask, "POST", answers.OPENAI, asked)
            time.sleep(0.5)
            program.terminate()
            at = time.monotonic()
            time.sleep(0.2)
            if begun.done():
                yield "the slow model was too fast for its end"
            try:
                program.ask("GET", "/health")
            except ConnectionRefusedError:
                pass
            else:
                yield "a connection is taken after SIGTERM"
            status, code = begun.result()[0], program.ended(10)
            if (status, code) != (200, 0):
                yield f"at the end of the program: status {status}, exit code {code}"
            print(f"  ended {time.monotonic() - at:.1f} s after SIGTERM")


def main(words: Sequence[str] | None = None) -> int:
    """Asks everything; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines.tei.against")
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args(words)
    if options.record:
        recorded.HELP.write_text(recorded.help_of(options.program), encoding="utf-8")
    differ = False
    with tempfile.TemporaryDirectory() as directory:
        place = pathlib.Path(directory)
        for name, model in weights.MODELS.items():
            weights.write(model, place / name)
        contract = Contract(options.program, place)
        questions = {
            "flags": contract.flags(),
            "values": contract.values(),
            "exclusive": contract.exclusive(),
            "answers": contract.answers(),
            "batches": contract.batches(),
            "ends": contract.ends(),
            "drain": contract.drain(),
            "series": contract.series(),
        }
        for name, question in questions.items():
            print(name, flush=True)
            if name == "series" and options.record:
                text = recorded.merged(contract.shown)
                recorded.EXPOSITION.write_text(text, encoding="utf-8")
            differences = list(question)
            print(f"  {len(differences)} differ", *differences, sep="\n  ", flush=True)
            differ |= bool(differences)
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
