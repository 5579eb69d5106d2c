"""`function`: the options of the server, and its start."""

import os

# Looking for pydantic plugins reads the metadata of every installed package, at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import click
from crossplane.function import cli

import function
from function import late
from function.server import runner, serving

late.started()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version=function.__version__, prog_name="function")
@cli.standard_options
@click.option(
    "--http-address",
    default="0.0.0.0:8080",
    show_default=True,
    envvar="HTTP_ADDRESS",
    help="Address of /metrics, /healthz and /readyz over plain HTTP; empty for none.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    envvar="DRAIN_SECONDS",
    help="How long running calls may go on after SIGTERM.",
)
def main(
    *,
    debug: bool,
    address: str,
    http_address: str,
    tls_certs_dir: str | None,
    insecure: bool,
    max_recv_message_size: int,
    max_send_message_size: int | None,
    drain_seconds: float,
) -> None:
    """Serve the composition function that turns InferenceServices into what serves them."""
    options = serving.Options(
        address=address,
        http_address=http_address,
        tls_certs_dir=tls_certs_dir,
        insecure=insecure,
        max_recv_message_size=max_recv_message_size,
        max_send_message_size=max_send_message_size,
        drain_seconds=drain_seconds,
        debug=debug,
    )
    try:
        serving.serve(runner.Runner(), options)
    except serving.StartError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
