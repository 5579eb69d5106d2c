"""Parts of pods that an author writes as Kubernetes has them: types and values that its API takes.

Where pods run, and how they are shut; `containers` and `volumes` beside this file have the rest.

The claim's schema lets them through as they are, and the function reads them with these models. An
object with a wrong type is refused by the API server when core applies it, after other objects of
the same claim were written. Source: k8s.io/api core/v1 and its validation, Kubernetes 1.36.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from function.api import base

_Weight = Annotated[int, base.number(1, 100)]
_Many = base.items(64)
_LabelValues = Annotated[list[base.LabelValue], _Many]


def problems(model: type[base.Model], value: Any, path: str) -> Iterator[base.Problem]:
    """Yields each field of a value that its model does not take."""
    try:
        model.model_validate(value, by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        yield from base.problems(error, path)


def _fits(operator: str, values: list[str] | None) -> bool:
    """Tells whether a requirement has as many values as its operator needs."""
    match operator:
        case "In" | "NotIn":
            return bool(values)
        case "Gt" | "Lt":
            return values is not None and len(values) == 1 and _is_integer(values[0])
    return not values


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()


_VALUES = base.Rule(
    cel="true",
    message="In and NotIn need values, Gt and Lt one whole number in quotes, the others none",
    holds=lambda requirement: _fits(requirement.operator, requirement.values),
    at="values",
)


def relative(path: str) -> bool:
    """Tells whether a path leads to a place below another one: not `/a`, not `a/../..`."""
    return not path.startswith("/") and ".." not in path.split("/")


class Requirement(base.Model):
    """One expression of a label selector."""

    key: base.LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: _LabelValues | None = None

    RULES: ClassVar = (_VALUES,)


class Selector(base.Model):
    """A label selector."""

    match_labels: base.Labels | None = None
    match_expressions: Annotated[list[Requirement], _Many] | None = None

    @property
    def keys(self) -> set[str]:
        """The labels that it looks at."""
        expressions = self.match_expressions or []
        return {*(self.match_labels or {}), *(expression.key for expression in expressions)}


class NodeRequirement(base.Model):
    """One expression over a node's labels or fields."""

    key: base.LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: _LabelValues | None = None

    RULES: ClassVar = (_VALUES,)


class NodeField(base.Model):
    """One expression over a node's fields: its name is the only one."""

    key: Literal["metadata.name"]
    operator: Literal["In", "NotIn"]
    values: Annotated[list[base.DnsSubdomain], base.items(1, 1)]


class NodeTerm(base.Model):
    """Expressions of which a node fulfils all."""

    match_expressions: Annotated[list[NodeRequirement], _Many] | None = None
    match_fields: Annotated[list[NodeField], _Many] | None = None


class NodeTerms(base.Model):
    """Terms of which a node fulfils one."""

    node_selector_terms: Annotated[list[NodeTerm], base.items(64, 1)]


class PreferredNodes(base.Model):
    """Nodes that are better than others."""

    weight: _Weight
    preference: NodeTerm


class NodeAffinity(base.Model):
    """Which nodes a pod wants."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = None
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNodes], _Many] | None
    ) = None


def _apart(term: "PodTerm | Spread") -> bool:
    """Tells whether no label is in matchLabelKeys and in the labelSelector beside them."""
    keys = term.label_selector.keys if term.label_selector is not None else set()
    return not keys & set(term.match_label_keys or ())


# Since 1.34 the API server takes a template of this kind, and refuses its pods when they have the
# label.
_APART = base.Rule(
    cel="true",
    message="a label cannot be in matchLabelKeys and in the labelSelector too: keep one",
    holds=_apart,
    at="matchLabelKeys",
)


class PodTerm(base.Model):
    """Pods beside which a pod wants to be, or not."""

    topology_key: base.LabelKey
    label_selector: Selector | None = None
    namespaces: Annotated[list[base.DnsLabel], _Many] | None = None
    namespace_selector: Selector | None = None
    match_label_keys: Annotated[list[base.LabelKey], _Many] | None = None
    mismatch_label_keys: Annotated[list[base.LabelKey], _Many] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="matchLabelKeys and mismatchLabelKeys need a labelSelector",
            holds=lambda term: (
                term.label_selector is not None
                or not (term.match_label_keys or term.mismatch_label_keys)
            ),
            at="labelSelector",
        ),
        _APART,
        base.Rule(
            cel="true",
            message="a label cannot be in matchLabelKeys and in mismatchLabelKeys: keep one",
            holds=lambda term: (
                not set(term.match_label_keys or ()) & set(term.mismatch_label_keys or ())
            ),
            at="mismatchLabelKeys",
        ),
    )


class PreferredPods(base.Model):
    """Pods beside which it is better to be, or not."""

    weight: _Weight
    pod_affinity_term: PodTerm


class PodAffinity(base.Model):
    """Beside which pods a pod wants to be, or not."""

    required_during_scheduling_ignored_during_execution: Annotated[list[PodTerm], _Many] | None = (
        None
    )
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredPods], _Many] | None
    ) = None


class Affinity(base.Model):
    """A pod's affinity."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


