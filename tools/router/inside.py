"""Runs in the environment of the judge: a configuration a line in, a list of errors a line out.

Its command says the same of one configuration in 20 s of CPU, of which nearly all is spent once.
"""

import contextlib
import io
import json
import pathlib
import sys
import tempfile

from cli import parser, validator  # type: ignore[import-not-found]
from cli.catalog_provider_projection import (  # type: ignore[import-not-found]
    CatalogProviderProjectionError,
    validate_provider_model_configuration,
)


def errors(path: pathlib.Path) -> list[str]:
    """Returns what the judge has against a configuration, as its command `config validate` does."""
    try:
        config = parser.parse_user_config(str(path), log_summary=False)
        told = [str(error) for error in validator.validate_user_config(config)]
        if not told:
            validate_provider_model_configuration(config, allow_backendless_physical=True)
    except (parser.ConfigParseError, CatalogProviderProjectionError) as error:
        return [str(error)]
    return told


def main() -> None:
    """Judges configurations until there are no more."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "config.yaml"
        for line in sys.stdin:
            path.write_text(line, encoding="utf-8")
            with contextlib.redirect_stdout(io.StringIO()):
                judged = errors(path)
            print(json.dumps(judged), flush=True)


main()
