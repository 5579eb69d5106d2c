"""Pieces of pods that are nearly right: each field of a piece is drawn from good and bad values.

`impolite` puts them into claims. What the function takes of them, Kubernetes has to take.
"""

import typing

from hypothesis import strategies as st

Json: typing.TypeAlias = dict[str, typing.Any]
Strategy: typing.TypeAlias = st.SearchStrategy[typing.Any]


def _piece(**fields: typing.Iterable[typing.Any] | Strategy) -> Strategy:
    """Returns objects with any of these fields; a field whose name ends in _ is always there.

    The first value of a field is a good one, and three times as likely as the rest together.
    """
    values = {
        name: field if isinstance(field, st.SearchStrategy) else _mostly_first(list(field))
        for name, field in fields.items()
    }
    required = {name.removesuffix("_"): v for name, v in values.items() if name.endswith("_")}
    optional = {name: v for name, v in values.items() if not name.endswith("_")}
    return st.fixed_dictionaries(required, optional=optional)


def _mostly_first(values: list[typing.Any]) -> Strategy:
    return st.sampled_from([values[0]] * (3 * len(values) - 3) + values)


def _some(item: Strategy, least: int = 0) -> Strategy:
    return st.lists(item, min_size=least, max_size=3)


_PATHS = ("a", "a/b", "../a", "/a", "", "..a", "a/../b", " a ", ".")
_KEYS = (
    "a",
    "zone",
    "app.kubernetes.io/instance",
    "example.com/A_b",
    "a b",
    "",
    "pod-template-hash",
)
_NAMES = ("v", "models", "V", "a.b", "", "shm")
_PROFILES = _piece(
    type=("Localhost", "RuntimeDefault", "Unconfined", "localhost"), localhostProfile=_PATHS
)

SECURITY = _piece(
    seccompProfile=_PROFILES,
    appArmorProfile=_PROFILES,
    privileged=(True, False),
    allowPrivilegeEscalation=(True, False, None),
    capabilities=_piece(
        add=(["CAP_SYS_ADMIN"], ["NET_BIND_SERVICE"], ["SYS_ADMIN"], []), drop=(["ALL"], None)
    ),
    procMount=("Default", "Unmasked", "masked"),
    runAsUser=(0, 1000, -1, 2**31),
    windowsOptions=_piece(
        runAsUserName=("a", "a\\b", "a\\b\\c", "", ". .", "NT AUTHORITY\\SYSTEM", "a:b"),
        gmsaCredentialSpecName=("a", "A B", ""),
        hostProcess=(True, False),
    ),
)

_AMOUNT = ("1", "500m", "3Mi", "4Mi", "1Gi", "0", 2, "64Gi", "1.5")
_RESOURCE = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "hugepages-2Mi",
    "hugepages-1Gi",
    "hugepages-foo",
    "hugepages-0",
    "requests.example.com/a",
    "example.com/a",
)
_AMOUNTS = st.dictionaries(st.sampled_from(_RESOURCE), st.sampled_from(_AMOUNT), max_size=3)
RESOURCES = _piece(requests=_AMOUNTS, limits=_AMOUNTS)

