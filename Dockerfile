# The mock in a container:
#
#   docker build -t athena-mock .
#   docker run --rm -p 127.0.0.1:8000:8000 athena-mock
#
# The server accepts requests only for loopback host names (localhost, 127.0.0.1, *.localhost) and returns 421 for all
# others, so that no web page can reach it by DNS rebinding. Admit other names, such as that of a Compose service:
#
#   docker run --rm -p 8000:8000 -e ATHENA_MOCK_ALLOWED_HOSTS=athena,mock.example.test athena-mock
#
# Settings are environment variables (ATHENA_MOCK_SEED, ATHENA_MOCK_DATASET ...) or arguments after the image name.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/athena
COPY locks/run.lock locks/run.lock
RUN /opt/athena/bin/pip install --no-cache-dir --no-deps --require-hashes -r locks/run.lock
COPY . .
RUN /opt/athena/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
COPY --from=build /opt/athena /opt/athena
RUN useradd --uid 10001 --create-home athena
USER 10001
WORKDIR /home/athena
ENV PATH=/opt/athena/bin:$PATH \
    PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=2s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/__mock/health', timeout=1)"]
ENTRYPOINT ["athena-mock", "--host", "0.0.0.0"]
