"""The legacy service: `python -m ai.rtdetr.service` (port 8090)."""

from ai.rtdetr import model
from ai.serving.run import serve

if __name__ == "__main__":
    serve(model)