_REQUIREMENT = _piece(
    key_=_KEYS,
    operator_=("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    values_=(["1"], [], ["a"], ["a", "b"], ["a b"], ["-1"]),
)
_SELECTOR = _piece(
    matchLabels=({}, {"a": "b"}, {"app.kubernetes.io/instance": "a"}, {"a": "b c"}),
    matchExpressions=_some(_REQUIREMENT),
)
SPREADS = _some(
    _piece(
        maxSkew_=(1, 0, 5, -1),
        topologyKey_=_KEYS,
        whenUnsatisfiable_=("DoNotSchedule", "ScheduleAnyway", "Never"),
        labelSelector=_SELECTOR,
        matchLabelKeys=_some(_mostly_first(list(_KEYS))),
        minDomains=(1, 0, 3),
        nodeAffinityPolicy=("Honor", "Ignore", "honor"),
    )
)
TOLERATIONS = _some(
    _piece(
        key=_KEYS,
        operator=("Exists", "Equal", "", "exists"),
        value=("", "a", "a b"),
        effect=("NoExecute", "NoSchedule", "PreferNoSchedule", "", "Never"),
        tolerationSeconds=(0, 30, -1),
    )
)
_TERM = _piece(
    topologyKey_=_KEYS,
    labelSelector=_SELECTOR,
    namespaces=(["llm"], ["a", "a"], ["A"], []),
    namespaceSelector=_SELECTOR,
    matchLabelKeys=_some(_mostly_first(list(_KEYS))),
    mismatchLabelKeys=_some(_mostly_first(list(_KEYS))),
)
_NODES = _piece(
    matchExpressions=_some(_REQUIREMENT),
    matchFields=_some(
        _piece(key_=("metadata.name", "a"), operator_=("In", "Exists"), values=(["a"], ["A"], []))
    ),
)
_WEIGHT = (1, 100, 0, 101)
_AROUND = _piece(
    requiredDuringSchedulingIgnoredDuringExecution=_some(_TERM),
    preferredDuringSchedulingIgnoredDuringExecution=_some(
        _piece(weight_=_WEIGHT, podAffinityTerm_=_TERM)
    ),
)
AFFINITY = _piece(
    nodeAffinity=_piece(
        requiredDuringSchedulingIgnoredDuringExecution=_piece(nodeSelectorTerms_=_some(_NODES)),
        preferredDuringSchedulingIgnoredDuringExecution=_some(
            _piece(weight_=_WEIGHT, preference_=_NODES)
        ),
    ),
    podAffinity=_AROUND,
    podAntiAffinity=_AROUND,
)

_MODE = (0, 420, 511, 512, -1)
_ITEMS = _some(_piece(key_=("a", ""), path_=_PATHS, mode=_MODE))
_FIELD = _piece(
    fieldPath_=(
        "metadata.name",
        "metadata.labels",
        "metadata.labels['a']",
        "metadata.labels['a b']",
        "metadata.annotations['A.b/c']",
        "status.podIP",
        "spec.nodeName",
        "spec.a",
    ),
    apiVersion=("v1", "v2"),
)
_AMOUNT_OF = _piece(
    resource_=("limits.cpu", "requests.memory", "limits.hugepages-2Mi", "limits.gpu"),
    divisor=("0", "1", "1m", "1Mi", "1k", "3", "1024", "1024Ki", "0.5"),
    containerName=("vllm", "a"),
)
_FACTS = _some(_piece(path_=_PATHS, fieldRef=_FIELD, resourceFieldRef=_AMOUNT_OF, mode=_MODE))
_OF_OBJECT: Json = {"name_": ("a", "A B", ""), "items": _ITEMS, "optional": (True, False)}
_SOURCES = _piece(
    configMap=_piece(**_OF_OBJECT),
    secret=_piece(**_OF_OBJECT),
    downwardAPI=_piece(items=_FACTS),
    serviceAccountToken=_piece(path_=_PATHS, expirationSeconds=(600, 599, 2**32, 2**32 + 1)),
)
_VOLUME_CLAIM = _piece(
    accessModes_=(["ReadWriteOnce"], ["ReadWriteOncePod", "ReadWriteOnce"], [], ["Read"]),
    resources_=({"requests": {"storage": "1Gi"}}, {"requests": {"storage": "0"}}, {}),
    storageClassName=("", "fast", "A B"),
    volumeMode=("Block", "Filesystem", "block"),
    dataSource=_piece(kind_=("PersistentVolumeClaim", "a"), name_=("a", ""), apiGroup=("", "a.b")),
)
_SOURCE_OF_VOLUME: Json = {
    "configMap": _piece(**_OF_OBJECT, defaultMode=_MODE),
    "secret": _piece(secretName_=("a", ""), items=_ITEMS, defaultMode=_MODE),
    "emptyDir": _piece(medium=("", "Memory"), sizeLimit=("1Gi", "-1", "x", 1)),
    "downwardAPI": _piece(items=_FACTS, defaultMode=_MODE),
    "projected": _piece(sources=_some(_SOURCES), defaultMode=_MODE),
    "persistentVolumeClaim": _piece(claimName_=("a", ""), readOnly=(True, False)),
    "csi": _piece(driver_=("a.b", "a b", ""), nodePublishSecretRef=({"name": "a"}, {})),
    "ephemeral": _piece(volumeClaimTemplate_=_piece(spec_=_VOLUME_CLAIM)),
    "image": _piece(reference_=("a/b:1", ""), pullPolicy=("Always", "always")),
    "hostPath": _piece(path_=("/a", "/a/../b", ""), type=("", "Directory", "directory")),
}
# Of one source, and now and then of two.
VOLUMES = _some(
    st.one_of(
        *(_piece(name_=_NAMES, **{f"{n}_": source}) for n, source in _SOURCE_OF_VOLUME.items()),
        _piece(name_=_NAMES, **_SOURCE_OF_VOLUME),
    ),
    1,
)
MOUNTS = _some(
    _piece(
        name_=_NAMES,
        mountPath_=("/v", "/v/", "v", "", "/models", "/a:b", "/a/../b"),
        subPath=_PATHS,
        subPathExpr=_PATHS,
        readOnly=(True, False),
        recursiveReadOnly=("Enabled", "IfPossible", "Disabled", "enabled"),
        mountPropagation=("None", "HostToContainer", "Bidirectional", "none"),
    )
)
SOURCE = _piece(
    fieldRef=_FIELD,
    resourceFieldRef=_AMOUNT_OF,
    configMapKeyRef=_piece(name_=("a", ""), key_=("a", ".a", "..a", ".", "..", "a b")),
    secretKeyRef=_piece(name_=("a", ""), key_=("a", ".", "..")),
)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        (
            "container.apparmor.security.beta.kubernetes.io/vllm",
            "container.apparmor.security.beta.kubernetes.io/other",
            "controller.kubernetes.io/pod-deletion-cost",
            "seccomp.security.alpha.kubernetes.io/pod",
            "container.seccomp.security.alpha.kubernetes.io/vllm",
            "scheduler.alpha.kubernetes.io/tolerations",
            "kubernetes.io/config.mirror",
            "example.com/a",
        )
    ),
    st.sampled_from(
        ("unconfined", "runtime/default", "localhost/a", "localhost/../a", "1", "-1", "99999999999")
    ),
    max_size=2,
)

