"""A detector family in torch: what it is, what its variables are called, and how its network comes to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ai.core.labels import canonical
from ai.core.spec import DetectorSpec
from ai.engines import weights as weights_files
from ai.engines.torch_engine import TorchEngine


@dataclass(frozen=True, slots=True)
class TorchDetector:
    """Two detectors differ in these values, and in nothing else."""

    head: DetectorSpec  # the network itself, as its detector.toml describes it
    prefix: str  # of its environment variables
    port: int  # of its legacy service
    demo_weights: Path
    build_demo: Callable[[], nn.Module]  # the untrained network that the demo weights belong to
    open_checkpoint: Callable[[str], nn.Module]  # a file, or a name that ultralytics knows

    @property
    def spec(self) -> DetectorSpec:
        """The network inside our module: bytes in, rows in input pixels out."""
        return self.head.exported()

    def find_weights(self, weights: str) -> str:
        """`demo`, a path or a name; WeightsNotFound names the variable, its value and what is allowed."""
        return weights_files.source(weights, f"{self.prefix}WEIGHTS")

    def load_module(self, weights: str = weights_files.DEMO) -> nn.Module:
        """The bare network in inference form."""
        found = self.find_weights(weights)
        if found == weights_files.DEMO:
            network: Any = weights_files.load_state(self.build_demo(), self.demo_weights)
        else:
            network = self._open(found)
            self._require_same_classes(network, found)
        fused: nn.Module = network.float().eval().fuse(verbose=False)
        return fused

    def _open(self, weights: str) -> nn.Module:
        try:
            return self.open_checkpoint(weights)
        except weights_files.WrongWeights:
            raise
        except Exception as error:  # what ultralytics raises for a bad file or name is documented nowhere
            raise weights_files.WrongWeights(
                f"{self.prefix}WEIGHTS={weights!r} cannot be loaded: {type(error).__name__}: {error}"
            ) from error

    def _require_same_classes(self, network: Any, weights: str) -> None:
        """A model of other classes would call its first one a person."""
        names = tuple(canonical(name) for name in network.names.values())
        if names != tuple(canonical(name) for name in self.spec.labels):
            raise weights_files.WrongWeights(
                f"{self.prefix}WEIGHTS={weights!r} knows {len(names)} classes beginning with {names[:3]}; "
                f"{self.spec.name} has the {len(self.spec.labels)} of its spec, beginning with {self.spec.labels[:3]}"
            )

    def load(self, weights: str = weights_files.DEMO, device: str = "auto") -> TorchEngine:
        return TorchEngine(self.load_module(weights), self.head, device)
