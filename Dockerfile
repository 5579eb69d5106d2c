# Two images from one file: `function` (the default target) and `preload` (--target preload).
# Both hold an interpreter, the shared libraries that it loads and one application, and nothing
# else: no shell, no package manager, nothing writable.

FROM debian:13-slim AS python
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /pip
# The system as the final images see it. Left out of the standard library: what needs a terminal, a
# display or a database, and what installs or tests. ldd names the libraries; dpkg's records of
# the packages they come from stay, so that scanners see what is in the image. libgcc_s is loaded by
# name when a thread ends; the other three are what wheels for older C libraries still name.
RUN set -eu; \
    root=/rootfs; \
    version="$(python3 -c 'import sysconfig; print(sysconfig.get_python_version())')"; \
    library="/usr/lib/python$version"; \
    mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/etc/ssl/certs" "$root/var/lib/dpkg/status.d" "$root/app"; \
    mkdir -m 1777 "$root/tmp"; \
    for name in bin lib lib64; do [ ! -e "/$name" ] || ln -s "usr/$name" "$root/$name"; done; \
    cp "/usr/bin/python$version" "$root/usr/bin/"; \
    ln -s "python$version" "$root/usr/bin/python3"; \
    cp -r "$library" "$root$library"; \
    cd "$root$library"; \
    rm -rf config-* ensurepip idlelib lib2to3 pydoc_data sqlite3 test tkinter turtle* curses \
        EXTERNALLY-MANAGED LICENSE.txt; \
    rm -f lib-dynload/_curses* lib-dynload/_dbm* lib-dynload/_gdbm* lib-dynload/_sqlite3* \
        lib-dynload/_test* lib-dynload/_tkinter* lib-dynload/_xx* lib-dynload/readline* \
        lib-dynload/xx*; \
    find . -name __pycache__ -prune -exec rm -rf {} +; \
    libraries="$(ldd "/usr/bin/python$version" lib-dynload/*.so | grep -o '/[^ ]*' | grep -v ':$' | sort -u) \
        $(ldconfig -p | grep -oE '/.*/lib(dl|gcc_s|pthread|rt)\.so\.[0-9]$')"; \
    for path in $libraries; do \
        directory="$(realpath "$(dirname "$path")")"; \
        mkdir -p "$root$directory"; \
        cp -L "$path" "$root$directory/"; \
        dpkg -S "$(realpath "$path")" >> /owners; \
    done; \
    cut -d: -f1 /owners | sort -u > /packages; \
    printf '%s\n' ca-certificates "python$version-minimal" "libpython$version-minimal" \
        "libpython$version-stdlib" base-files >> /packages; \
    while read -r package; do \
        dpkg -s "$package" > "$root/var/lib/dpkg/status.d/$package"; \
    done < /packages; \
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; \
    cp -L /etc/os-release "$root/etc/os-release"; \
    printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"; \
    printf '%s\n' root:x:0:0:root:/:/nologin function:x:2000:2000::/tmp:/nologin \
        preload:x:1001:1001::/tmp:/nologin > "$root/etc/passwd"; \
    printf '%s\n' root:x:0: function:x:2000: preload:x:1001: > "$root/etc/group"

FROM python AS preload-build
ARG SOURCE_DATE_EPOCH=1767225600
COPY requirements/preload.txt /requirements.txt
RUN /pip/bin/pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
        --only-binary :all: --require-hashes --target /rootfs/app --requirement /requirements.txt \
 && rm -rf /rootfs/app/bin
COPY preload /rootfs/app/preload
RUN python3 -m compileall -q --invalidation-mode unchecked-hash -s /rootfs -p / /rootfs/usr/lib /rootfs/app \
 && PYTHONPATH=/app chroot /rootfs /usr/bin/python3 -c 'import preload.program, ssl' \
 && find /rootfs -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +

FROM scratch AS preload
LABEL org.opencontainers.image.title="preload" \
      org.opencontainers.image.description="Downloads and verifies model weights for InferenceServices" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=preload-build /rootfs/ /
ENV HOME=/tmp \
    PATH=/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 1001:1001
ENTRYPOINT ["/usr/bin/python3", "-P", "-m", "preload"]

FROM python AS function-build
ARG SOURCE_DATE_EPOCH=1767225600
COPY requirements/runtime.txt /requirements.txt
RUN /pip/bin/pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
        --only-binary :all: --require-hashes --target /rootfs/app --requirement /requirements.txt \
 && rm -rf /rootfs/app/bin
# grpcio's extension is C++.
RUN set -eu; \
    path="$(ldconfig -p | grep -o '/.*/libstdc++\.so\.6$')"; \
    cp -L "$path" "/rootfs$(realpath "$(dirname "$path")")/"; \
    dpkg -s libstdc++6 > /rootfs/var/lib/dpkg/status.d/libstdc++6
COPY function /rootfs/app/function
RUN printf '%s\n' '#!/usr/bin/python3 -P' 'import sys' 'from function.main import main' 'sys.exit(main())' \
        > /rootfs/usr/bin/function \
 && chmod 0755 /rootfs/usr/bin/function \
 && python3 -m compileall -q --invalidation-mode unchecked-hash -s /rootfs -p / /rootfs/usr/lib /rootfs/app \
 && PYTHONPATH=/app chroot /rootfs /usr/bin/python3 -c 'import crossplane.function.runtime, function' \
 && find /rootfs -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +

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