_PORTS = _some(
    _piece(
        containerPort_=(8000, 0, 65535, 65536, 1),
        name=("http", "a", "A", "1", "a--b", "a" * 16, "0-a", "a-", ""),
        protocol=("TCP", "UDP", "tcp"),
    )
)
# What a patch makes of a pod spec.
POD = _piece(
    dnsPolicy=("None", "Default", "ClusterFirst", "default"),
    dnsConfig=_piece(
        nameservers=([], ["10.0.0.1"], ["10.0.0.1"] * 4, ["a"], ["fd00::1"], ["10.0.0.01"]),
        searches=([], ["a.b", "."], ["a_b."], ["a b"], ["A"], ["a" * 254]),
        options=([], [{"name": "a"}], [{"value": "a"}]),
    ),
    hostAliases=_some(
        _piece(ip=("10.0.0.1", "fd00::1", "a", ""), hostnames=([], ["a"], ["A"], ["a b"]))
    ),
    terminationGracePeriodSeconds=(0, 1, 15, 600, -1, None),
    securityContext=_piece(
        seccompProfile=_PROFILES,
        appArmorProfile=_PROFILES,
        fsGroup=(0, -1),
        supplementalGroups=([1], [-1]),
        fsGroupChangePolicy=("Always", "always"),
    ),
    resources=RESOURCES,
    restartPolicy=("Always", "Never"),
    hostUsers=(True, False),
    runtimeClassName=("a", "A"),
    hostname=("a", "A", "a.b"),
    initContainers=_some(_piece(name_=("a", "vllm", "A"), image_=("i",), ports=_PORTS)),
    containers=st.lists(
        _piece(
            name_=("vllm",),
            ports=_PORTS,
            resources=RESOURCES,
            securityContext=SECURITY,
            imagePullPolicy=("Always", "always"),
            volumeMounts=MOUNTS,
            env=_some(_piece(name_=("A", "a.b", "1", "a=b"), value=("a", 1), valueFrom=SOURCE)),
            envFrom=_some(
                _piece(
                    prefix=("", "a", "a="),
                    configMapRef=({"name": "a"}, {}),
                    secretRef=({"name": "a"}, {}),
                )
            ),
        ),
        min_size=1,
        max_size=1,
    ),
)
