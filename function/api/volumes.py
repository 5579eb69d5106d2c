"""Volumes and mounts of pods as Kubernetes types them: types and values that its API takes.

Source: k8s.io/api core/v1 and its validation, Kubernetes 1.36. Volumes that core/v1 has beside the
ones with a model (disks of clouds and of storage systems) pass through as they are: `baseline`
opens them to those who may reach the host, and the API server alone knows their fields.
"""

from typing import Annotated, Any, ClassVar, Literal

import pydantic

from function.api import base, kubernetes
from function.capacity import quantity

_Many = base.items(64)
_Raw = dict[str, Any]
_Text = Annotated[str, base.text(4096, None, 0)]
# Bits of permissions: 0777 in octal.
_Mode = Annotated[int, base.number(0, 0o777)]
_Name = Annotated[str, base.text(253)]


def _amount(value: int | str) -> int | str:
    """Returns the value.

    Raises:
        ValueError: It is no amount of bytes.
    """
    if quantity.parse(value) < 0:
        raise ValueError("must not be negative")
    return value


Amount = Annotated[
    int | str,
    pydantic.AfterValidator(_amount),
    base.OneMessage("must be a quantity of 0 or more, for example 2, 500m or 16Gi"),
]

# A file of a volume: below its directory, and not named as the kubelet names its own (`..data`).
_File = Annotated[
    str,
    base.text(4096),
    base.Rule(
        cel="true",
        message="a path below the volume, which does not begin with '..'",
        holds=lambda path: kubernetes.relative(path) and not path.startswith(".."),
    ),
]


class Item(base.Model):
    """A key of a ConfigMap or a Secret as a file."""

    key: _Name
    path: _File
    mode: _Mode | None = None


class _Items(base.Model):
    items: Annotated[list[Item], _Many] | None = None
    optional: bool | None = None


class _Files(_Items):
    default_mode: _Mode | None = None


class ConfigMap(_Files):
    """The keys of a ConfigMap as files."""

    name: _Name


class Secret(_Files):
    """The keys of a Secret as files."""

    secret_name: _Name


class Projection(_Items):
    """A ConfigMap or a Secret in a volume of several."""

    name: _Name


class FieldRef(base.Model):
    """A field of the pod."""

    api_version: Literal["v1"] | None = None
    field_path: Annotated[
        str,
        base.text(
            384, r"^metadata\.(annotations|labels|name|namespace|uid|(labels|annotations)\['.+'\])$"
        ),
    ]


class ResourceRef(base.Model):
    """An amount that a container asks for."""

    container_name: base.DnsLabel
    resource: Annotated[str, base.text(128, r"^(limits|requests)\.")]
    divisor: Amount | None = None


class Fact(base.Model):
    """A file with what Kubernetes knows of the pod."""

    path: _File
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceRef | None = None
    mode: _Mode | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="takes one of fieldRef and resourceFieldRef",
            holds=lambda fact: (fact.field_ref is None) != (fact.resource_field_ref is None),
        ),
    )


class Facts(base.Model):
    """Files with what Kubernetes knows of the pod."""

    items: Annotated[list[Fact], _Many] | None = None


class DownwardApi(Facts):
    """The same as a volume."""

    default_mode: _Mode | None = None


class Token(base.Model):
    """A token of the pod's ServiceAccount."""

    path: _File
    audience: _Text | None = None
    expiration_seconds: Annotated[int, base.number(600, 2**32)] | None = None


class Source(base.Model):
    """One source of a volume of several."""

    config_map: Projection | None = None
    secret: Projection | None = None
    downward_api: Facts | None = pydantic.Field(None, alias="downwardAPI")
    service_account_token: Token | None = None
    cluster_trust_bundle: _Raw | None = None
    pod_certificate: _Raw | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="a source is of one kind: write another source",
            holds=lambda source: len(source.model_fields_set) <= 1,
        ),
    )

    @property
    def paths(self) -> list[str]:
        """The files that it makes, as far as it names them."""
        listed = [source.items for source in (self.config_map, self.secret) if source is not None]
        facts = self.downward_api.items if self.downward_api is not None else None
        return [item.path for items in listed for item in items or []] + [
            fact.path for fact in facts or []
        ]


def _each_once(projected: "Projected") -> bool:
    paths = [path for source in projected.sources or [] for path in source.paths]
    return len(paths) == len(set(paths))


class Projected(base.Model):
    """Several sources in one directory."""

    sources: Annotated[list[Source], _Many] | None = None
    default_mode: _Mode | None = None

    RULES: ClassVar = (
        base.Rule(cel="true", message="two sources have a file of one path", holds=_each_once),
    )


# Kubernetes checks no text here, but a kubelet mounts these alone.
_MEDIUM = base.form(
    r"^(Memory|HugePages(-[0-9][0-9A-Za-z.]*)?)?$", "Memory, or HugePages with a size behind it"
)
_Medium = Annotated[str, base.text(63, _MEDIUM, 0)]


class EmptyDir(base.Model):
    """A directory that lives as long as the pod."""

    medium: _Medium | None = None
    size_limit: Amount | None = None


class ClaimName(base.Model):
    """A PersistentVolumeClaim."""

    claim_name: _Name
    read_only: bool | None = None


class LocalName(base.Model):
    """An object of the pod's namespace."""

    name: _Name


class Csi(base.Model):
    """A volume that a driver makes for the pod."""

    driver: Annotated[str, base.text(63, base.DNS_SUBDOMAIN)]
    fs_type: _Text | None = None
    node_publish_secret_ref: LocalName | None = None
    read_only: bool | None = None
    volume_attributes: Annotated[dict[str, _Text], _Many] | None = None


