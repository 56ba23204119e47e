# One image for every station; the command chooses which.
ARG PYTHON=3.13.14-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
WORKDIR /src
RUN pip install uv==0.13.9 && python -m venv --without-pip /opt/revocation
COPY pyproject.toml README.md requirements.lock ./
COPY revocation ./revocation
# The versions and hashes of the lock. Every dependency has a wheel: a compiler in the
# image would only be of use to intruders.
RUN uv pip install --python=/opt/revocation/bin/python --compile-bytecode \
        --only-binary=:all: --no-binary=revocation \
        --constraints=requirements.lock ".[authority,grpc,sidecar]"

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="revocation" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number above those that hosts give to people, so that it is nobody there.
RUN groupadd --system --gid 10001 revocation \
    && useradd --system --uid 10001 --gid 10001 --no-create-home \
        --home-dir /var/lib/revocation --shell /usr/sbin/nologin revocation \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/revocation
COPY --from=build /opt/revocation /opt/revocation
ENV PATH=/opt/revocation/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/revocation
USER 10001:10001
ENTRYPOINT ["revocation"]
CMD ["--help"]
