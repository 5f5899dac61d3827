# Both legacy services, and what builds Triton's model repository: torch, in one image that is started with one command
# or another. Build it from the repository's root:
#   docker build -f deploy/docker/legacy.Dockerfile -t crossfade-legacy:0.1.0 .
# For a machine without a GPU --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu saves gigabytes.
# To hold the base to its bits, write its digest behind this tag: python:3.11.13-slim-bookworm@sha256:…
FROM python:3.11.13-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# torch first and alone: it is most of the image, and changes least.
FROM base AS dependencies
ARG TORCH_INDEX=https://pypi.org/simple
ARG EXTRAS="ai tracing"
WORKDIR /build
RUN python -m venv /opt/venv
COPY constraints.txt ./
RUN grep -E '^(torch|torchvision)==' constraints.txt > torch.txt \
    && /opt/venv/bin/python -m pip install -c constraints.txt --index-url "${TORCH_INDEX}" -r torch.txt
COPY pyproject.toml deploy/docker/requirements.py ./
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
# A user without a name or a home: torch and ultralytics ask for both.
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp USER=crossfade YOLO_CONFIG_DIR=/tmp
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    python -m pip install --no-deps /wheel/*.whl
COPY --chmod=755 deploy/docker/inference.py /opt/crossfade/
WORKDIR /srv/crossfade
USER 10001:10001
EXPOSE 8090 8095
CMD ["python", "-m", "ai.rtdetr.service"]
