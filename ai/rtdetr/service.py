"""The legacy service: `python -m ai.rtdetr.service` (port 8090)."""

from ai.rtdetr.model import detector
from ai.serving.run import serve

if __name__ == "__main__":
    serve(detector())
