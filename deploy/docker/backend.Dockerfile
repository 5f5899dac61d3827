# The backend and the `crossfade` command, without torch. Build it from the repository's root:
#   docker build -f deploy/docker/backend.Dockerfile -t crossfade-backend:0.1.0 .
# To hold the base to its bits, write its digest behind this tag: python:3.11.13-slim-bookworm@sha256:…
FROM python:3.11.13-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Installed anew only when the project asks for something else, not when its code changes.
FROM base AS dependencies
ARG EXTRAS="fleet tracing"
WORKDIR /build
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt deploy/docker/requirements.py ./
# hadolint ignore=SC2086
RUN python requirements.py ${EXTRAS} > requirements.txt \
    && /opt/venv/bin/python -m pip install -c constraints.txt -r requirements.txt

FROM base AS wheel
WORKDIR /build
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY ai ai
COPY backend backend
RUN pip wheel --no-deps --wheel-dir /wheel .

FROM base
COPY --from=dependencies /opt/venv /opt/venv
# OpenBLAS would start a thread for each processor of the host, in each of its copies (numpy's and scipy's) and processes.
ENV PATH=/opt/venv/bin:$PATH OPENBLAS_NUM_THREADS=1
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    python -m pip install --no-deps /wheel/*.whl
# By its own mode, for whoever runs it: a checkout under umask 077 is readable by nobody else.
COPY --chmod=755 deploy/docker/inference.py /opt/crossfade/
WORKDIR /srv/switch
USER 10001:10001
EXPOSE 8080
CMD ["python", "-m", "backend.serve"]
