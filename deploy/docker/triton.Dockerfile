# NVIDIA's Triton with what our models import, for one engine: torch (GPU), openvino (CPU) or tensorrt (which the base
# has). Build it from the repository's root:
#   docker build -f deploy/docker/triton.Dockerfile --build-arg ENGINE=torch -t crossfade-triton:0.1.0-torch .
# 24.12 is Triton 2.53 on Ubuntu 24.04 with Python 3.12; older than 24.11 has a Python that is too old for us.
# To hold the base to its bits, write its digest behind this tag: tritonserver:24.12-py3@sha256:…
ARG ENGINE=torch
FROM nvcr.io/nvidia/tritonserver:24.12-py3 AS with-tensorrt
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_BREAK_SYSTEM_PACKAGES=1
WORKDIR /opt/crossfade
COPY constraints.txt deploy/docker/triton-common.txt ./
# The stub that runs a model is linked with the system's Python and sees its packages, not those of an environment.
RUN python3 -m pip install -c constraints.txt -r triton-common.txt \
    && python3 -c "import pathlib, sysconfig; \
pathlib.Path(sysconfig.get_paths()['purelib'], 'crossfade.pth').write_text('/opt/crossfade/code\n')"

FROM with-tensorrt AS with-openvino
COPY deploy/docker/triton-openvino.txt /opt/crossfade/
RUN python3 -m pip install -c /opt/crossfade/constraints.txt -r /opt/crossfade/triton-openvino.txt

FROM with-tensorrt AS with-torch
COPY deploy/docker/triton-torch.txt /opt/crossfade/
RUN python3 -m pip install -c /opt/crossfade/constraints.txt -r /opt/crossfade/triton-torch.txt

# hadolint ignore=DL3006
FROM with-${ENGINE}
COPY --chmod=755 ai /opt/crossfade/code/ai
RUN python3 -m compileall -q /opt/crossfade/code
COPY --chmod=755 deploy/docker/triton.sh deploy/docker/inference.py /opt/crossfade/
ENV HOME=/tmp USER=crossfade YOLO_CONFIG_DIR=/tmp PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1
USER 10001:10001
EXPOSE 8000 8001 8002
ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh", "/opt/crossfade/triton.sh"]
