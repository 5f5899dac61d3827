"""What Triton's Python backend loads from every version's folder; the model itself is `ai.triton.backend_model`."""

import sys

__all__ = ["TritonPythonModel"]

try:
    from ai.triton.backend_model import TritonPythonModel
except ImportError as error:
    raise ImportError(
        f"{error}: the Python that Triton runs models with ({sys.version.split()[0]}, {sys.prefix}) lacks Crossfade; "
        "install it there, or put the environment that has it first on PATH"
    ) from error
