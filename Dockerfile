# Two images from one file: `function` (the default target) and `preload` (--target preload).
# Both hold an interpreter, the shared libraries that it loads and one application, and nothing
# else: no shell, no package manager, nothing writable.

# debian:trixie-20260824-slim, by the digest of its index. Raise it together with SNAPSHOT.
ARG BASE=docker.io/library/debian:13-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132

# Built on the builder's own platform, where no program of the target's is run: each architecture can
# be built anywhere, without emulation. BuildKit sets the arguments; others may have to be told.
FROM --platform=$BUILDPLATFORM ${BASE} AS python
ARG TARGETARCH
# The state of Debian's archive that packages come from; empty for the base's own sources.
ARG SNAPSHOT=20260906T000000Z
RUN set -eu; \
    [ -n "$SNAPSHOT" ] || exit 0; \
    sources=/etc/apt/sources.list.d/debian.sources; \
    sed -i "s|http://deb.debian.org/\(debian[a-z-]*\)|http://snapshot.debian.org/archive/\1/$SNAPSHOT|" "$sources"; \
    if grep '^URIs:' "$sources" | grep --invert-match "snapshot.debian.org.*/$SNAPSHOT"; then exit 1; fi; \
    printf '%s\n' 'Acquire::Check-Valid-Until "false";' 'Acquire::Retries "5";' > /etc/apt/apt.conf.d/snapshot
