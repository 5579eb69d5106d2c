"""Which pod may call which, under the policies of both providers."""

import functools
import json
from typing import Any

import pytest

from function import canonical
from tests import cluster, schemas
from tests.resources import reach, scene

PROVIDERS = ("cilium", "kubernetes")
SERVING = reach.Pod(
    "llm",
    {
        "app.kubernetes.io/name": "model",
        "app.kubernetes.io/instance": "model",
        "app.kubernetes.io/component": "inference",
        "app.kubernetes.io/part-of": "ai",
    },
)
PRELOAD = reach.Pod("llm", {**SERVING.labels, "app.kubernetes.io/component": "preload"})
OTHER_MODEL = reach.Pod(
    "llm", {**SERVING.labels, "app.kubernetes.io/name": "b", "app.kubernetes.io/instance": "b"}
)
PICKER = reach.Pod("llm", {"inferencepool": "model-epp"})
PROMPTFOO = reach.Pod("llm", {"app.kubernetes.io/name": "promptfoo", "x": "y"})
ROUTER = reach.Pod("llm", {"app.kubernetes.io/name": "vllm-semantic-router"})
WEBUI = reach.Pod("apps", {"app.kubernetes.io/name": "xplane-openwebui"})
SCRAPER = reach.Pod("observability", {"app.kubernetes.io/name": "vmagent"})
PROXY = reach.Pod(
    "envoy-gateway-system",
    {
        "gateway.envoyproxy.io/owning-gateway-name": "ai-gateway",
        "gateway.envoyproxy.io/owning-gateway-namespace": "envoy-ai-gateway-system",
    },
)
OTHER_PROXY = reach.Pod(
    "envoy-gateway-system", {**PROXY.labels, "gateway.envoyproxy.io/owning-gateway-name": "other"}
)
STRANGER = reach.Pod("llm", {"app.kubernetes.io/name": "stranger"})
DNS = reach.Pod("kube-system", {"k8s-app": "kube-dns"})
PICKED: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}


def policies(
    provider: str, claimed: cluster.Object | None = None, **changes: Any
) -> list[cluster.Object]:
    """The policies of a claim on the reference platform, in the form of a provider."""
    config = scene.site(**{"providers": {"networkPolicy": provider}, **changes})
    return _policies(canonical.dumps(claimed or scene.of()), canonical.dumps(config))


@functools.cache
def _policies(claimed: str, config: str) -> list[cluster.Object]:
    world = scene.serving(json.loads(claimed), json.loads(config))
    manifests = [item for item in world.owned.values() if item["kind"].endswith("NetworkPolicy")]
    assert manifests
    for item in manifests:
        assert schemas.validate(item) == [], item["metadata"]["name"]
    return manifests


# --- the serving pods


@pytest.mark.pitfall("a caller from another namespace is dropped")
@pytest.mark.pitfall("gateway traffic is dropped: its proxies live elsewhere")
@pytest.mark.pitfall("budgets are bypassed by calling the pod")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("caller", "port", "may"),
    [
        (PROMPTFOO, 8000, True),
        (ROUTER, 8000, True),
        (WEBUI, 8000, True),
        (PROXY, 8000, True),
        (SCRAPER, 8000, True),
        # The right labels in a wrong namespace, and wrong labels in the right namespace.
        (reach.Pod("apps", PROMPTFOO.labels), 8000, False),
        (reach.Pod("llm", WEBUI.labels), 8000, False),
        (reach.Pod("llm", SCRAPER.labels), 8000, False),
        (STRANGER, 8000, False),
        (reach.Pod("default", {}), 8000, False),
        (OTHER_PROXY, 8000, False),
        (OTHER_MODEL, 8000, False),
        (PRELOAD, 8000, False),
        (PICKER, 8000, False),
        (reach.WORLD, 8000, False),
        # Another port of a pod that may call.
        (PROMPTFOO, 22, False),
        (PROMPTFOO, 9090, False),
        (SCRAPER, 9090, False),
        # The kubelet's probes.
        (reach.NODE, 8000, True),
    ],
)
def test_who_may_call_the_engine(provider: str, caller: reach.End, port: int, may: bool) -> None:
    assert reach.allows(policies(provider), caller, SERVING, port) is may


