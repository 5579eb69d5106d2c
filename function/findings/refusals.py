"""What stops a claim before it is planned, and what of it is not as its author wrote it."""

from function.findings import rules

_ERROR, _WARNING, _NOTE = rules.Severity

FILE_UNREADABLE = rules.Rule(
    "file-unreadable",
    _ERROR,
    "A file cannot be read, is no YAML, or holds something else than Kubernetes objects.",
    "Nobody knows what it asks for: Kubernetes would refuse it too.",
    "Correct the place that the message names.",
)
SETTINGS_INVALID = rules.Rule(
    "settings-invalid",
    _ERROR,
    "The EnvironmentConfigs or the Composition's input break their schema.",
    "No claim is rendered with them: every claim says `Valid=False/SettingsInvalid`.",
    "Correct the field that the message names.",
)
KIND_MISSPELT = rules.Rule(
    "kind-misspelt",
    _ERROR,
    "An object is meant as a claim, and its `kind` or `apiVersion` is none that there is.",
    "The API server knows no such kind.",
    "Write `kind` and `apiVersion` as the message names them.",
)
CLAIM_DUPLICATE = rules.Rule(
    "claim-duplicate",
    _ERROR,
    "Two claims have one name in one namespace.",
    "The claim that is applied last replaces the other.",
    "Rename one of the claims, or take one away.",
)
CLAIM_INVALID = rules.Rule(
    "claim-invalid",
    _ERROR,
    "A claim breaks its schema or one of its rules: an unknown field, a value out of its bounds,"
    " fields that exclude each other.",
    "The API server refuses it. One that is stored is not rendered (`Valid=False/Invalid`).",
    "Correct the field that the message names; `inference-service explain FIELD` has its limits.",
)
SETTINGS_FORBID = rules.Rule(
    "settings-forbid",
    _ERROR,
    "A claim asks for what the site does not have, or does not allow in its namespace.",
    "It is not rendered (`Valid=False/Invalid`), and what runs keeps running.",
    "Take the field away, or ask the platform for the grant that the message names.",
)
OTHERWISE_THAN_WRITTEN = rules.Rule(
    "otherwise-than-written",
    _WARNING,
    "A value of the claim is not what its author wrote: it would not work here.",
    "The claim is rendered with the other value.",
    "Write the value that the message names, or change what stands in its way.",
)
NOT_PROVIDED = rules.Rule(
    "not-provided",
    _WARNING,
    "The claim asks for something for which the settings name no provider.",
    "The rest of the claim is rendered without it.",
    "Take the field away, or ask the platform for the provider.",
)
FALLBACK_SILENT = rules.Rule(
    "fallback-silent",
    _WARNING,
    "A claim or a provider of `gateway.fallback` cannot answer, as the files and the settings have"
    " it. One that no file has is not judged.",
    "The claim is rendered without it (`RouteReady=False/FallbackAbsent`).",
    "Mend what the message names, name another one, or take the field away.",
)
REPOSITORY_ADDRESS = rules.Rule(
    "repository-is-address",
    _WARNING,
    "A repository begins with the name of the hub's host.",
    "The hub is asked for an organisation of that name, and has none.",
    "Write the repository as the message names it.",
)
RULES = (
    FILE_UNREADABLE,
    SETTINGS_INVALID,
    KIND_MISSPELT,
    CLAIM_DUPLICATE,
    CLAIM_INVALID,
    SETTINGS_FORBID,
    OTHERWISE_THAN_WRITTEN,
    NOT_PROVIDED,
    FALLBACK_SILENT,
    REPOSITORY_ADDRESS,
)
