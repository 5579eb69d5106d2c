"""The preload Job: its input, its rights, its ends, and the changes that make another Job."""

import json
from typing import Any

import pytest

from function.api import base, settings
from function.cluster import failures, jobs
from preload import exits
from preload import plan as program
from tests import cluster, schemas
from tests.resources import scene


def job(claimed: cluster.Object | None = None, config: cluster.Object | None = None) -> Any:
    return scene.first(claimed, config).one("Job")


def environment(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> dict[str, Any]:
    return scene.environment(scene.job_container(scene.first(claimed, config)))


# --- input


def test_the_program_understands_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = scene.of(model={"revision": "refs/pr/7"}, loraAdapters=scene.ADAPTERS)
    plan = program.parse(environment(claimed)["PRELOAD_PLAN"])
    assert str(plan.models_directory) == "/models"
    assert plan.cache_directory == ".compile-cache/llm.model"
    wanted = scene.planned(claimed).storage.directories
    assert [(i.kind, i.repository, i.revision, i.directory) for i in plan.items] == [
        (w.kind, w.repository, w.revision, w.place) for w in wanted
    ]
    # 0.9.0 kept the same weights in these directories, so an upgrade downloads nothing again.
    assert [i.legacy_directory for i in plan.items] == ["refs/pr/7", "loras/sql", "loras/law"]


def test_the_engine_reads_where_the_program_writes() -> None:
    claimed = scene.of(loraAdapters=scene.ADAPTERS, weightsFileSystem={"subPath": "teams/a"})
    world = scene.first(claimed)
    (mount,) = (m for m in scene.job_container(world)["volumeMounts"] if m["name"] == "models")
    assert mount == {"name": "models", "mountPath": "/models", "subPath": "teams/a"}
    plan = json.loads(scene.environment(scene.job_container(world))["PRELOAD_PLAN"])
    world.converge()
    mounts = {m["mountPath"]: m for m in scene.container(world)["volumeMounts"]}
    assert mounts["/models"]["subPath"] == "teams/a"
    assert mounts["/cache"]["subPath"] == f"teams/a/{plan['cacheDirectory']}"
    paths = [f"/models/{item['directory']}/weights" for item in plan["items"]]
    assert world.arguments[0] == paths[0]
    assert {f"sql={paths[1]}", f"law={paths[2]}"} <= set(world.arguments)


@pytest.mark.pitfall("a claim's string runs as a command in the preload Job")
@pytest.mark.pitfall("a script aborts on a fresh volume, or glues the lines of an empty list")
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_no_shell_holds_a_claims_string(name: str) -> None:
    """The image's own entrypoint runs, and the author's strings are data in one variable."""
    claimed = cluster.example(name)
    container = scene.job_container(scene.first(claimed))
    assert "command" not in container
    assert "args" not in container
    repository = claimed["spec"]["model"]["repository"]
    holders = [variable["name"] for variable in container["env"] if repository in str(variable)]
    assert holders == ["PRELOAD_PLAN"]


@pytest.mark.pitfall("a download hangs in the middle of a shard")
@pytest.mark.pitfall("KeyError getpwuid, /.cache denied: unknown uid, read-only root")
def test_transfers_that_stall_are_off_and_bounded() -> None:
    variables = environment()
    assert variables["HF_HUB_DISABLE_XET"] == "1"
    assert variables["HF_HUB_DOWNLOAD_TIMEOUT"] == "120"
    assert variables["HOME"] == "/tmp"
    assert variables["HF_HOME"].startswith("/tmp/")
    # The preload program is online, unlike the engine.
    assert "HF_HUB_OFFLINE" not in variables


@pytest.mark.decision(10)
def test_the_hub_is_the_sites() -> None:
    config = scene.site(
        hub={
            "endpoint": "https://hub.example.com",
            "proxy": "http://proxy.example.com:3128",
            "noProxy": "example.com",
            "caConfigMap": "ca",
        }
    )
    variables = environment(config=config)
    assert variables["HF_ENDPOINT"] == "https://hub.example.com"
    assert variables["HTTPS_PROXY"] == variables["HTTP_PROXY"] == "http://proxy.example.com:3128"
    assert variables["NO_PROXY"] == "example.com"
    assert variables["SSL_CERT_FILE"] == variables["REQUESTS_CA_BUNDLE"] == "/etc/hub-ca/ca.crt"
    spec = job(config=config)["spec"]["template"]["spec"]
    assert {"name": "ca", "configMap": {"name": "ca"}} in spec["volumes"]
    mount = {"name": "ca", "mountPath": "/etc/hub-ca", "readOnly": True}
    assert mount in spec["containers"][0]["volumeMounts"]
    assert not {"HF_ENDPOINT", "HTTPS_PROXY", "SSL_CERT_FILE"} & set(environment())


# --- rights


def test_the_pod() -> None:
    spec = job()["spec"]["template"]["spec"]
    assert spec["restartPolicy"] == "Never"
    assert spec["serviceAccountName"] == "xplane-llm-models-preload"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert schemas.pod_security(spec) == []
    container = spec["containers"][0]
    assert "nvidia.com/gpu" not in str(container["resources"])
    # The root is read-only: the program writes to the weights or to a bounded directory.
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/models", "/tmp"]
    assert {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}} in spec["volumes"]


