"""How long pods of an engine take to start and to stop, and how that is noticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import cluster, effort
from tests.resources import deployed, scene


@pytest.mark.pitfall("requests in flight are cut at scale-down")
@pytest.mark.pitfall("a spot node is reclaimed before its pod has drained")
@pytest.mark.decision(17)
@pytest.mark.parametrize(
    ("notice", "shutdown", "grace"), [(None, "120", 180), (120, "95", 120), (60, "35", 60)]
)
def test_draining_fits_into_the_notice(notice: int | None, shutdown: str, grace: int) -> None:
    config = scene.site(gpu={"classes": {"l4": {"interruptionNoticeSeconds": notice}}})
    world = scene.serving(config=config)
    container = scene.container(world)
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}
    assert scene.values(container["args"])["--shutdown-timeout"] == shutdown
    assert world.template["spec"]["terminationGracePeriodSeconds"] == grace
    assert grace >= 15 + int(shutdown)


def stops(claimed: cluster.Object, config: cluster.Object) -> tuple[int, int, int]:
    """Returns preStop, shutdown timeout and grace period in seconds, as they are rendered."""
    spec = deployed.pod(claimed, config)
    (container,) = spec["containers"]
    timeout = scene.values(container["args"])["--shutdown-timeout"]
    assert timeout is not None
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    return pre_stop, int(timeout), spec["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_the_engine_may_exit_before_it_is_killed(name: str, profile: str) -> None:
    """The engine exits seconds after the last request (7.6 s measured, of 48 in flight)."""
    pre_stop, timeout, grace = stops(cluster.example(name), scene.site(profile))
    assert pre_stop + timeout + 10 <= grace


@effort.examples(50, 200)
@given(
    drain=st.none() | st.integers(0, 3600),
    notice=st.none() | st.integers(1, 150) | st.integers(1, 3600),
)
def test_draining_never_ends_after_the_grace_period(drain: int | None, notice: int | None) -> None:
    """The grace period fits into the notice, and holds the wanted drain where both fit."""
    config = scene.site(gpu={"classes": {"l4": {"interruptionNoticeSeconds": notice}}})
    claimed = scene.of()
    if drain is not None:
        claimed["spec"]["drainSeconds"] = drain
    pre_stop, timeout, grace = stops(claimed, config)
    wanted = 120 if drain is None else drain
    if notice is None or 15 + wanted + 45 <= notice:
        assert (pre_stop, timeout, grace) == (15, wanted, 15 + wanted + 45)
    elif notice > 15:
        assert (pre_stop, timeout, grace) == (15, min(wanted, max(0, notice - 25)), notice)
        assert pre_stop + timeout < grace
    else:
        # The preStop gets all of the time, because the engine serves during the preStop.
        assert (pre_stop, timeout, grace) == (notice, 0, notice)


@pytest.mark.pitfall("a pod is sent traffic that it cannot answer")
@pytest.mark.decision(22)
def test_the_default_probes() -> None:
    container = deployed.engine(scene.of())
    get = {"path": "/health", "port": "http"}
    assert container["startupProbe"] == {
        "httpGet": get,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 180,
    }
    assert container["readinessProbe"] == {
        "httpGet": get,
        "periodSeconds": 5,
        "timeoutSeconds": 5,
        "failureThreshold": 3,
    }
    assert container["livenessProbe"] == {
        "httpGet": get,
        "periodSeconds": 30,
        "timeoutSeconds": 10,
        "failureThreshold": 6,
    }


def test_a_site_whose_dns_forgets_late_lets_pods_answer_for_longer() -> None:
    config = scene.site("plain", rollout={"preStopSeconds": 40})
    assert stops(scene.of(drainSeconds=60), config) == (40, 60, 40 + 60 + 45)


@pytest.mark.pitfall("a pod is sent traffic that it cannot answer")
def test_a_draining_pod_leaves_the_endpoints_within_its_pre_stop() -> None:
    probe = deployed.engine()["readinessProbe"]
    sleep = deployed.engine()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= sleep


@pytest.mark.decision(22)
@pytest.mark.parametrize("probe", ["startup", "readiness", "liveness"])
def test_the_claims_probe_values_win_one_by_one(probe: str) -> None:
    before = deployed.engine()[f"{probe}Probe"]
    after = deployed.engine(scene.of(healthProbes={probe: {"timeoutSeconds": 7}}))[f"{probe}Probe"]
    assert after == {**before, "timeoutSeconds": 7}
    zero = deployed.engine(scene.of(healthProbes={probe: {"initialDelaySeconds": 0}}))[
        f"{probe}Probe"
    ]
    assert zero["initialDelaySeconds"] == 0
