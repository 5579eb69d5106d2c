"""`inference-service`: what is known before anything is applied. A file for each verb."""

import gc
import importlib
import os
from typing import Any

# Looking for pydantic plugins reads the metadata of every installed package, at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import click

import function
from function import late

# Objects that are made before the garbage collector looks at them; Python's own number is 700.
_MOST_YOUNG = 50_000

# Each with the beginning of its help: the help of all reads no verb.
VERBS = {
    "check": "Say what is wrong with claims in files or directories",
    "clients": "Write the configuration of a program that calls the models",
    "explain": "Explain a rule of `check`, a reason, a phase, an alert, a column",
    "facts": "Print what a model is made of",
    "init": "Write a claim for MODEL that fits, with the reasons as comments",
    "migrate": "Write claims of 0.9.0 as they are written today",
    "plan": "Foresee what claims will do: fit, context, speed, cost",
    "reach": "Say who reaches whom under the policies of all claims",
    "render": "Render the claims in files or directories",
}


class Verbs(click.Group):
    """The verbs. The module of a verb is read when the verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the verbs."""
        return [*VERBS]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the verbs into the help of all."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a verb, or None for what is none."""
        return self.verb(cmd_name) if cmd_name in VERBS else None

    def verb(self, name: str) -> click.Command:
        """Returns the verb of a name."""
        module = importlib.import_module(f"function.cli.{name}")
        late.started()
        # A verb ends before much of what it made is garbage: of 2.3 s that 100 claims are checked
        # in, looking for it took 0.19, and takes 0.05 (measured).
        gc.set_threshold(_MOST_YOUNG)
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(function.__version__, prog_name="inference-service")
def main() -> None:
    """Foresee, check and render InferenceService claims, without a cluster."""


def run(arguments: list[str] | None = None) -> Any:
    """Runs the command line, for tests."""
    return main.main(args=arguments, standalone_mode=False)


if __name__ == "__main__":
    main()