def test_without_a_service_account_it_is_the_namespaces_default() -> None:
    assert "serviceAccountName" not in job(config=scene.site("plain"))["spec"]["template"]["spec"]


@pytest.mark.decision(10)
def test_placement_and_resources_are_the_sites() -> None:
    toleration = {"key": "download", "operator": "Exists"}
    config = scene.site(
        preload={
            "nodeSelector": {"pool": "download"},
            "tolerations": [toleration],
            "requests": {"cpu": "500m"},
            "limits": {"memory": "4Gi"},
            "activeDeadlineSeconds": 3600,
            "backoffLimit": 2,
        }
    )
    spec = job(config=config)["spec"]
    pod = spec["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "download"}
    assert pod["tolerations"] == [toleration]
    # A map of the settings replaces the default map, so a site can leave a limit out.
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "500m"},
        "limits": {"memory": "4Gi"},
    }
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (3600, 2)


def test_connections_are_the_programs_own_unless_the_site_says() -> None:
    """Nothing is added for a site that says nothing: a Job's name follows from its content."""
    names = {each["name"] for each in scene.job_container(scene.first())["env"]}
    assert "PRELOAD_CONNECTIONS" not in names
    container = scene.job_container(scene.first(config=scene.site(preload={"connections": 16})))
    assert {"name": "PRELOAD_CONNECTIONS", "value": "16"} in container["env"]


@pytest.mark.parametrize("connections", [0, 65, -1, 1.5, "many", True])
def test_a_number_of_connections_that_is_none_is_refused(connections: object) -> None:
    config = scene.site(preload={"connections": connections})
    with pytest.raises(base.InvalidError, match=r"preload\.connections"):
        settings.assemble({}, {}, [config])


@pytest.mark.parametrize(
    ("preload", "cpu"),
    [
        ({}, "1"),
        ({"connections": 4}, "1"),
        ({"connections": 9}, "2"),
        ({"connections": 64}, "4"),
        ({"connections": 64, "requests": {"cpu": "500m"}}, "500m"),
        ({"connections": 64, "limits": {"cpu": "1"}}, "1"),
    ],
)
def test_more_connections_ask_for_more_cores(preload: dict[str, Any], cpu: str) -> None:
    """A site that gives requests or limits has what it gives."""
    container = scene.job_container(scene.first(config=scene.site("plain", preload=preload)))
    assert container["resources"]["requests"]["cpu"] == cpu


def test_the_image_is_mirrored_like_the_engines() -> None:
    config = scene.site(
        imageRegistry="mirror:5000",
        preload={"image": "ghcr.io/a/preload@sha256:" + "a" * 64},
    )
    container = scene.job_container(scene.first(config=config))
    assert container["image"] == "mirror:5000/ghcr.io/a/preload@sha256:" + "a" * 64


# --- ends


def test_every_exit_code_that_somebody_must_act_on_is_known() -> None:
    lasting = set(exits.Exit) - {exits.Exit.DONE, exits.Exit.BUG, exits.Exit.STOPPED}
    assert set(failures.FAILURES) == {int(code) for code in lasting}


@pytest.mark.decision(12)
def test_each_known_code_fails_the_job_at_once_under_its_own_rule() -> None:
    """The Job's condition names the first rule that matches, and so the exit code."""
    rules = job()["spec"]["podFailurePolicy"]["rules"]
    assert rules[0] == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    codes = [rule["onExitCodes"]["values"] for rule in rules[1:]]
    assert codes == [[code] for code in sorted(failures.FAILURES)]
    assert {rule["action"] for rule in rules[1:]} == {"FailJob"}
    # The Job tries again after a crash or a kill.
    assert [1] not in codes
    assert [143] not in codes