_TAINT = base.form(r"^$|" + base.LABEL_KEY, "the key of a taint, such as example.com/team")
_OPERATOR = base.form(r"^(Exists|Equal)?$", "Exists or Equal")
_EFFECT = base.form(
    r"^(NoSchedule|PreferNoSchedule|NoExecute)?$", "NoSchedule, PreferNoSchedule or NoExecute"
)


class Toleration(base.Model):
    """A taint that a pod tolerates."""

    key: Annotated[str, base.text(317, _TAINT, 0)] | None = None
    operator: Annotated[str, base.text(6, _OPERATOR, 0)] | None = None
    value: base.LabelValue | None = None
    effect: Annotated[str, base.text(16, _EFFECT, 0)] | None = None
    # Zero and less evict at once. Kubernetes takes 64 bits, and a protobuf number holds 53 of them.
    toleration_seconds: Annotated[int, base.number(-(2**31))] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="without a key the operator must be Exists",
            holds=lambda toleration: bool(toleration.key) or toleration.operator == "Exists",
            at="operator",
        ),
        base.Rule(
            cel="true",
            message="with operator Exists there is no value",
            holds=lambda toleration: toleration.operator != "Exists" or not toleration.value,
            at="value",
        ),
        base.Rule(
            cel="true",
            message="tolerationSeconds need effect NoExecute",
            holds=lambda toleration: (
                toleration.toleration_seconds is None or toleration.effect == "NoExecute"
            ),
            at="effect",
        ),
    )


class Spread(base.Model):
    """A topology spread constraint."""

    max_skew: Annotated[int, base.number(1)]
    topology_key: base.LabelKey
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: Selector | None = None
    min_domains: Annotated[int, base.number(1)] | None = None
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    match_label_keys: Annotated[list[base.LabelKey], _Many] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="minDomains needs whenUnsatisfiable DoNotSchedule",
            holds=lambda spread: (
                spread.min_domains is None or spread.when_unsatisfiable == "DoNotSchedule"
            ),
            at="minDomains",
        ),
        base.Rule(
            cel="true",
            message="matchLabelKeys need a labelSelector",
            holds=lambda spread: spread.label_selector is not None or not spread.match_label_keys,
            at="labelSelector",
        ),
        _APART,
    )


_Text = Annotated[str, base.text(1024, None, 0)]
_Identifier = Annotated[int, base.number(0, 2**31 - 1)]


class Capabilities(base.Model):
    """POSIX capabilities."""

    add: Annotated[list[_Text], _Many] | None = None
    drop: Annotated[list[_Text], _Many] | None = None


class _Profile(base.Model):
    """A profile of the node's kernel."""

    type: Literal["RuntimeDefault", "Localhost", "Unconfined"]
    localhost_profile: Annotated[str, base.text(4095, None, 0)] | None = None

    RULES: ClassVar[tuple[base.Rule, ...]] = (
        base.Rule(
            cel="true",
            message="type Localhost needs the path of a profile",
            holds=lambda profile: (
                profile.type != "Localhost" or profile.localhost_profile is not None
            ),
            at="localhostProfile",
        ),
        base.Rule(
            cel="true",
            message="is for type Localhost alone: leave it out, or set type to Localhost",
            holds=lambda profile: profile.type == "Localhost" or profile.localhost_profile is None,
            at="localhostProfile",
        ),
    )


