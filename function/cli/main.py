"""`inference-service`: what is known before anything is applied. A file for each verb."""

from typing import Any

import click

import function
from function.cli import check, clients, explain, facts, init, migrate, plan, reach, render


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(function.__version__, prog_name="inference-service")
def main() -> None:
    """Foresee, check and render InferenceService claims, without a cluster."""


main.add_command(check.check)
main.add_command(clients.clients)
main.add_command(explain.explain)
main.add_command(facts.facts)
main.add_command(init.init)
main.add_command(migrate.migrate)
main.add_command(plan.plan)
main.add_command(reach.reach)
main.add_command(render.render)


def run(arguments: list[str] | None = None) -> Any:
    """Runs the command line, for tests."""
    return main.main(args=arguments, standalone_mode=False)


if __name__ == "__main__":
    main()
