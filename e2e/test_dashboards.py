"""Dashboards: no panel is empty on a real VictoriaMetrics that has the series of real engines.

It is filled with a quarter of an hour of recorded expositions, and with the series that other
programs have of a claim. Each query of each panel is asked as Grafana would ask it.
"""

from __future__ import annotations

import http.client
import json
import pathlib
import time
import urllib.parse
from collections.abc import Iterator, Mapping

import pytest
from prometheus_client import parser

from e2e.alerts import situation
from e2e.controlplane import api, metrics
from function.api import settings
from function.concerns.dashboards import drawing
from function.concerns.observability import objectives, spending
from function.concerns.scaling import keda
from function.engines.vllm import metrics as series
from function.engines.vllm import server
from function.fleet import spending as spent
from function.situation import situations
from function.workloads import batches
from tests import cluster, newborn
from tests.alerts import rendered, sources
from tests.fleet import scene as fleet

STEP, STEPS = 30, 30
PRICE = "2.5"
CALLER_LABEL = "inference_caller"
REPLICAS = 2
TOKENS_A_SECOND = 100
# What the gateway has counted in a quarter of an hour, by kind: prompts include what a cache had.
TOKENS = {"input": 9000, "cached_input": 1800, "output": 900}
SLO = rendered.VARIANTS["promised"]["spec"]["slo"]
PICKED = {"enabled": True, "endpointPicker": {"enabled": True}}
CLAIMS: Mapping[str, api.Object] = {
    "everything": rendered.changed(slo=SLO, gateway=PICKED, cost={"team": "search"}),
    "asleep": rendered.changed(
        gateway=PICKED, slo=SLO, scaling={"minReplicas": 0, "maxReplicas": REPLICAS}
    ),
    "pooling": rendered.VARIANTS["pooling"],
    "several-pods": rendered.VARIANTS["several-pods"],
    "smallest": rendered.CLAIMS["smallest"],
    "tei": rendered.VARIANTS["tei"],
    "tei-on-a-gpu": rendered.VARIANTS["tei-on-a-gpu"],
}
Values = Mapping[int, float]


def planned(name: str, provider: str) -> situations.Situation:
    """A claim in a namespace of its own, with prices, a dashboard and a picker that holds."""
    config = rendered.ENVIRONMENTS["reference"]
    inner: api.Object = {
        "providers": {"dashboards": provider},
        "endpointPicker": {"provider": "native"},
    }
    given = config["data"]["inferenceService"]
    class_name = given["gpu"]["defaultClass"]
    inner["gpu"] = {"classes": {class_name: {"pricePerHour": PRICE}}}
    data = settings.merge(config["data"], {"inferenceService": inner})
    subject = json.loads(json.dumps(CLAIMS[name]))
    subject["metadata"]["namespace"] = f"ns-{name}"
    return newborn.situation(subject, settings.assemble({}, {}, [{**config, "data": data}]))


def board(held: situations.Situation) -> api.Object:
    """The dashboard, as Grafana gets it."""
    (part,) = drawing.compose(held)
    manifest = part.manifest
    text = manifest["spec"]["json"] if "spec" in manifest else next(iter(manifest["data"].values()))
    result = json.loads(text)
    assert isinstance(result, dict)
    return result