@pytest.mark.parametrize("code", sorted(failures.FAILURES))
def test_a_failed_job_is_said_in_words(code: int) -> None:
    world = scene.first()
    cluster.fail_job(world, code)
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", failures.FAILURES[code].reason)
    message = world.message("WeightsReady")
    assert failures.FAILURES[code].message in message
    assert "org/model@main" in message
    assert "spec.model.preload.generation" in message
    assert world.phase == "Failed"


@pytest.mark.pitfall("401 for a name that does not exist reads as a wrong token")
def test_a_missing_name_and_a_closed_one_look_alike_to_the_hub() -> None:
    assert "does not exist" in failures.FAILURES[exits.Exit.UNAUTHORIZED].message


@pytest.mark.parametrize(
    ("message", "reason", "reported"),
    [
        ("Job was active longer than specified deadline", "DeadlineExceeded", "DeadlineExceeded"),
        ("Job has reached the limit", "BackoffLimitExceeded", "BackoffLimitExceeded"),
        ("something new", "Unheard", "JobFailed"),
        ("failed with exit code 99 matching", "PodFailurePolicy", "JobFailed"),
        ("failed with exit code 12 matching", "PodFailurePolicy", "DiskFull"),
    ],
)
def test_other_ends(message: str, reason: str, reported: str) -> None:
    job = jobs.Job(stage=jobs.Stage.FAILED, message=message, reason=reason)
    download, removal = (failures.failure(job, c) for c in (jobs.COMPONENT, jobs.CLEANUP))
    assert download is not None
    assert removal is not None
    assert download.reason == reported
    assert "removal" not in download.message
    assert removal.reason == reported
    assert ("the removal" in removal.message) is (reason == reported)
    assert download.reason in failures.FAILURE_REASONS


# --- changes that make another Job


def name(claimed: cluster.Object | None = None, config: cluster.Object | None = None) -> str:
    return str(job(claimed, config)["metadata"]["name"])


@pytest.mark.pitfall("a claim is never synced after an adapter was added")
@pytest.mark.parametrize(
    "claimed",
    [
        scene.of(model={"revision": "v2"}),
        scene.of(model={"repository": "org/other"}),
        scene.of(loraAdapters=scene.ADAPTERS[:1]),
        scene.of(weightsFileSystem={"subPath": "elsewhere"}),
        scene.of(envFromSecrets=["a"]),
        scene.of(model={"tokenSecretRef": {"name": "hub"}}),
        scene.of(model={"preload": {"generation": 1}}),
    ],
)
def test_another_download_is_another_job(claimed: cluster.Object) -> None:
    """A Job's template is immutable, so every change of the template changes the name."""
    assert name(claimed) != name()


@pytest.mark.decision(12)
@pytest.mark.parametrize(
    "changes",
    [
        {"preload": {"image": "ghcr.io/a/preload:v9"}},
        {"preload": {"tolerations": [{"operator": "Exists"}]}},
        {"preload": {"limits": {"memory": "9Gi"}}},
        {"weights": {"claimName": "other"}},
        {"weights": {"runAsUser": 42}},
        {"hub": {"endpoint": "https://hub.example.com"}},
        {"imagePullSecrets": ["a"]},
    ],
)
def test_another_pod_is_another_job(changes: cluster.Object) -> None:
    assert name(config=scene.site(**changes)) != name()


@pytest.mark.parametrize(
    "claimed",
    [
        scene.of(model={"contextWindow": 8192, "maxNumSeqs": 8, "quantization": "fp8"}),
        scene.of(scaling={"maxReplicas": 2}),
        scene.of(gateway={"enabled": True}),
        scene.of(gpu={"count": 1}, drainSeconds=5),
        scene.of(model={"preload": {"enabled": True, "generation": 0}, "revision": "main"}),
    ],
)
def test_what_has_nothing_to_do_with_the_download_leaves_the_job(
    claimed: cluster.Object,
) -> None:
    assert name(claimed) == name()


@pytest.mark.decision(8)
def test_a_patch_of_the_job_is_another_job() -> None:
    """The hash in the name covers the patched Job."""
    config = scene.site(permissions={"patches": ["llm"]})
    patch = {"spec": {"template": {"spec": {"priorityClassName": "low"}}}}
    patched = scene.of(patches={"preload-job": patch})
    assert job(patched, config)["spec"]["template"]["spec"]["priorityClassName"] == "low"
    assert name(patched, config) != name(config=config)


