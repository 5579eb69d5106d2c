"""Parts of pods that an author writes as Kubernetes has them: types and values that its API takes.

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


class Toleration(base.Model):
    """A taint that a pod tolerates."""

    key: Annotated[str, base.text(317, r"^$|" + base.LABEL_KEY, 0)] | None = None
    operator: Annotated[str, base.text(6, r"^(Exists|Equal)?$", 0)] | None = None
    value: base.LabelValue | None = None
    effect: (
        Annotated[str, base.text(16, r"^(NoSchedule|PreferNoSchedule|NoExecute)?$", 0)] | None
    ) = None
    toleration_seconds: int | None = None

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
    )


_Text = Annotated[str, base.text(1024, None, 0)]
_Identifier = Annotated[int, base.number(0, 2**31 - 1)]


class Capabilities(base.Model):
    """POSIX capabilities."""

    add: Annotated[list[_Text], _Many] | None = None
    drop: Annotated[list[_Text], _Many] | None = None


class Profile(base.Model):
    """A profile of seccomp or AppArmor."""

    type: Literal["RuntimeDefault", "Localhost", "Unconfined"] | None = None
    localhost_profile: _Text | None = None


class SeLinux(base.Model):
    """SELinux labels."""

    user: _Text | None = None
    role: _Text | None = None
    type: _Text | None = None
    level: _Text | None = None


class Windows(base.Model):
    """Options of Windows nodes."""

    gmsa_credential_spec: Annotated[str, base.text(65536, None, 0)] | None = None
    gmsa_credential_spec_name: _Text | None = None
    host_process: bool | None = None
    run_as_user_name: _Text | None = None


class SecurityContext(base.Model):
    """The security context of a container; a null in it removes a key of ours."""

    allow_privilege_escalation: bool | None = None
    app_armor_profile: Profile | None = None
    capabilities: Capabilities | None = None
    privileged: bool | None = None
    proc_mount: Literal["Default", "Unmasked"] | None = None
    read_only_root_filesystem: bool | None = None
    run_as_group: _Identifier | None = None
    run_as_non_root: bool | None = None
    run_as_user: _Identifier | None = None
    se_linux_options: SeLinux | None = None
    seccomp_profile: Profile | None = None
    windows_options: Windows | None = None


# What the lists of a pod hold, by field.
ITEMS: dict[str, type[base.Model]] = {
    "tolerations": Toleration,
    "topologySpreadConstraints": Spread,
}
