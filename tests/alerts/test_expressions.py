"""Every query of every claim parses, reads only series that exist, and uses each by its kind."""

import re
import string

import promql_parser as parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function.api import claim
from function.situation import situations
from function.workloads import batches
from tests import cases, lives, strategies
from tests.alerts import promql, rendered, sources

# Their series name models and routes, and bear the labels that the platform scrapes them with.
GATEWAYS = ("Envoy", "the AI gateway")
OF_NOBODY = sources.Series("", "", {}, "")
every_claim = cases.together("planned", lambda: rendered.plans().items())
SCRAPE_INTERVAL = 30


@every_claim
def test_every_query_parses(planned: situations.Situation) -> None:
    expressions = list(rendered.expressions(planned))
    assert len(expressions) >= 12
    for expression in expressions:
        promql.parse(expression.text)


@pytest.mark.pitfall("a trigger dies after an engine upgrade: metrics were renamed")
@pytest.mark.pitfall("a query is empty: the metric has another name")
@pytest.mark.parametrize("version", sources.VERSIONS)
@every_claim
def test_every_series_and_label_exists(planned: situations.Situation, version: str) -> None:
    series = sources.series(version)
    for expression in rendered.expressions(planned):
        for selector in promql.selectors(promql.parse(expression.text)):
            where = f"{expression.where}: {selector.node}"
            assert selector.name in series, where
            assert set(selector.matchers) <= series[selector.name].labels, where


@every_claim
def test_every_grouping_label_exists(planned: situations.Situation) -> None:
    """`by (le)` over a series without le would be an empty group, not an error."""
    for expression in rendered.expressions(planned):
        for node in promql.walk(promql.parse(expression.text)):
            if isinstance(node, parser.AggregateExpr) and node.modifier is not None:
                inner = promql.labels(node.expr, promql.in_every_version)
                assert set(node.modifier.labels) <= (inner or set()), expression


@pytest.mark.pitfall("counters drop at a rollout")
@pytest.mark.parametrize("version", sources.VERSIONS)
@every_claim
def test_kinds_are_used_as_what_they_are(planned: situations.Situation, version: str) -> None:
    """A counter stands under rate(), a gauge never does, and a quantile reads all buckets."""
    series = sources.series(version)
    for expression in rendered.expressions(planned):
        for selector in promql.selectors(promql.parse(expression.text)):
            kind = series[selector.name].kind
            rated = "rate" in selector.inside
            assert rated == (kind != sources.GAUGE), f"{expression.where}: {selector.node}"
            one_bucket = selector.equals("le") is not None
            quantile = "histogram_quantile" in selector.inside
            assert quantile == (kind == sources.BUCKET and not one_bucket), selector.node


@every_claim
def test_a_quantile_keeps_its_buckets(planned: situations.Situation) -> None:
    """A sum over le leaves one bucket, and a quantile of one bucket has no value."""
    for expression in rendered.expressions(planned):
        for node in promql.walk(promql.parse(expression.text)):
            if isinstance(node, parser.Call) and node.func.name == "histogram_quantile":
                buckets = promql.labels(node.args[1], promql.in_every_version)
                assert "le" in (buckets or ()), expression


@every_claim
def test_rates_look_back_over_several_scrapes(planned: situations.Situation) -> None:
    for expression in rendered.expressions(planned):
        for node in promql.walk(promql.parse(expression.text)):
            if isinstance(node, parser.MatrixSelector):
                assert node.range.total_seconds() >= 4 * SCRAPE_INTERVAL, expression


@every_claim
def test_operands_match(planned: situations.Situation) -> None:
    for expression in rendered.expressions(planned):
        tree = promql.parse(expression.text)
        assert list(promql.mismatches(tree, promql.in_every_version)) == [], expression.where


@pytest.mark.pitfall("the error alert fires on aborts, and divides nothing by nothing")
@pytest.mark.pitfall("a failure of all requests shows as none")
@every_claim
def test_no_traffic_is_no_division_by_zero(planned: situations.Situation) -> None:
    for expression in rendered.expressions(planned):
        assert list(promql.unguarded(promql.parse(expression.text))) == [], expression.where


@every_claim
def test_a_trigger_gives_one_value(planned: situations.Situation) -> None:
    """KEDA refuses more than one series. The HPA takes thresholds above zero, as strings."""
    for trigger in rendered.triggers(planned):
        tree = promql.parse(trigger["metadata"]["query"])
        assert promql.labels(tree, promql.in_every_version) == frozenset(), trigger
        assert isinstance(trigger["metadata"]["threshold"], str)
        assert float(trigger["metadata"]["threshold"]) >= 0.001


@every_claim
def test_matched_values_are_possible(planned: situations.Situation) -> None:
    """A matcher on a label whose values are known matches one of them."""
    for expression in rendered.expressions(planned):
        for selector in promql.selectors(promql.parse(expression.text)):
            for label, matcher in selector.matchers.items():
                values = frozenset[str]().union(
                    *(sources.series(v)[selector.name].values[label] for v in sources.VERSIONS)
                )
                if values and label != "model_name":
                    assert any(matches(matcher, value) for value in values), expression