class Storage(base.Model):
    """What a claim asks a StorageClass for."""

    requests: Annotated[dict[str, Amount], _Many]
    limits: Annotated[dict[str, Amount], _Many] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="requests.storage must be above 0",
            holds=lambda storage: quantity.parse(storage.requests.get("storage", 0)) > 0,
            at="requests.storage",
        ),
    )


_AccessMode = Literal["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]


class DataSource(base.Model):
    """What a volume begins as."""

    kind: _Name
    name: _Name
    api_group: _Text | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="without an apiGroup the kind is PersistentVolumeClaim",
            holds=lambda source: bool(source.api_group) or source.kind == "PersistentVolumeClaim",
            at="kind",
        ),
    )


class DataSourceRef(DataSource):
    """The same, of another namespace too."""

    namespace: base.DnsSubdomain | None = None


class ClaimSpec(base.Model):
    """The spec of a PersistentVolumeClaim."""

    access_modes: Annotated[list[_AccessMode], base.items(4, 1)]
    resources: Storage
    data_source: DataSource | None = None
    data_source_ref: DataSourceRef | None = None
    selector: kubernetes.Selector | None = None
    storage_class_name: Annotated[str, base.text(253, r"^$|" + base.DNS_SUBDOMAIN, 0)] | None = None
    volume_attributes_class_name: base.DnsSubdomain | None = None
    volume_mode: Literal["Block", "Filesystem"] | None = None
    volume_name: _Text | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="ReadWriteOncePod stands alone",
            holds=lambda spec: (
                "ReadWriteOncePod" not in spec.access_modes or len(set(spec.access_modes)) == 1
            ),
            at="accessModes",
        ),
    )


class ClaimMetadata(base.Model):
    """What marks a PersistentVolumeClaim: Kubernetes names it."""

    labels: base.Labels | None = None
    annotations: base.Annotations | None = None


class ClaimTemplate(base.Model):
    """A PersistentVolumeClaim that is made for the pod."""

    metadata: ClaimMetadata | None = None
    spec: ClaimSpec


class Ephemeral(base.Model):
    """A volume of a StorageClass that lives as long as the pod."""

    volume_claim_template: ClaimTemplate


class Image(base.Model):
    """The files of an image."""

    reference: Annotated[str, base.text(1024)]
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None


_ABSOLUTE = r"^/"


class HostPath(base.Model):
    """A directory of the node."""

    path: Annotated[
        str,
        base.text(4096),
        base.Rule(
            cel="true",
            message="a path without '..'",
            holds=lambda path: ".." not in path.split("/"),
        ),
    ]
    type: (
        Literal[
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ]
        | None
    ) = None


class Nfs(base.Model):
    """A directory of a server."""

    server: _Name
    path: Annotated[str, base.text(4096, _ABSOLUTE)]
    read_only: bool | None = None


class Volume(base.Model):
    """A volume: its name, and one source."""

    name: base.DnsLabel
    config_map: ConfigMap | None = None
    csi: Csi | None = None
    downward_api: DownwardApi | None = pydantic.Field(None, alias="downwardAPI")
    empty_dir: EmptyDir | None = None
    ephemeral: Ephemeral | None = None
    host_path: HostPath | None = None
    image: Image | None = None
    nfs: Nfs | None = None
    persistent_volume_claim: ClaimName | None = None
    projected: Projected | None = None
    secret: Secret | None = None
    # As they are.
    aws_elastic_block_store: _Raw | None = None
    azure_disk: _Raw | None = None
    azure_file: _Raw | None = None
    cephfs: _Raw | None = None
    cinder: _Raw | None = None
    fc: _Raw | None = None
    flex_volume: _Raw | None = None
    flocker: _Raw | None = None
    gce_persistent_disk: _Raw | None = None
    git_repo: _Raw | None = None
    glusterfs: _Raw | None = None
    iscsi: _Raw | None = None
    photon_persistent_disk: _Raw | None = None
    portworx_volume: _Raw | None = None
    quobyte: _Raw | None = None
    rbd: _Raw | None = None
    scale_io: _Raw | None = pydantic.Field(None, alias="scaleIO")
    storageos: _Raw | None = None
    vsphere_volume: _Raw | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="a volume has one source, such as configMap or emptyDir: write another volume",
            # None is an emptyDir to the API server.
            holds=lambda volume: len(volume.model_fields_set) <= 2,
        ),
    )


_BELOW = base.Rule(
    cel="true", message="a path below the volume, without '..'", holds=kubernetes.relative
)


class Mount(base.Model):
    """Where a container mounts a volume."""

    name: _Name
    mount_path: Annotated[str, base.text(4096)]
    sub_path: Annotated[str, base.text(4096, None, 0), _BELOW] | None = None
    sub_path_expr: Annotated[str, base.text(4096, None, 0), _BELOW] | None = None
    read_only: bool | None = None
    recursive_read_only: Literal["Disabled", "Enabled", "IfPossible"] | None = None
    mount_propagation: Literal["Bidirectional", "HostToContainer", "None"] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="subPath and subPathExpr exclude each other",
            holds=lambda mount: not (mount.sub_path and mount.sub_path_expr),
            at="subPathExpr",
        ),
        base.Rule(
            cel="true",
            message="needs readOnly true, and mountPropagation None or absent",
            holds=lambda mount: (
                mount.recursive_read_only in (None, "Disabled")
                or (mount.read_only is True and mount.mount_propagation in (None, "None"))
            ),
            at="recursiveReadOnly",
        ),
    )
