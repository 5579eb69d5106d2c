"""A metrics server: VictoriaMetrics, single node, as its operator would set it up."""

from __future__ import annotations

import contextlib
import http.client
import json
import pathlib
import urllib.parse

from e2e.controlplane import process, toolchain

GROUP = "victoriametrics"


class MetricsServer:
    """Scrapes what a discovery address lists, and answers queries.

    It finds targets over HTTP (``http_sd_configs``), as there is no operator that writes its
    configuration; the labels of a target, its path and its interval are the discovery's to say.

    Attributes:
        url: Its address, as settings name it.
        process: The process; killed and started again it has its data.
    """

    def __init__(
        self,
        work: pathlib.Path,
        logs: pathlib.Path,
        discovery: str,
        *,
        name: str = "victoria-metrics",
    ) -> None:
        """Describe it; ``process.start`` runs it.

        Args:
            work: For its data and configuration.
            logs: For its log.
            discovery: URL of the list of targets, in Prometheus' format of HTTP discovery.
            name: Of its directory and its log.
        """
        (port,) = process.free_ports(1)
        self._address = ("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{port}"
        storage = work / name
        storage.mkdir(parents=True)
        config = storage / "scrape.json"
        job = {"job_name": "discovered", "http_sd_configs": [{"url": discovery}]}
        config.write_text(json.dumps({"scrape_configs": [job]}))
        self.process = process.Process(
            name,
            [
                toolchain.program(GROUP, "victoria-metrics"),
                f"-storageDataPath={storage / 'data'}",
                f"-httpListenAddr=127.0.0.1:{port}",
                f"-promscrape.config={config}",
                "-promscrape.httpSDCheckInterval=1s",
                # By default a query sees nothing of the last 30 s: each step would come that much
                # later, and be none the truer.
                "-search.latencyOffset=1s",
                "-retentionPeriod=1d",
            ],
            logs=logs,
            ready=lambda: process.answers(f"{self.url}/health"),
        )

    def query(self, text: str) -> list[float]:
        """The values of an instant query.

        Raises:
            OSError, http.client.HTTPException: It could not be reached.
            ValueError: It refused the query.
        """
        connection = http.client.HTTPConnection(*self._address, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/v1/query?{urllib.parse.urlencode({'query': text})}")
            answer = json.loads(connection.getresponse().read())
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return [float(series["value"][1]) for series in answer["data"]["result"]]
