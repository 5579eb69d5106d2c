"""What each environment variable of the engine's container can do, in the hands of an author.

An allow list: the variables that stand for flags (`flags`), and what candle, MKL, Rayon, CUDA and
the loader read. A name that is not listed needs a permission.
"""

import re

from function.api import claim_pod
from function.engines import judgements
from function.engines.tei import flags

Kind = judgements.Kind

_LOADER = "makes the loader run what it names"
_READS = "names a file or directory that is read or written"
_HOSTS = "says which hosts are asked"
_UNKNOWN = "is a variable that nobody has judged"
_PRINTED = (
    "is printed by the engine when it starts: anyone who reads the log would read the Secret; write"
    " a value, or take it from a ConfigMap"
)

# Numbers and switches. `TASK` chooses what `POST /` answers (router/src/http/server.rs).
_PLAIN = """
    CUDA_VISIBLE_DEVICES KMP_AFFINITY KMP_BLOCKTIME LOG_LEVEL MKL_DYNAMIC
    MKL_ENABLE_INSTRUCTIONS MKL_NUM_THREADS NO_COLOR OMP_NUM_THREADS OMP_PROC_BIND
    RAYON_NUM_THREADS RUST_BACKTRACE TASK TOKENIZERS_PARALLELISM USER USE_FLASH_ATTENTION
    CPU_LIMIT MEMORY_LIMIT NAMESPACE NODE_NAME POD_IP POD_NAME POD_NAMESPACE POD_UID
    """
_PLAIN_NAMES = frozenset(_PLAIN.split())
_FILES = frozenset(("HF_HOME", "HOME", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "XDG_CACHE_HOME"))
_CONNECTS = re.compile(r"(OTEL_.*|HF_ENDPOINT|HF_HUB_.*|(?i:(http|https|all|no)_proxy))")
_CODE = re.compile(
    r"(LD_.*|PATH|ENV|BASH_ENV|BASH_FUNC.*|SHELL|GCONV_PATH|OPENSSL_.*|NVIDIA_.*"
    r"|CUDA_(INJECTION.*|CACHE_PATH)|.*_(SO|LIB|LIBRARY|PLUGIN)(_PATH)?)"
)


def danger(variable: claim_pod.EnvVar) -> judgements.Danger | None:
    """Returns what a variable could do beyond plain tuning, or None."""
    name = variable.name
    flag = flags.BY_VARIABLE.get(name)
    if flag is not None:
        # A value from elsewhere is not known here.
        value, plain = variable.value, flag.plain
        harmless = value is not None and plain is not None and plain(value)
        if flag.kind is Kind.PLAIN or harmless:
            return None
        why = f"is set by the composition: {flag.why}" if flag.kind is Kind.MANAGED else flag.why
        return judgements.Danger(flag.kind, why)
    if name in _PLAIN_NAMES:
        return None
    if name in _FILES:
        return judgements.Danger(Kind.FILES, _READS)
    if _CODE.fullmatch(name):
        return judgements.Danger(Kind.CODE, _LOADER)
    if _CONNECTS.fullmatch(name):
        return judgements.Danger(Kind.CONNECTS, _HOSTS)
    return judgements.Danger(Kind.UNKNOWN, _UNKNOWN)


def prints(variable: claim_pod.EnvVar) -> str | None:
    """Returns why the engine shows a variable's Secret: those that stand for flags."""
    return _PRINTED if variable.name in flags.BY_VARIABLE else None
