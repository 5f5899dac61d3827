"""`python -m ai.yolo26.export_onnx --output yolo26.onnx`: dynamic batch, checked against torch."""

from ai.engines.onnx_export import run
from ai.yolo26.model import detector

if __name__ == "__main__":
    run(detector())
