# The mock server as an image, and the conformance suite (--target suite). Guide: docs/guides/containers.md
#
#   docker build -t athena-mock .
#   docker run --rm -p 127.0.0.1:8000:8000 athena-mock
#
#   docker build -t athena-conformance --target suite .
#   docker run --rm athena-conformance run --help
#
# Build arguments:
#
#   BASE   image with Python 3.11, 3.12 or 3.13. A tag can change; to pin the image, append the digest that
#          `docker buildx imagetools inspect python:3.12-slim` prints: --build-arg BASE=python:3.12-slim@sha256:...
#   EPOCH  end of the data and start of the clock of the mock, unless ATHENA_MOCK_EPOCH is set

ARG BASE=python:3.12-slim

# The mock: installed into /opt/athena, which has neither pip nor setuptools.
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY locks/run.lock locks/run.lock
RUN python -m venv --without-pip /opt/athena && \
    pip --python /opt/athena/bin/python install --no-deps --require-hashes --only-binary :all: -r locks/run.lock
COPY . .
RUN pip --python /opt/athena/bin/python wheel --no-deps --no-build-isolation --wheel-dir /dist . && \
    pip --python /opt/athena/bin/python install --no-deps /dist/*.whl && \
    pip --python /opt/athena/bin/python uninstall --yes setuptools

# The same wheel with the packages of the suite.
FROM ${BASE} AS build-suite
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY locks/conformance.lock locks/conformance.lock
RUN python -m venv --without-pip /opt/athena && \
    pip --python /opt/athena/bin/python install --no-deps --require-hashes --only-binary :all: -r locks/conformance.lock
COPY --from=build /dist /dist
RUN pip --python /opt/athena/bin/python install --no-deps /dist/*.whl && \
    pip --python /opt/athena/bin/python uninstall --yes setuptools

FROM ${BASE} AS runtime
RUN useradd --uid 10001 --create-home athena
ENV PATH=/opt/athena/bin:$PATH HOME=/home/athena PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /home/athena

FROM runtime AS suite
COPY --from=build-suite /opt/athena /opt/athena
USER 10001
RUN mkdir reports
ENTRYPOINT ["athena-conformance"]
CMD ["--help"]

FROM runtime AS mock
ARG EPOCH=2026-03-01T00:00:00Z
COPY --from=build /opt/athena /opt/athena
COPY scripts/container_health.py /opt/container_health.py
USER 10001
ENV ATHENA_MOCK_HOST=0.0.0.0 ATHENA_MOCK_PORT=8000 ATHENA_MOCK_EPOCH=${EPOCH}
RUN mkdir data && athena-mock build-image
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["python", "/opt/container_health.py"]
ENTRYPOINT ["athena-mock"]