@pytest.mark.pitfall("the hub answers 429 to pods whose weights are there")
@pytest.mark.pitfall("an allow-list of the hub's content hosts rots")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("target", "port", "protocol", "may"),
    [
        (DNS, 53, "UDP", True),
        (DNS, 53, "TCP", True),
        (DNS, 80, "TCP", False),
        (reach.WORLD, 443, "TCP", False),
        (reach.WORLD, 53, "UDP", False),
        (reach.API_SERVER, 443, "TCP", False),
        (reach.METADATA, 80, "TCP", False),
        (reach.NODE, 80, "TCP", False),
        (OTHER_MODEL, 8000, "TCP", False),
        (SERVING, 8000, "TCP", False),
        (STRANGER, 80, "TCP", False),
    ],
)
def test_what_the_engine_may_call(
    provider: str, target: reach.End, port: int, protocol: str, may: bool
) -> None:
    assert reach.allows(policies(provider), SERVING, target, port, protocol) is may


@pytest.mark.pitfall("budgets are bypassed by calling the pod")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("caller", [PROMPTFOO, WEBUI, PROXY, SCRAPER])
def test_without_callers_in_the_settings_nobody_may_call(provider: str, caller: reach.Pod) -> None:
    manifests = policies(
        provider,
        providers={"networkPolicy": provider, "gateway": "none"},
        network={"callers": [], "scrapers": []},
    )
    assert not reach.allows(manifests, caller, SERVING, 8000)
    assert reach.allows(manifests, SERVING, DNS, 53, "UDP")


@pytest.mark.pitfall("an author's ingress rules lose the platform's peers")
@pytest.mark.decision(5)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_claim_lets_more_callers_in(provider: str) -> None:
    claimed = scene.of(
        access={
            "from": [
                {"namespace": "shop", "podLabels": {"app": "chat"}},
                {"podLabels": {"app": "batch"}, "port": 9000},
                {"namespace": "lab"},
            ]
        }
    )
    manifests = policies(provider, claimed)
    chat = reach.Pod("shop", {"app": "chat"})
    assert reach.allows(manifests, chat, SERVING, 8000)
    assert not reach.allows(manifests, reach.Pod("shop", {"app": "other"}), SERVING, 8000)
    assert not reach.allows(manifests, reach.Pod("llm", chat.labels), SERVING, 8000)
    assert not reach.allows(manifests, chat, SERVING, 9000)
    # A peer without a namespace is in the claim's namespace.
    assert reach.allows(manifests, reach.Pod("llm", {"app": "batch"}), SERVING, 9000)
    assert not reach.allows(manifests, reach.Pod("llm", {"app": "batch"}), SERVING, 8000)
    # A peer without labels is every pod of the namespace.
    assert reach.allows(manifests, reach.Pod("lab", {"any": "thing"}), SERVING, 8000)
    # `access` adds peers to those of the platform.
    assert reach.allows(manifests, PROMPTFOO, SERVING, 8000)
    assert reach.allows(manifests, SCRAPER, SERVING, 8000)
    # `access` opens nothing on the preload pod.
    assert not reach.allows(manifests, chat, PRELOAD, 8000)


@pytest.mark.pitfall("minReplicas 0 renders 1; an empty policy list becomes the default one")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_empty_ingress_list_leaves_the_scraper_and_the_picker(provider: str) -> None:
    """`[]` means nobody, and not the default peers."""
    manifests = policies(provider, scene.of(networkPolicies={"ingress": []}, **PICKED))
    for caller in (PROMPTFOO, ROUTER, WEBUI, PROXY, STRANGER):
        assert not reach.allows(manifests, caller, SERVING, 8000), caller
    assert reach.allows(manifests, SCRAPER, SERVING, 8000)
    assert reach.allows(manifests, PICKER, SERVING, 8000)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_empty_ingress_list_and_access_together(provider: str) -> None:
    claimed = scene.of(networkPolicies={"ingress": []}, access={"from": [{"namespace": "shop"}]})
    manifests = policies(provider, claimed)
    assert reach.allows(manifests, reach.Pod("shop", {}), SERVING, 8000)
    assert not reach.allows(manifests, PROMPTFOO, SERVING, 8000)


