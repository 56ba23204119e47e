# One image for every station; the command chooses which.
ARG PYTHON=3.13.14-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/revocation
COPY pyproject.toml README.md ./
COPY revocation ./revocation
# Every dependency has a wheel: a compiler in the image would only be used by intruders.
RUN /opt/revocation/bin/pip install --only-binary=:all: hatchling \
    && /opt/revocation/bin/pip install --no-build-isolation --only-binary=:all: \
        ".[authority,sidecar]" \
    && /opt/revocation/bin/pip uninstall --yes hatchling pip

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
