# The worker's image; docs/image.md says what is in it and how it is run.
#
#   make image                                        # or:
#   docker build --tag classify-worker .
#
# Port 8080 has /livez, /readyz and /metrics. /var/cache/classify-worker holds models and
# measurements, /tmp what lasts as long as a process; nothing else is written.

# The Python with which all tests run. Pin it by digest with --build-arg BASE=python@sha256:...
# checkov:skip=CKV_DOCKER_7: the tag is in this argument, which checkov does not follow into FROM
ARG BASE=python:3.11-slim-bookworm
# cpu or gpu. The gpu flavour is NOT built by this project's tests: see the stage packages-gpu.
ARG DEVICE=cpu


FROM ${BASE} AS system
# libgomp1: what Paddle's and OpenCV's wheels expect of a system. tini: the kernel drops signals for
# process 1 that have no handler, and so the timer that ends a worker which overran its deadline.
# Without versions (DL3008): Debian's mirrors keep one, so a pin breaks with the next security fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin


FROM system AS packages-cpu
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /build
# Two secrets, both optional: pip's configuration (an index or proxy of your own) and authorities.
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ONLY_BINARY=:all:
RUN if [ "$(uname -m)" != x86_64 ]; then \
        echo "PaddlePaddle 3.3 has no wheel for Linux on $(uname -m): build for linux/amd64." >&2; \
        exit 1; \
    fi
# For `strip`: wheels bring debug symbols. Without a version (DL3008), as above.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/build.txt requirements/headless.txt requirements/
# pip and the build backend stay in an environment of their own, which is left behind.
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    python3 -m venv /opt/build \
    && python3 -m venv --without-pip /opt/classify-worker \
    && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
    && /opt/build/bin/pip --python /opt/classify-worker/bin/python install \
        --no-compile --require-hashes -r requirements/headless.txt


# Not built here: no current paddlepaddle-gpu is on PyPI. PADDLE_INDEX is the index of PaddlePaddle's
# own that serves the build for your CUDA; its packages bring CUDA, and the host the driver.
#   docker build --build-arg DEVICE=gpu --build-arg PADDLE_INDEX=ADDRESS --tag classify-worker:gpu .
#   docker run --gpus all --env WORKER_DEVICE=gpu:0 ... classify-worker:gpu
FROM packages-cpu AS packages-gpu
ARG PADDLE_INDEX
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    version=$(sed -n 's/^paddlepaddle==\([^ ]*\).*/\1/p' requirements/headless.txt) \
    && /opt/build/bin/pip --python /opt/classify-worker/bin/python uninstall --yes paddlepaddle \
    && /opt/build/bin/pip --python /opt/classify-worker/bin/python install \
        --no-compile --index-url "${PADDLE_INDEX:?the gpu flavour needs --build-arg PADDLE_INDEX}" \
        "paddlepaddle-gpu==$version"


# No image and so no tag (DL3006): a stage of this file.
# hadolint ignore=DL3006
FROM packages-${DEVICE} AS packages
WORKDIR /build
COPY scripts/compile_imports.py scripts/
# Left out are headers and stubs, which serve compilers and editors, debug symbols, packages' own tests,
# and the CPU plug-in of an OpenVINO inside Paddle, which the worker does not use (predictor.backend:
# openvino is a package of its own).
RUN find /opt/classify-worker/lib -type d -name tests -prune -exec rm -r {} + \
    && find /opt/classify-worker/lib -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.pyi' \
        -o -name '*.a' -o -name libopenvino_intel_cpu_plugin.so \) -delete \
    && find /opt/classify-worker/lib -type d -empty -delete \
    && find /opt/classify-worker/lib -name '*.so' -not -path '*/paddle/*' -not -path '*.libs/*' \
        -exec strip --strip-debug {} + \
    && /opt/classify-worker/bin/python -W ignore scripts/compile_imports.py


# The worker itself is a layer of its own: a new version of it moves a few megabytes, not a gigabyte.
FROM packages AS application
COPY pyproject.toml README.md LICENSE ./
COPY worker/ worker/
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/build/bin/pip --python /opt/classify-worker/bin/python install \
        --quiet --no-compile --no-deps --prefix /opt/application dist/*.whl \
    && /opt/classify-worker/bin/python -m compileall -q -s /opt/application -p /opt/classify-worker \
        /opt/application


FROM system
# Any user of group 0 can write the cache, as platforms want it that run images with uids of their own.
# The official Python image has pip, and no compiled standard library, which a read-only container would
# compile at each start of a process; Debian's Python is already as it is made here.
RUN install --directory --owner=10001 --group=0 --mode=2775 /var/cache/classify-worker \
    && rm -rf /usr/local/bin/pip* /usr/local/bin/wheel /usr/local/lib/python3.*/ensurepip \
    && for packages in /usr/local/lib/python3.*/site-packages; do \
        rm -rf "$packages"/pip "$packages"/pip-* "$packages"/wheel "$packages"/wheel-* \
            "$packages"/setuptools "$packages"/setuptools-* "$packages"/pkg_resources \
            "$packages"/_distutils_hack "$packages"/distutils-precedence.pth || exit 1; \
    done \
    && python3 -m compileall -q -x '/(ensurepip|idlelib|lib2to3|site-packages|test|tests)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=packages /opt/classify-worker /opt/classify-worker
COPY --from=application /opt/application /opt/classify-worker
ENV PATH=/opt/classify-worker/bin:$PATH \
    HOME=/tmp \
    CLASSIFY_WORKER_CACHE=/var/cache/classify-worker
USER 10001:0
VOLUME /var/cache/classify-worker
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 \
    CMD ["classify-worker", "health"]
# umask: workers with different uids that share a cache replace each other's files.
ENTRYPOINT ["tini", "--", "sh", "-c", "umask 0002 && exec classify-worker \"$@\"", "classify-worker"]
CMD ["run"]
ARG VERSION=0.1.0
ARG REVISION
ARG CREATED
ARG BASE
LABEL org.opencontainers.image.title="classify-worker" \
    org.opencontainers.image.description="Classifies images from a Kafka topic with a PaddlePaddle model and publishes the results." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}" \
    org.opencontainers.image.base.name="${BASE}"