class Seccomp(_Profile):
    """A profile of seccomp."""

    RULES: ClassVar[tuple[base.Rule, ...]] = (
        *_Profile.RULES,
        base.Rule(
            cel="true",
            message="a path below the kubelet's directory of profiles, without '..'",
            holds=lambda profile: relative(profile.localhost_profile or ""),
            at="localhostProfile",
        ),
    )


class AppArmor(_Profile):
    """A profile of AppArmor."""

    RULES: ClassVar[tuple[base.Rule, ...]] = (
        *_Profile.RULES,
        base.Rule(
            cel="true",
            message="the name of a profile, without spaces around it",
            holds=lambda profile: (
                (name := profile.localhost_profile) is None or (name != "" and name == name.strip())
            ),
            at="localhostProfile",
        ),
    )


class SeLinux(base.Model):
    """SELinux labels."""

    user: _Text | None = None
    role: _Text | None = None
    type: _Text | None = None
    level: _Text | None = None


# [domain\\]user: the domain a name of NetBIOS or DNS, the user not of dots and spaces alone.
_WINDOWS_USER = base.form(
    r"^([^\\/:*?\"<>|.\x00-\x1f][^\\/:*?\"<>|\x00-\x1f]{0,254}\\)?"
    r"[. ]*[^. \"/\\:;|=,+*?<>@\[\]\x00-\x1f][^\"/\\:;|=,+*?<>@\[\]\x00-\x1f]*$",
    "a user of Windows, with at most one domain and a backslash before it",
)


class Windows(base.Model):
    """Options of Windows nodes."""

    gmsa_credential_spec: Annotated[str, base.text(65536)] | None = None
    gmsa_credential_spec_name: base.DnsSubdomain | None = None
    host_process: bool | None = None
    run_as_user_name: Annotated[str, base.text(360, _WINDOWS_USER)] | None = None


class SecurityContext(base.Model):
    """The security context of a container."""

    allow_privilege_escalation: bool | None = None
    app_armor_profile: AppArmor | None = None
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    proc_mount: Literal["Default", "Unmasked"] | None = None
    read_only_root_filesystem: bool | None = None
    run_as_group: _Identifier | None = None
    run_as_non_root: bool | None = None
    run_as_user: _Identifier | None = None
    se_linux_options: SeLinux | None = None
    seccomp_profile: Seccomp | None = None
    windows_options: Windows | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="privileged, and the capability CAP_SYS_ADMIN, need allowPrivilegeEscalation"
            " true (false where you say nothing)",
            holds=lambda context: (
                not (
                    context.allow_privilege_escalation is False
                    and (context.privileged is True or "CAP_SYS_ADMIN" in context.added)
                )
            ),
            at="allowPrivilegeEscalation",
        ),
    )

    @property
    def added(self) -> list[str]:
        """The capabilities that it adds."""
        return (self.capabilities.add if self.capabilities is not None else None) or []


class Sysctl(base.Model):
    """A parameter of the kernel."""

    name: Annotated[str, base.text(253)]
    value: _Text


class PodSecurityContext(base.Model):
    """The security context of a pod."""

    app_armor_profile: AppArmor | None = None
    fs_group: _Identifier | None = None
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    run_as_group: _Identifier | None = None
    run_as_non_root: bool | None = None
    run_as_user: _Identifier | None = None
    se_linux_change_policy: Literal["MountOption", "Recursive"] | None = None
    se_linux_options: SeLinux | None = None
    seccomp_profile: Seccomp | None = None
    supplemental_groups: Annotated[list[_Identifier], _Many] | None = None
    supplemental_groups_policy: Literal["Merge", "Strict"] | None = None
    sysctls: (
        Annotated[list[Sysctl], _Many, base.distinct("name", "sysctls must have distinct names")]
        | None
    ) = None
    windows_options: Windows | None = None


class OwnSecurityContext(SecurityContext):
    """What an author merges over ours: where he says nothing there is no escalation."""

    # Not null by default, so a null that removes our key can be told from an omission.
    allow_privilege_escalation: bool | None = False


# What the lists of a pod hold, by field.
ITEMS: dict[str, type[base.Model]] = {
    "tolerations": Toleration,
    "topologySpreadConstraints": Spread,
}