@pytest.mark.pitfall("minReplicas 0 renders 1; an empty policy list becomes the default one")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_empty_egress_list_means_nothing_at_all(provider: str) -> None:
    manifests = policies(provider, scene.of(networkPolicies={"egress": []}))
    assert not reach.allows(manifests, SERVING, DNS, 53, "UDP")
    assert not reach.allows(manifests, SERVING, reach.WORLD, 443)
    assert reach.allows(manifests, PROMPTFOO, SERVING, 8000)


@pytest.mark.decision(28)
def test_an_empty_ingress_list_without_platform_peers_is_deny_all() -> None:
    """In Cilium an empty list beside egress rules would leave ingress open."""
    manifests = policies(
        "cilium", scene.of(networkPolicies={"ingress": []}), network={"scrapers": []}
    )
    (policy,) = (p for p in manifests if p["metadata"]["name"] == "model")
    assert policy["spec"]["ingress"] == [{}]
    assert not reach.allows(manifests, PROMPTFOO, SERVING, 8000)


@pytest.mark.pitfall("an author's ingress rules lose the platform's peers")
def test_raw_cilium_rules_replace_the_default_peers_and_keep_the_platforms() -> None:
    rule = {"fromEndpoints": [{"matchLabels": {"app": "mine"}}]}
    dns = {"toEntities": ["world"]}
    claimed = scene.of(networkPolicies={"ingress": [rule], "egress": [dns]})
    manifests = policies("cilium", claimed)
    (policy,) = (p for p in manifests if p["metadata"]["name"] == "model")
    assert policy["spec"]["ingress"][0] == rule
    assert policy["spec"]["egress"] == [dns]
    assert reach.allows(manifests, reach.Pod("llm", {"app": "mine"}), SERVING, 8000)
    assert not reach.allows(manifests, PROMPTFOO, SERVING, 8000)
    assert reach.allows(manifests, SCRAPER, SERVING, 8000)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_routes_proxy_calls_while_the_claim_has_the_route(provider: str) -> None:
    proxy = {"namespace": "gateways", "podLabels": {"gw": "public"}}
    pod = reach.Pod("gateways", {"gw": "public"})
    routed = scene.of(route={"enabled": True, "hostname": "m"})
    for claimed, may in ((routed, True), (scene.of(), False)):
        manifests = policies(provider, claimed, route={"proxy": proxy})
        assert reach.allows(manifests, pod, SERVING, 8000) is may


@pytest.mark.parametrize("provider", PROVIDERS)
def test_two_claims_policies_do_not_open_each_other(provider: str) -> None:
    manifests = [
        *policies(provider, scene.of(access={"from": [{"namespace": "shop"}]})),
        *policies(provider, scene.of(name="b")),
    ]
    shop = reach.Pod("shop", {})
    assert reach.allows(manifests, shop, SERVING, 8000)
    assert not reach.allows(manifests, shop, OTHER_MODEL, 8000)


# --- the preload pod


@pytest.mark.decision(28)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "caller", [PROMPTFOO, PROXY, SCRAPER, STRANGER, SERVING, OTHER_MODEL, PICKER, reach.WORLD]
)
def test_nobody_reaches_the_preload_pod(provider: str, caller: reach.End) -> None:
    manifests = policies(provider, scene.of(**PICKED))
    for port in (80, 8000, 9090):
        assert not reach.allows(manifests, caller, PRELOAD, port)


@pytest.mark.pitfall("an allow-list of the hub's content hosts rots")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("target", "port", "may"),
    [
        (reach.WORLD, 443, True),
        (reach.WORLD, 80, False),
        (reach.WORLD, 22, False),
        (reach.API_SERVER, 443, False),
        (SERVING, 8000, False),
        (STRANGER, 443, False),
        (reach.METADATA, 80, False),
    ],
)
def test_the_preload_pod_reaches_the_hub_and_nothing_inside(
    provider: str, target: reach.End, port: int, may: bool
) -> None:
    manifests = policies(provider)
    assert reach.allows(manifests, PRELOAD, target, port) is may
    assert reach.allows(manifests, PRELOAD, DNS, 53, "UDP")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_preload_there_is_no_policy_for_it(provider: str) -> None:
    manifests = policies(provider, scene.of(model={"preload": {"enabled": False}}))
    assert [policy["metadata"]["name"] for policy in manifests] == ["model"]


