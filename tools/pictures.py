"""Takes the pictures of pages in docs/images: ``make pictures``.

A real browser draws them, and a person looks at them before they are committed. Each is of a page
that `inference-service` writes for the example claims, against the same claims before a few edits.
Needs Chromium on the PATH, or where ``CHROMIUM`` says.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
IMAGES = ROOT / "docs/images"
CLAIMS = ROOT / "examples/claims"
ENVIRONMENT = ROOT / "examples/reference/environmentconfig.yaml"

# What an older claim said instead: file, text of today, text of then.
_BEFORE = (
    ("xplane-qwen3-8b.yaml", "contextWindow: 32768", "contextWindow: 16384"),
    ("xplane-qwen3-8b.yaml", "maxReplicas: 2", "maxReplicas: 1"),
    ("xplane-qwen-coder.yaml", "weightPercent: 10", "weightPercent: 5"),
)
# Claims that the older files did not have.
_NEW = ("xplane-llamaguard3-1b.yaml",)

# Name, and the width and height of the window in CSS pixels, and whether the browser is dark.
_PICTURES = (
    ("plan.png", (1000, 1180), False),
    ("plan-dark.png", (1000, 1180), True),
    ("plan-narrow.png", (420, 1180), False),
)


def _command(*arguments: str | pathlib.Path) -> str:
    """Returns what `inference-service` prints. Changes are exit code 3, and no failure."""
    run = subprocess.run(
        [sys.executable, "-c", "from function.cli import main; main.main()", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode not in {0, 3}:
        raise SystemExit(run.stderr)
    return run.stdout


def _before(directory: pathlib.Path) -> pathlib.Path:
    """Returns a directory with the claims as they were."""
    older = directory / "main"
    shutil.copytree(CLAIMS, older)
    for name, now, then in _BEFORE:
        text = (older / name).read_text()
        if now not in text:
            raise SystemExit(f"{name} does not hold {now!r}")
        (older / name).write_text(text.replace(now, then))
    for name in _NEW:
        (older / name).unlink()
    return older


def picture(
    browser: str, page: pathlib.Path, name: str, size: tuple[int, int], *, dark: bool
) -> None:
    """Takes a picture of a page.

    Args:
        browser: Chromium.
        page: The page.
        name: Of the file in docs/images.
        size: Width and height of the window in CSS pixels.
        dark: Whether the browser is dark.
    """
    width, height = size
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--screenshot={IMAGES / name}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
    )


def main() -> None:
    """Writes every picture.

    Raises:
        SystemExit: There is no browser, or a page could not be made.
    """
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser is None:
        raise SystemExit("no chromium on the PATH: install it, or set CHROMIUM")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        page = directory / "plan.html"
        options = ("-e", ENVIRONMENT, "--against", _before(directory), "-o", "html")
        page.write_text(_command("plan", CLAIMS, *options).replace(f"{directory}/", ""))
        for name, size, dark in _PICTURES:
            picture(browser, page, name, size, dark=dark)


if __name__ == "__main__":
    main()
