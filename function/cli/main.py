"""`inference-service`: what is known before anything is applied. A file for each verb."""

import importlib
import os
from typing import Any

# Looking for pydantic plugins reads the metadata of every installed package, at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import click

import function
from function import late


class Verbs(click.Group):
    """The verbs. The module of a verb is read when the verb is asked for, or the help of all."""

    NAMES = ("check", "clients", "explain", "facts", "init", "migrate", "plan", "reach", "render")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the verbs."""
        return [*self.NAMES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a verb, or None for what is none."""
        return self.verb(cmd_name) if cmd_name in self.NAMES else None

    def verb(self, name: str) -> click.Command:
        """Returns the verb of a name."""
        module = importlib.import_module(f"function.cli.{name}")
        late.started()
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