@pytest.mark.pitfall("an invalid Job name for refs/pr/1 or an upper-case tag")
@pytest.mark.parametrize("revision", ["refs/pr/1", "V1.0_RC", "UPPER", "a" * 64])
def test_a_revision_never_enters_the_name(revision: str) -> None:
    manifest = scene.first(scene.of(model={"revision": revision})).one("Job")
    assert schemas.validate(_as_emitted(manifest)) == []
    assert revision[:8] not in manifest["metadata"]["name"]


def _as_emitted(item: cluster.Object) -> cluster.Object:
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in item["metadata"].items() if key in kept}
    return {**item, "metadata": metadata}


@pytest.mark.pitfall("the Job runs again every day")
def test_it_is_not_deleted_by_a_clock() -> None:
    """A TTL would delete what is desired, and Crossplane would make it again, every day."""
    assert "ttlSecondsAfterFinished" not in job()["spec"]


@pytest.mark.pitfall("the Job runs again every day")
def test_it_stops_being_desired_once_the_status_says_what_it_made() -> None:
    world = scene.first().settle()
    world.reconcile()
    assert world.claim["status"]["weights"]["verified"]
    assert "Job" in world.kinds_there()
    world.settle().reconcile()
    assert "Job" not in world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "Verified")


@pytest.mark.pitfall("an adapter was updated and the old one is served")
def test_an_added_adapter_downloads_beside_what_serves() -> None:
    world = scene.serving()
    before = world.template
    world.edit(loraAdapters=scene.ADAPTERS).reconcile()
    assert world.one("Job")
    assert world.template == before
    world.settle().converge()
    assert "--lora-modules" in world.arguments
    assert world.phase == "Serving"


@pytest.mark.parametrize("model", [{"preload": {"enabled": False}}, {"source": "pvc", "path": "a"}])
def test_without_preload_there_is_no_job_and_nothing_waits(model: cluster.Object) -> None:
    world = scene.first(scene.of(model=model))
    assert "Job" not in world.kinds_there()
    assert "Deployment" in world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "NotManaged")


# --- removal of unwanted weights


def with_clean_up() -> tuple[cluster.Cluster, cluster.Object, str]:
    """A claim whose pods have left a revision, its clean-up Job, and the directory."""
    world = scene.serving(
        scene.of(model={"retention": "Delete"}, weightsFileSystem={"subPath": "teams/a"})
    )
    (record,) = world.claim["status"]["weights"]["verified"]
    world.edit(model={**world.claim["spec"]["model"], "revision": "next"})
    for _ in range(8):
        world.settle().reconcile()
        clean_ups = [item for key, item in world.objects.items() if "-cleanup-job-" in key]
        if clean_ups:
            return world, clean_ups[0], record["directory"]
    raise AssertionError(sorted(world.objects))


def test_the_program_understands_what_to_remove() -> None:
    world, job, directory = with_clean_up()
    container = job["spec"]["template"]["spec"]["containers"][0]
    plan = program.parse(scene.environment(container)["PRELOAD_PLAN"])
    assert [f"llm-models/teams/a/{path}" for path in plan.remove] == [directory]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "models")
    assert mount == {"name": "models", "mountPath": "/models", "subPath": "teams/a"}
    downloads = program.parse(
        scene.environment(scene.job_container(scene.first(world.claim)))["PRELOAD_PLAN"]
    )
    assert plan.user == downloads.user == "llm/model"


def test_a_clean_up_is_valid_restricted_and_has_its_own_exit_rules() -> None:
    _, job, _ = with_clean_up()
    emitted = {**job, "metadata": {k: job["metadata"][k] for k in ("name", "namespace", "labels")}}
    emitted.pop("status", None)
    assert schemas.validate(emitted) == []
    assert schemas.pod_security(job["spec"]["template"]["spec"]) == []
    rules = job["spec"]["podFailurePolicy"]["rules"][1:]
    assert {rule["onExitCodes"]["containerName"] for rule in rules} == {jobs.CLEANUP}


@pytest.mark.parametrize("profile", ["reference", "plain"])
def test_clean_up_pods_have_their_own_policy_that_lets_nothing_through(profile: str) -> None:
    claimed = scene.of(model={"retention": "Delete"})
    world = scene.serving(claimed, scene.site(profile))
    kind = {"reference": "CiliumNetworkPolicy", "plain": "NetworkPolicy"}[profile]
    spec = world.one(kind, "-removal")["spec"]
    selector = spec.get("endpointSelector") or spec["podSelector"]
    assert selector["matchLabels"]["app.kubernetes.io/component"] == jobs.CLEANUP
    if profile == "reference":
        assert spec["ingress"] == spec["egress"] == [{}]
    else:
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert not {"ingress", "egress"} & spec.keys()