def queries(dashboard: api.Object) -> Iterator[tuple[str, str, str]]:
    """Title, query and legend of each target."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            assert target["datasource"] == panel["datasource"]
            yield panel["title"], target["expr"], target["legendFormat"]


# --- series


def _line(name: str, labels: Mapping[str, str], value: float, at: int) -> str:
    inside = ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items())
    return f"{name}{{{inside}}} {value} {at * 1000}"


def _lines(name: str, labels: Mapping[str, str], values: Values) -> Iterator[str]:
    yield from (_line(name, labels, value, at) for at, value in values.items())


def _still(now: int, value: float) -> Values:
    return {now - STEP * step: value for step in range(STEPS)}


def _growing(now: int, value: float) -> Values:
    """A counter that has come to a value."""
    return {now - STEP * step: value * (STEPS - step) / STEPS for step in range(STEPS)}


def engine_lines(held: situations.Situation, version: str, now: int) -> Iterator[str]:
    """The recorded exposition of an engine, of two replicas."""
    who, own = held.plan.identity, held.plan.engine is server
    file = f"vllm-{version}" if own else "tei-1.9.3"
    known = sources.exposed(file, file)
    text = (sources.HERE / f"{file}.txt").read_text(encoding="utf-8")
    for replica in range(REPLICAS):
        scraped = {
            "namespace": who.namespace,
            "job": who.name,
            "pod": situation.pod_name(held, replica),
            "instance": f"10.0.0.{replica}:8000",
        }
        yield from _lines("up", scraped, _still(now, 1))
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                labels = {**scraped, **sample.labels}
                if "model_name" in labels:
                    labels["model_name"] = who.name
                if sample.name == series.ADAPTERS:
                    labels["running_lora_adapters"] = "sql"
                # The parser writes the `_total` of a counter that has none in the text.
                name = sample.name if sample.name in known else sample.name.removesuffix("_total")
                gauge = known[name].kind == sources.GAUGE
                value = now if sample.name == series.ADAPTERS else sample.value
                made = _still(now, value) if gauge else _growing(now, value)
                yield from _lines(name, labels, made)
                if own and family.type == "histogram" and sample.name.endswith("_count"):
                    # The recorded files keep one bound of each histogram.
                    every = sample.name.removesuffix("_count") + "_bucket"
                    yield from _lines(every, {**labels, "le": "+Inf"}, made)


def other_lines(held: situations.Situation, now: int) -> Iterator[str]:
    """What kube-state-metrics, the gateway, the picker and the claim's own rules have."""
    plan, running = held.plan, held.rollout.running
    who = plan.identity
    here = {"namespace": who.namespace}
    keeper = {**here, plan.workload.SERIES.label: plan.workload.name(who)}
    for name in (plan.workload.SERIES.available, plan.workload.SERIES.wanted):
        yield from _lines(name, keeper, _still(now, REPLICAS))
    for number in range(REPLICAS):
        pod = f"{plan.workload.name(who)}-{number}"
        if plan.workload.SERIES.label == "deployment":
            pod = situation.pod_name(held, number)
        pods = {**here, "pod": pod}
        yield from _lines("kube_pod_status_scheduled_time", pods, _still(now, now - 4000))
        yield from _lines("kube_pod_status_ready_time", pods, _still(now, now - 3900))
    jobs = {**here, "job_name": batches.name(who, "0" * batches.HASH_LENGTH)}
    yield from _lines("kube_job_status_start_time", jobs, _still(now, now - 60))
    yield from _lines("kube_job_status_active", jobs, _still(now, 1))
    yield from gateway_lines([who.name, *running.adapters], now)
    picker = {**here, "job": who.picker_name}
    picks = {**picker, "status": "success", "pod_name": "p", "target_model_name": who.name}
    yield from _lines("inference_pool_ready_pods", picker, _still(now, REPLICAS))
    yield from _lines("inference_extension_scheduler_attempts_total", picks, _growing(now, 900))
    yield from _lines(keda.HELD, {**picker, "priority": "0"}, _still(now, 3))
    promised = {**here, "model": who.name}
    for one in objectives.judgeable(plan, running):
        labels = {**promised, "objective": one.name}
        yield from _lines(objectives.BUDGET_LEFT, labels, _still(now, 0.75))
        window = {**labels, "window": objectives.FAST[0].window(plan.objectives.days)}
        yield from _lines(objectives.BURN_RATE, window, _still(now, 0.5))
    yield from _lines(spending.PER_HOUR, promised, _still(now, float(PRICE) * REPLICAS))
    yield from _lines(spending.TOKENS, promised, _still(now, TOKENS_A_SECOND))
    for window_of_cost in spending.WINDOWS:
        labels = {**promised, "window": window_of_cost}
        yield from _lines(spending.PER_MILLION, labels, _still(now, 13.9))


def gateway_lines(models: list[str], now: int) -> Iterator[str]:
    """What the gateway's processor has of some models: every request went well."""
    for model in models:
        asked = {
            "gen_ai_original_model": model,
            "gen_ai_request_model": model,
            "gen_ai_operation_name": "chat",
            CALLER_LABEL: "chat",
        }
        name = "gen_ai_server_request_duration_seconds"
        yield from _lines(f"{name}_count", asked, _growing(now, 300))
        for bound in ("1.0", "+Inf"):
            yield from _lines(f"{name}_bucket", {**asked, "le": bound}, _growing(now, 300))
        for kind, tokens in TOKENS.items():
            used = {**asked, "gen_ai_token_type": kind}
            yield from _lines("gen_ai_client_token_usage_sum", used, _growing(now, tokens))