# The builder's Python, which installs wheels and compiles bytecode, and Debian's packages for the
# target, unpacked. Both are of one Debian release, so that the bytecode fits the interpreter.
RUN set -eu; \
    dpkg --add-architecture "$TARGETARCH"; \
    apt-get update; \
    apt-get install --yes --no-install-recommends binutils python3 python3-venv; \
    python3 -m venv /pip; \
    version="$(python3 -c 'import sysconfig; print(sysconfig.get_python_version())')"; \
    for package in base-files libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 libssl3t64 \
        libstdc++6 libuuid1 libzstd1 zlib1g "python$version-minimal" "libpython$version-minimal" \
        "libpython$version-stdlib"; do \
        set -- "$@" "$package:$TARGETARCH"; \
    done; \
    mkdir /debs /target; \
    cd /debs; \
    apt-get download --option APT::Sandbox::User=root ca-certificates "$@"; \
    rm -rf /var/lib/apt/lists/*; \
    for package in *.deb; do dpkg-deb --extract "$package" /target; done; \
    printf '%s\n' '#!/bin/sh' '# The libraries that programs and libraries name.' \
        "readelf --dynamic \"\$@\" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u" \
        > /usr/local/bin/needed; \
    printf '%s\n' '#!/bin/sh' '# Wheels for the target, by hash, without running what is in them.' \
        'case "$TARGETARCH" in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac' \
        'for policy in manylinux_2_28 manylinux_2_17 manylinux2014; do' \
        '    set -- "$@" --platform="${policy}_$machine"' \
        'done' \
        'exec /pip/bin/pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps \' \
        '    --only-binary=:all: --require-hashes --target=/rootfs/app "$@"' \
        > /usr/local/bin/install-wheels; \
    chmod 0755 /usr/local/bin/*
# The system as the final images see it. Left out of the standard library: what needs a terminal, a
# display or a database, and what installs or tests. dpkg's records of the packages stay, so that
# scanners see what is in the image. libgcc_s is loaded by name when a thread ends; the three after it
# are what wheels for older C libraries still name.
RUN set -eu; \
    root=/rootfs; \
    version="$(python3 -c 'import sysconfig; print(sysconfig.get_python_version())')"; \
    library="/usr/lib/python$version"; \
    libraries="$(cd /target && echo usr/lib/*-linux-gnu)"; \
    mkdir -p "$root/usr/bin" "$root/$libraries" "$root/etc/ssl/certs" "$root/var/lib/dpkg/status.d" "$root/app"; \
    mkdir -m 1777 "$root/tmp"; \
    for name in bin lib; do ln -s "usr/$name" "$root/$name"; done; \
    [ ! -d /target/usr/lib64 ] || ln -s usr/lib64 "$root/lib64"; \
    cp "/target/usr/bin/python$version" "$root/usr/bin/"; \
    ln -s "python$version" "$root/usr/bin/python3"; \
    cp -r "/target$library" "$root$library"; \
    cd "$root$library"; \
    rm -rf config-* ensurepip idlelib lib2to3 pydoc_data sqlite3 test tkinter turtle* curses \
        EXTERNALLY-MANAGED LICENSE.txt sitecustomize.py; \
    rm -f lib-dynload/_ctypes_test* lib-dynload/_curses* lib-dynload/_dbm* lib-dynload/_gdbm* \
        lib-dynload/_sqlite3* lib-dynload/_test* lib-dynload/_tkinter* lib-dynload/_xx* \
        lib-dynload/readline* lib-dynload/xx*; \
    find . -name __pycache__ -prune -exec rm -rf {} +; \
    for name in libgcc_s.so.1 libdl.so.2 libpthread.so.0 librt.so.1; do \
        cp -L "/target/$libraries/$name" "$root/$libraries/"; \
    done; \
    copied=true; \
    while $copied; do \
        copied=false; \
        for name in $(needed "$root/usr/bin/python$version" lib-dynload/*.so "$root/$libraries"/*); do \
            [ ! -e "$root/$libraries/$name" ] || continue; \
            cp -L "/target/$libraries/$name" "$root/$libraries/"; \
            copied=true; \
        done; \
    done; \
    cd /target; \
    find usr -maxdepth 2 -name 'ld-linux*' -type l -exec cp -P --parents {} "$root" ';'; \
    for package in /debs/*.deb; do \
        dpkg-deb --field "$package" > "$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"; \
    done; \
    rm "$root/var/lib/dpkg/status.d/libstdc++6"; \
    LC_ALL=C; \
    sed -s '$a\' usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"; \
    cp -L etc/os-release "$root/etc/os-release"; \
    printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"; \
    printf '%s\n' root:x:0:0:root:/:/nologin function:x:2000:2000::/tmp:/nologin \
        preload:x:1001:1001::/tmp:/nologin > "$root/etc/passwd"; \
    printf '%s\n' root:x:0: function:x:2000: preload:x:1001: > "$root/etc/group"; \
    printf '%s\n' '#!/bin/sh' '# Compile, check and date what is in the image; $1 is imported where it can run.' \
        '# Modes are set, because those of a checkout follow its umask.' \
        'set -eu' \
        'chmod -R u=rwX,go=rX /rootfs/app' \
        'python3 -m compileall -q --invalidation-mode unchecked-hash -s /rootfs -p / /rootfs/usr/lib /rootfs/app' \
        'for name in $(find /rootfs/app /rootfs/usr -name "*.so*" -type f -exec needed {} +); do' \
        "    [ -e \"/rootfs/$libraries/\$name\" ] || { echo \"\$name is missing\"; exit 1; }" \
        'done' \
        '[ "$TARGETARCH" != "$(dpkg --print-architecture)" ] ||' \
        '    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app chroot /rootfs /usr/bin/python3 -c "import $1"' \
        'find /rootfs -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +' \
        > /usr/local/bin/finish; \
    chmod 0755 /usr/local/bin/finish

FROM python AS preload-build
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
COPY requirements/preload.txt /requirements.txt
RUN install-wheels --requirement=/requirements.txt && rm -rf /rootfs/app/bin
COPY preload /rootfs/app/preload
COPY exporter /rootfs/app/exporter
COPY judge /rootfs/app/judge
# Isolated: no variable and no working directory, which may be a volume, adds to what is imported, and
# what is beside the program comes after the standard library.
RUN printf '%s\n' '#!/usr/bin/python3 -IBu' 'import sys' 'sys.path.append("/app")' \
        'from preload.__main__ import main' 'sys.exit(main())' > /rootfs/usr/bin/preload \
 && printf '%s\n' '#!/usr/bin/python3 -IBu' 'import sys' 'sys.path.append("/app")' \
        'from exporter.program import main' 'sys.exit(main())' > /rootfs/usr/bin/export-evals \
 && printf '%s\n' '#!/usr/bin/python3 -IBu' 'import sys' 'sys.path.append("/app")' \
        'from judge.program import main' 'sys.exit(main())' > /rootfs/usr/bin/judge-canary \
 && chmod 0755 /rootfs/usr/bin/preload /rootfs/usr/bin/export-evals /rootfs/usr/bin/judge-canary \
 && finish 'preload.program, exporter.program, judge.program, ssl'

FROM scratch AS preload
LABEL org.opencontainers.image.title="preload" \
      org.opencontainers.image.description="Downloads and verifies model weights for InferenceServices" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=preload-build /rootfs/ /
ENV HOME=/tmp \
    PATH=/usr/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 1001:1001
ENTRYPOINT ["/usr/bin/preload"]

FROM python AS function-build
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=1767225600
COPY requirements/runtime.txt /requirements.txt
# grpcio's extension is C++.
RUN set -eu; \
    install-wheels --requirement=/requirements.txt; \
    rm -rf /rootfs/app/bin; \
    cp -L /target/usr/lib/*-linux-gnu/libstdc++.so.6 /rootfs/usr/lib/*-linux-gnu/; \
    dpkg-deb --field /debs/libstdc++6_*.deb > /rootfs/var/lib/dpkg/status.d/libstdc++6
COPY function /rootfs/app/function
RUN printf '%s\n' '#!/usr/bin/python3 -P' 'import sys' 'from function.main import main' 'sys.exit(main())' \
        > /rootfs/usr/bin/function \
 && chmod 0755 /rootfs/usr/bin/function \
 && finish 'crossplane.function.runtime, function.main'

FROM scratch AS function
LABEL org.opencontainers.image.title="function-inference-service" \
      org.opencontainers.image.description="A Crossplane composition function that serves open-weight LLMs from one short claim" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=function-build /rootfs/ /
# One malloc arena: the server answers on one thread, and each further arena is a megabyte.
ENV MALLOC_ARENA_MAX=1 \
    PATH=/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 2000:2000
EXPOSE 9443 8080
ENTRYPOINT ["function"]