def matches(matcher: parser.Matcher, value: str) -> bool:
    """Tells whether a label's value satisfies a matcher; patterns are anchored."""
    if matcher.op == parser.MatchOp.Re:
        return re.fullmatch(matcher.value, value) is not None
    assert matcher.op == parser.MatchOp.Equal
    return bool(matcher.value == value)


def own_selectors(planned: situations.Situation) -> list[promql.Selector]:
    """Returns the selectors of a claim's queries, without those of the site's own queries."""
    return [
        selector
        for expression in rendered.expressions(planned)
        for selector in promql.selectors(promql.parse(expression.text))
        if sources.others().get(selector.name, OF_NOBODY).source not in GATEWAYS
    ]


@every_claim
def test_selectors_name_the_claim_and_nothing_else(planned: situations.Situation) -> None:
    jobs = {planned.plan.identity.name} | (
        {planned.plan.identity.picker_name} if planned.traffic.picker else set()
    )
    for selector in own_selectors(planned):
        assert selector.equals("namespace") == planned.plan.identity.namespace
        matchers = selector.matchers
        assert matchers.keys() & {
            *("job", "deployment", "statefulset", "pod", "job_name"),
            "model",
        }, selector.node
        if "job" in matchers:
            assert selector.equals("job") in jobs
        if "model" in matchers:
            assert selector.equals("model") == planned.plan.identity.name
        if "deployment" in matchers:
            assert selector.equals("deployment") == planned.plan.identity.name
        if "statefulset" in matchers:
            assert selector.equals("statefulset") == planned.plan.identity.group_name
        if "model_name" in matchers:
            assert selector.equals("model_name") == planned.plan.identity.name


@pytest.mark.pitfall("two claims of one name in two namespaces scale and alert together")
@settings(max_examples=25, deadline=None)
@given(subject=strategies.claims(hatches=False), data=st.data())
def test_one_name_in_two_namespaces_shares_no_series(
    subject: rendered.Manifest, data: st.DataObject
) -> None:
    names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
    first = data.draw(names)
    second = data.draw(names.filter(lambda name: name != first))
    namespaces = []
    for namespace in (first, second):
        subject["metadata"]["namespace"] = namespace
        subject["spec"].pop("gpu", None)
        subject["spec"].get("observability", {}).pop("alertingRules", None)
        planned = rendered.planned(subject, lives.site("plain"))
        namespaces.append({selector.equals("namespace") for selector in own_selectors(planned)})
    assert namespaces == [{first}, {second}]


@pytest.mark.pitfall("Flux eats ${} in queries")
@every_claim
def test_flux_finds_nothing_to_substitute(planned: situations.Situation) -> None:
    """Flux replaces `${...}` in what it applies, and an unset variable by nothing."""
    for expression in rendered.expressions(planned):
        assert "${" not in expression.text
    assert "${" not in str(rendered.manifest(planned))


# Names that the cluster gives to what the claim starts.


def pod_name(prefix: str, template_hash: str, suffix: str) -> str:
    """Returns a pod's name as the API server generates it.

    `k8s.io/apiserver/pkg/storage/names`: cut to 58 characters, then five at random.
    """
    return f"{prefix}-{template_hash}-"[:58] + suffix


def pattern(planned: situations.Situation, label: str) -> re.Pattern[str]:
    """Returns the only pattern that the claim's queries use for a label."""
    (text,) = {
        selector.matchers[label].value
        for selector in own_selectors(planned)
        if label in selector.matchers
    }
    return re.compile(text)


lengths = cases.together("length", [(n, n) for n in range(1, claim.LONGEST_NAME + 1)])

# `rand.SafeEncodeString` encodes the decimal digits of a 32-bit hash: ten at most, and nearly
# always nine or ten.
HASHES = ("bcdfgh", "7c9d8b6", "5f6d8c7b", "6b8f9c7d4", "5f6d8c7b9d")


@pytest.mark.pitfall("the cold-start alert measures the time to the first token")
@lengths
def test_the_cold_start_alert_finds_the_pods_of_any_claim(length: int) -> None:
    name = "q" * length
    planned = rendered.planned(rendered.changed(name, gateway={"enabled": False}), None)
    pods = pattern(planned, "pod")
    for template_hash in HASHES:
        assert pods.fullmatch(pod_name(name, template_hash, "2x4z6"))
    job = batches.name(planned.plan.identity, "0" * batches.HASH_LENGTH)
    others = [f"{job}-"[:58] + "2x4z6"]
    if length <= claim.LONGEST_NAME_WITH_PICKER:
        others += [pod_name(f"{name}-epp", template_hash, "2x4z6") for template_hash in HASHES]
    for neighbour in (f"{name}-b", f"{name}-coder"):
        if len(neighbour) <= claim.LONGEST_NAME:
            others += [pod_name(neighbour, template_hash, "2x4z6") for template_hash in HASHES]
    assert [other for other in others if pods.fullmatch(other)] == []


@lengths
def test_the_weights_alert_finds_the_jobs_of_any_claim(length: int) -> None:
    planned = rendered.planned(rendered.changed("q" * length, gateway={"enabled": False}), None)
    jobs = pattern(planned, "job_name")
    job = batches.name(planned.plan.identity, "0f3a9b2c7d"[: batches.HASH_LENGTH])
    assert jobs.fullmatch(job)
    assert not jobs.fullmatch(f"x{job}")
    assert not jobs.fullmatch(f"{job}-2x4z6")
