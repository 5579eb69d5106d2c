"""The files of the product that these tests put through the real programs."""

from __future__ import annotations

import pathlib

from e2e.controlplane import api

ROOT = pathlib.Path(__file__).resolve().parents[1]
XRD = ROOT / "xrd" / "inferenceservices.cloud.ogenki.io.yaml"
COMPOSITION = ROOT / "compositions" / "xinferenceservices.cloud.ogenki.io.yaml"
XRDS = sorted((ROOT / "xrd").glob("*.yaml"))
COMPOSITIONS = sorted((ROOT / "compositions").glob("*.yaml"))
INPUT = ROOT / "package" / "input" / "inference-service.cloud.ogenki.io_settings.yaml"
CLAIMS = sorted((ROOT / "examples" / "claims").glob("*.yaml"))
PROFILES = ("reference", "plain")

API_VERSION = "cloud.ogenki.io/v1alpha1"
KIND = "InferenceService"
KEY = "crossplane.io/composition-resource-name"
SETTINGS_LABEL = "inference-service.cloud.ogenki.io/settings"


def environment(profile: str) -> pathlib.Path:
    """The EnvironmentConfig of one of ``PROFILES``."""
    return ROOT / "examples" / profile / "environmentconfig.yaml"


def one(path: pathlib.Path) -> api.Object:
    """The only object of a file.

    Raises:
        ValueError: It holds another number of them.
    """
    (item,) = api.load(path)
    return item
