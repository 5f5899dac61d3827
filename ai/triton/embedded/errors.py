"""What can be wrong with a Triton that we run ourselves.

CrossfadeError
├── CannotStart         it cannot be started: the sentence says what is missing
│   └── PortTaken           something else listens where it was to listen
├── ModelFails          a model does not load or does not answer, with Triton's own reason
└── ServerGone          the server went away, or does not answer at all
"""

from ai.core.errors import CrossfadeError


class CannotStart(CrossfadeError):
    pass


class PortTaken(CannotStart):
    pass


class ModelFails(CrossfadeError):
    pass


class LoadsTooLong(ModelFails):
    pass


class ServerGone(CrossfadeError):
    pass


class NeedsRestart(CrossfadeError):
    pass
