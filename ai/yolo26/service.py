"""The legacy service: `python -m ai.yolo26.service` (port 8095)."""

from ai.serving.run import serve
from ai.yolo26.model import detector

if __name__ == "__main__":
    serve(detector())
