#!/usr/bin/env bash
# The figures of docs/performance.md that come from a GPU, measured again: an hour or so on an H200.
#   benchmarks/gpu.sh                                    every network
#   benchmarks/gpu.sh --networks yolo26m --name mine     further words go to `python -m benchmarks.gpu`
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m benchmarks.gpu "$@"
