"""What the Run:ai model streamer reads from its environment, for weights in an object store.

Read in runai-model-streamer-s3 0.17.1 (files/files.py, credentials/credentials.py), and run with it
on a store (`python -m tests.engines.vllm.buckets`). vLLM fetches configuration and tokenizer with
boto3, and the weights with the streamer's own reader: both take these variables. boto3 asks again
where a store names another region than it was told; the reader ends.
"""

from function.api import claim, settings
from function.planning import identity, stores

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
# Keys that are handed out for a time have a third part.
OPTIONAL_KEYS = ("AWS_SESSION_TOKEN",)


def environment(spec: claim.Spec, site: settings.Settings) -> dict[str, str]:
    """Returns the variables that say where the store is; nothing for other sources."""
    if spec.model.source != "s3":
        return {}
    given, region = site.object_store, stores.region(site)
    variables = {
        # The policy closes the address of the node's credentials: asking there takes time.
        "AWS_EC2_METADATA_DISABLED": "true",
        # What is raised says "File access error" alone; the status and the object are in the log.
        "RUNAI_STREAMER_LOG_TO_STDERR": "1",
    }
    if region is not None:
        variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if given.endpoint is not None:
        variables["AWS_ENDPOINT_URL"] = given.endpoint
    if given.path_style:
        variables["RUNAI_STREAMER_S3_USE_VIRTUAL_ADDRESSING"] = "0"
    return variables


def credentials(spec: claim.Spec) -> dict[str, identity.Manifest]:
    """Returns the variables that hold the claim's own keys of the store."""
    secret = spec.model.credentials_secret_ref
    if secret is None:
        return {}
    required: dict[str, identity.Manifest] = {
        key: {"secretKeyRef": {"name": secret.name, "key": key}} for key in KEYS
    }
    optional: dict[str, identity.Manifest] = {
        key: {"secretKeyRef": {"name": secret.name, "key": key, "optional": True}}
        for key in OPTIONAL_KEYS
    }
    return required | optional