@pytest.mark.pitfall("* does not span dots")
def test_names_reach_through_the_dns_proxy_with_the_region_filled_in() -> None:
    manifests = policies("cilium")
    bucket = reach.Address("52.218.0.1", "elsewhere", "b.s3.eu-west-3.amazonaws.com")
    assert reach.allows(manifests, PRELOAD, bucket, 443)
    far = reach.Address("52.218.0.1", "elsewhere", "b.s3.us-east-1.amazonaws.com")
    assert not reach.allows(manifests, PRELOAD, far, 443)
    # `*` spans no dot.
    deep = reach.Address("52.218.0.1", "elsewhere", "a.b.s3.eu-west-3.amazonaws.com")
    assert not reach.allows(manifests, PRELOAD, deep, 443)


def test_hosts_that_need_a_region_are_refused_without_one() -> None:
    """`s3..amazonaws.com` is no host: the API server would refuse the whole policy."""
    config = scene.site()
    del config["data"]["region"]
    assert "region" in scene.refused(scene.of(), config)


@pytest.mark.pitfall("egress by name is denied though DNS is open")
def test_every_name_rule_has_its_dns_rule() -> None:
    for policy in policies("cilium"):
        egress = policy["spec"]["egress"]
        if any("toFQDNs" in rule for rule in egress):
            assert any(
                ports.get("rules") == {"dns": [{"matchPattern": "*"}]}
                for rule in egress
                for ports in rule["toPorts"]
            )


@pytest.mark.pitfall("a link-local agent is neither a CIDR nor the world")
def test_a_link_local_agent_is_the_host_entity() -> None:
    manifests = policies("cilium")
    assert reach.allows(manifests, PRELOAD, reach.NODE, 80)
    assert not reach.allows(manifests, SERVING, reach.NODE, 80)
    without = policies("cilium", preload={"egressHostPorts": []})
    assert not reach.allows(without, PRELOAD, reach.NODE, 80)


@pytest.mark.parametrize(
    ("hub", "ports"),
    [
        ({"endpoint": "https://hub.example.com:8443"}, [443, 8443]),
        ({"endpoint": "http://hub.example.com"}, [80, 443]),
        ({"proxy": "http://proxy.example.com:3128"}, [443, 3128]),
        ({"egressPort": 9443}, [443, 9443]),
    ],
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_mirror_or_proxy_is_reached_on_its_port(
    provider: str, hub: cluster.Object, ports: list[int]
) -> None:
    manifests = policies(provider, hub=hub)
    for port in (80, 443, 3128, 8443, 9443):
        assert reach.allows(manifests, PRELOAD, reach.WORLD, port) is (port in ports), port


def test_a_mirror_in_a_private_range_needs_its_network() -> None:
    private = reach.Address("10.9.0.5", "world")
    assert not reach.allows(policies("kubernetes"), PRELOAD, private, 443)
    for provider in PROVIDERS:
        manifests = policies(provider, hub={"egressCidrs": ["10.9.0.0/24"]})
        assert reach.allows(manifests, PRELOAD, private, 443)
    cidrs = [
        rule["toCIDR"]
        for policy in policies("cilium", hub={"egressCidrs": ["10.9.0.0/24"]})
        for rule in policy["spec"]["egress"]
        if "toCIDR" in rule
    ]
    assert cidrs == [["10.9.0.0/24"]]
    assert "toCIDR" not in str(policies("cilium"))


# --- the picker


@pytest.mark.pitfall("one side of a hop was opened")
@pytest.mark.pitfall("the picker is not scraped, and routing is dead: 9090 and 9002 are closed")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("caller", "port", "may"),
    [
        (PROXY, 9002, True),
        (PROXY, 9090, False),
        (SCRAPER, 9090, True),
        (SCRAPER, 9002, False),
        (PROMPTFOO, 9002, False),
        (STRANGER, 9002, False),
        (SERVING, 9002, False),
    ],
)
def test_who_may_call_the_picker(provider: str, caller: reach.Pod, port: int, may: bool) -> None:
    assert reach.allows(policies(provider, scene.of(**PICKED)), caller, PICKER, port) is may


