"""`python -m ai.rtdetr.export_onnx --output rtdetr.onnx`: dynamic batch, checked against torch."""

from ai.engines.onnx_export import run
from ai.rtdetr.model import detector

if __name__ == "__main__":
    run(detector())