class Filled:
    """A server that has the series of claims."""

    def __init__(self, server: metrics.MetricsServer) -> None:
        """Use a server that runs."""
        self._server = server

    def add(self, lines: Iterator[str]) -> None:
        """Puts samples into the server, and waits until queries see them."""
        self._call("POST", "/api/v1/import/prometheus", "\n".join(lines))
        self._call("GET", "/internal/force_flush")

    def ask(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """The series of a query now.

        Raises:
            AssertionError: The server refuses the query.
        """
        answer = json.loads(
            self._call("GET", f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        )
        assert answer["status"] == "success", answer
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def _call(self, method: str, path: str, body: str | None = None) -> bytes:
        address = urllib.parse.urlsplit(self._server.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        try:
            connection.request(method, path, None if body is None else body.encode())
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        assert response.status < 300, content
        return content


@pytest.fixture(scope="module", params=sources.VERSIONS)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    """A server with all claims, served by one version of the engine."""
    work: pathlib.Path = tmp_path_factory.mktemp(f"metrics-{request.param}")
    # Nothing is scraped: nobody listens there.
    running = metrics.MetricsServer(work, work, "http://127.0.0.1:1/targets")
    running.process.start()
    try:
        result, now = Filled(running), int(time.time()) - 2
        for name in CLAIMS:
            held = planned(name, "grafana-sidecar")
            result.add(engine_lines(held, request.param, now))
            result.add(other_lines(held, now))
        yield result
    finally:
        running.process.stop()


# --- claims


@pytest.mark.parametrize("provider", ["grafana-sidecar", "grafana-operator"])
@pytest.mark.parametrize("name", CLAIMS)
def test_no_panel_of_a_claim_is_empty(filled: Filled, name: str, provider: str) -> None:
    """Each query gives a series, with the labels that its legend has."""
    asked = list(queries(board(planned(name, provider))))
    assert len(asked) >= 15
    for title, query, legend in asked:
        answer = filled.ask(query)
        assert answer, f"{title}: {query}"
        assert len(answer) <= 7, f"{title} draws {len(answer)} lines"
        for labels, _ in answer:
            assert set(labels) == set(_named(legend)), f"{title}: {labels}"


def _named(legend: str) -> list[str]:
    return [part.partition("}}")[0] for part in legend.split("{{")[1:]]


def test_every_panel_that_there_is_was_asked_for(filled: Filled) -> None:
    """No panel of any claim of the tests is left out above."""
    del filled
    drawn = {
        title for name in CLAIMS for title, _, _ in queries(board(planned(name, "grafana-sidecar")))
    }
    assert {
        panel.title for held in rendered.plans().values() for panel in rendered.panels(held)
    } <= drawn


def test_values_are_those_of_the_claim(filled: Filled) -> None:
    """The namesake in another namespace, and the other replica, are not mixed in."""
    by_title: dict[str, list[str]] = {}
    for title, query, _ in queries(board(planned("everything", "grafana-sidecar"))):
        by_title.setdefault(title, []).append(query)
    held = planned("everything", "grafana-sidecar")
    pods = {situation.pod_name(held, number) for number in range(REPLICAS)}
    (running,) = by_title["Requests running"]
    assert {labels["pod"] for labels, _ in filled.ask(running)} == pods
    assert [value for _, value in filled.ask(by_title["Replicas"][0])] == [REPLICAS]
    (cost,) = by_title["Cost an hour"]
    assert [value for _, value in filled.ask(cost)] == [float(PRICE) * REPLICAS]
    (picks,) = by_title["Picks"]
    assert [round(value, 1) for _, value in filled.ask(picks)] == [1.0]
    (start,) = by_title["Start of replicas"]
    assert {value for _, value in filled.ask(start)} == {100.0}


def test_what_a_claim_costs_is_recorded_from_real_series(filled: Filled) -> None:
    """An hour of two replicas, the tokens of all engines, and a million of 360,000 an hour."""
    held = planned("everything", "grafana-sidecar")
    values = {}
    for rule in rendered.recorded(held):
        if rule["record"].startswith("inference_service:slo"):
            continue
        ((_, value),) = filled.ask(rule["expr"])
        values[rule["record"]] = value
    hour = float(PRICE) * REPLICAS
    assert values[spending.PER_HOUR] == hour
    assert values[spending.TOKENS] > 0
    assert values[spending.PER_MILLION] == pytest.approx(hour / (TOKENS_A_SECOND * 0.0036), 1e-3)


# --- front doors


def front_door_world() -> cluster.Cluster:
    """A front door with a dashboard, prices and a caller, and two claims with other GPUs."""
    members = [fleet.member("coder", "sql"), fleet.member("large")]
    for member, gpu in zip(members, ("2 x l40s", "2 pods of 8 x l40s"), strict=True):
        member["status"]["gpu"] = gpu
    inner = {
        "providers": {"dashboards": "grafana-sidecar"},
        "dashboards": {"callerLabel": CALLER_LABEL},
        "gpu": {"classes": {"l40s": {"pricePerHour": PRICE}}},
    }
    members[0]["spec"]["cost"] = {"team": "search"}
    prices = [{"model": "coder", "input": "1", "cachedInput": "0.5", "output": "10"}]
    door = fleet.of(callers=[fleet.caller("chat")], prices=prices)
    world = fleet.world(door, *members, settings=inner)
    world.converge()
    return world


def front_door_lines(now: int) -> Iterator[str]:
    """What rules record, what is scraped and what the gateway has of the claims behind it."""
    yield from _recorded(now)
    for name in ("coder", "large"):
        yield from _lines("up", {"namespace": "llm", "job": name, "pod": "a"}, _still(now, 1))
    yield from gateway_lines(["coder", "sql", "large"], now)


def test_no_panel_of_a_front_door_is_empty(filled: Filled) -> None:
    """Two claims with other GPUs, prices, and callers by the label that the gateway adds."""
    now = int(time.time()) - 2
    world = front_door_world()
    filled.add(front_door_lines(now))
    (text,) = world.one("ConfigMap")["data"].values()
    values: dict[str, list[float]] = {}
    for title, query, legend in queries(json.loads(text)):
        answer = filled.ask(query)
        assert answer, f"{title}: {query}"
        for labels, value in answer:
            assert set(labels) == set(_named(legend)), f"{title}: {labels}"
            values.setdefault(title, []).append(value)
    assert len(values) == 12
    assert values["Cost an hour by team"] == [5]
    assert values["Spent in 30 days by caller"] == [7]
    _assert_spent(filled, world.one("VMRule")["spec"]["groups"][0]["rules"])
    assert sorted(values["GPUs by model"]) == [2, 16]
    assert sorted(values["Cost an hour by model"]) == [5, 40]
    assert len(values["Requests at the gateway"]) == 3


def _recorded(now: int) -> Iterator[str]:
    """What the rules of the claims and of the door record."""
    here = {"namespace": "llm"}
    cost = {**here, "model": "coder", "team": "search"}
    yield from _lines(spending.PER_HOUR, cost, _still(now, 5))
    whose = {**here, "gateway": "llm", "caller": "chat", "model": "coder"}
    yield from _lines(spent.PER_HOUR, {**whose, "type": "input"}, _still(now, 1))
    yield from _lines(spent.SUM, {**whose, "window": "30d"}, _still(now, 7))


def _assert_spent(filled: Filled, rules: list[api.Object]) -> None:
    """What the rules make of the series of the gateway: money an hour, by caller."""
    seconds = STEP * STEPS
    expected = {
        "input": (TOKENS["input"] - TOKENS["cached_input"]) * 1,
        "cached_input": TOKENS["cached_input"] * 0.5,
        "output": TOKENS["output"] * 10,
    }
    for rule in rules:
        ((labels, value),) = filled.ask(rule["expr"])
        assert labels == {"caller": "chat"}
        an_hour = expected[rule["labels"]["type"]] / 1e6 / seconds * 3600
        assert value == pytest.approx(an_hour, rel=0.01), rule