@pytest.mark.pitfall("one side of a hop was opened")
@pytest.mark.pitfall("the picker is blind: the policy selected labels that it has not")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("target", "port", "may"),
    [
        (SERVING, 8000, True),
        (SERVING, 9000, False),
        (OTHER_MODEL, 8000, False),
        (PRELOAD, 8000, False),
        (reach.API_SERVER, 443, True),
        (reach.API_SERVER, 6443, True),
        (reach.WORLD, 80, False),
    ],
)
def test_what_the_picker_may_call(provider: str, target: reach.End, port: int, may: bool) -> None:
    assert reach.allows(policies(provider, scene.of(**PICKED)), PICKER, target, port) is may


# --- form


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_each_policy_of_each_example_selects_its_pods_only(provider: str, name: str) -> None:
    config = scene.site(providers={"networkPolicy": provider})
    world = cluster.Cluster(cluster.example(name), config).born()
    job = world.one("Job")["spec"]["template"]["metadata"]["labels"]
    world.converge()
    serving = world.template["metadata"]["labels"]
    selector = "endpointSelector" if provider == "cilium" else "podSelector"
    selectors = {
        key: item["spec"][selector]["matchLabels"]
        for key, item in world.objects.items()
        if item["kind"].endswith("NetworkPolicy")
    }
    (preload,) = (labels for key, labels in selectors.items() if key.endswith("-download"))
    (engine,) = (labels for key, labels in selectors.items() if not key.endswith("-download"))
    assert engine.items() <= serving.items()
    assert not engine.items() <= job.items()
    assert preload.items() <= job.items()
    assert not preload.items() <= serving.items()


@pytest.mark.pitfall("a caller from another namespace is dropped")
def test_every_peer_of_a_cilium_policy_names_its_namespace() -> None:
    for policy in policies("cilium", scene.of(**PICKED)):
        for way, side in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"][way]:
                for selector in rule.get(f"{side}Endpoints", []):
                    assert "k8s:io.kubernetes.pod.namespace" in selector["matchLabels"]


@pytest.mark.pitfall("a portable cluster has no Cilium")
def test_native_policies_govern_both_directions() -> None:
    for policy in policies("kubernetes", scene.of(**PICKED)):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_without_a_provider_there_is_no_policy() -> None:
    world = scene.serving(config=scene.site(providers={"networkPolicy": "none"}))
    assert not [kind for kind in world.kinds_there() if kind.endswith("NetworkPolicy")]
    assert world.condition("PolicyReady") == ("True", "NotManaged")


@pytest.mark.pitfall("a portable cluster has no Cilium")
def test_changing_the_provider_changes_the_key_and_never_the_kind_under_one() -> None:
    world = scene.serving()
    chosen = {"networkPolicy": "kubernetes", "withdrawn": ["cilium"]}
    world.environments = [scene.site(providers=chosen)]
    world.converge()
    assert "model-networkpolicy" in world.objects
    assert "model-cilium-netpol" not in world.objects


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({"ingress": [{"fromEntities": ["cluster"]}]}, "name callers in spec.access.from"),
        ({"egress": [{"toEntities": ["world"]}]}, "pods do not reach DNS"),
        ({"ingress": [], "egress": [{}]}, None),
    ],
)
def test_raw_rules_that_the_provider_cannot_read_are_named(
    policies: cluster.Object, words: str | None
) -> None:
    claim = scene.of(networkPolicies=policies)
    world = scene.serving(claim, scene.site("plain"))
    assert world.condition("PolicyReady") == ("True", "Ready")
    message = world.message("PolicyReady")
    if words is None:
        assert message == ""
    else:
        (field,) = policies
        assert message.startswith(f"spec.networkPolicies.{field}: its rules are Cilium's")
        assert words in message
    plan = scene.planned(claim, scene.site("plain"))
    notes = [why.rule for why in plan.explanations if why.surprising]
    assert notes == ([] if words is None else [message])
