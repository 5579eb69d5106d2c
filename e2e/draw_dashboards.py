"""Draws the dashboards of `e2e/test_dashboards.py` for docs/images: `make pictures`.

A real VictoriaMetrics has the recorded series, played so that they rise and fall, and answers the
queries of the JSON that Grafana gets. `tools/boards.py` draws the page, and Chromium takes it.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import re
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator

from e2e import test_dashboards as filler
from e2e.controlplane import api, metrics
from tests.alerts import sources
from tools import boards, pictures

SECONDS = filler.STEP * filler.STEPS
# What stands still by its nature: bounds, times, prices and what rules recorded.
_STILL = ("kube_", "inference_", "up{", "vllm:lora_requests_info")
# The engine was idle when it was recorded: what it has under a load, at most.
_LOADED = {
    "vllm:num_requests_running{": 10,
    "vllm:num_requests_waiting{": 3,
    "vllm:kv_cache_usage_perc{": 0.4,
}
# Series of one replica, and of one model at the gateway, rise together.
_OWNER = re.compile(r'(?:pod|gen_ai_original_model)="([^"]*)"')
_PICTURES = (("dashboard-claim.png", (1240, 2930)), ("dashboard-front-door.png", (1240, 1450)))


def played(lines: Iterator[str]) -> Iterator[str]:
    """Samples that rise and fall: of a gauge the value, of a counter its growth."""
    series: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        key, _, rest = line.rpartition("} ")
        number, moment = rest.split()
        series.setdefault(key + "}", []).append((int(moment), float(number)))
    for name, samples in series.items():
        samples.sort()
        begin, first = samples[0]
        end, last = samples[-1]
        owner = _OWNER.search(name)
        turn = 0.0 if owner is None else zlib.crc32(owner[1].encode()) % 7
        load = next((most for start, most in _LOADED.items() if name.startswith(start)), None)
        for at, value in samples:
            angle = 4 * math.pi * (at - begin) / max(end - begin, 1) + turn
            if load is not None:
                made = round(load * (0.7 + 0.3 * math.sin(angle)), 2)
            elif first == last or name.startswith(_STILL):
                made = value
            else:
                made = value + last * 0.04 * (math.sin(angle) - math.sin(turn))
            yield f"{name} {made} {at}"


def main() -> None:
    """Writes the pictures.

    Raises:
        SystemExit: There is no browser.
    """
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser is None:
        raise SystemExit("no chromium on the PATH: install it, or set CHROMIUM")
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        server = metrics.MetricsServer(work, work, "http://127.0.0.1:1/targets")
        server.process.start()
        try:
            for (name, size), (board, now) in zip(_PICTURES, _filled(server), strict=True):
                ask = _asking(server.url, now)
                page = work / "board.html"
                page.write_text(boards.page(board, ask, now - SECONDS, now), encoding="utf-8")
                pictures.picture(browser, page, name, size, dark=False)
        finally:
            server.process.stop()


def _filled(server: metrics.MetricsServer) -> Iterator[tuple[api.Object, int]]:
    """Each dashboard, once the server has its series."""
    filled, now = filler.Filled(server), int(time.time()) - 2
    held = filler.planned("everything", "grafana-sidecar")
    filled.add(played(filler.engine_lines(held, sources.VERSIONS[-1], now)))
    filled.add(played(filler.other_lines(held, now)))
    yield filler.board(held), now
    filled.add(played(filler.front_door_lines(now)))
    (text,) = filler.front_door_world().one("ConfigMap")["data"].values()
    yield json.loads(text), now


def _asking(url: str, now: int) -> boards.Ask:
    def ask(query: str) -> boards.Series:
        given = {"query": query, "start": now - SECONDS, "end": now, "step": filler.STEP}
        address = f"{url}/api/v1/query_range?{urllib.parse.urlencode(given)}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310
            result = json.load(answer)["data"]["result"]
        return [
            (one["metric"], [(float(at), float(value)) for at, value in one["values"]])
            for one in result
        ]

    return ask


if __name__ == "__main__":
    main()
