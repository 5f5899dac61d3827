"""Brings models up: each is loaded and answers a real inference. A version that does not makes way for an older one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ai.triton.embedded.admin import Admin, ModelState, State
from ai.triton.embedded.errors import CannotStart, LoadsTooLong, ModelFails
from ai.triton.embedded.server_log import ServerLog
from ai.triton.stored import versions

_RETRY_S = 0.2
_NOT_READ = "failed to poll"  # from the repository: Triton's words
_LOG_LATE_S = 1.0
_PYTHON = re.compile(r'^\s*backend\s*:\s*"python"', re.MULTILINE)


def model_names(repository: Path) -> list[str]:
    """The folders that mean to be models; CannotStart when there are none."""
    if not repository.is_dir():
        raise CannotStart(f"there is no model repository {repository}; `crossfade models build` makes one")
    names = sorted(path.name for path in repository.iterdir() if _is_model(path))
    if not names:
        raise CannotStart(f"{repository} holds no models; `crossfade models build` makes them")
    return names


def _is_model(folder: Path) -> bool:
    return folder.is_dir() and ((folder / versions.CONFIG).is_file() or bool(versions.numbers(folder)))


class Loader:
    def __init__(
        self, admin: Admin, repository: Path, log: ServerLog, timeout_s: float, tell: Callable[[str], None]
    ) -> None:
        self._admin = admin
        self._repository = repository
        self._log = log
        self._timeout_s = timeout_s
        self._tell = tell

    def bring_all_up(self, names: Sequence[str]) -> dict[str, str]:
        """What could not be brought up, and why. All are loaded before the first is asked: one may call another."""
        with ThreadPoolExecutor(max_workers=4, thread_name_prefix="load") as pool:
            first_tries = dict(zip(names, pool.map(self._try, names), strict=True))
        failed = {}
        for name, problem in first_tries.items():
            try:
                self._bring_up(name, problem)
            except ModelFails as error:
                failed[name] = str(error)
                self._tell(f"{name} fails: {error}")
        return failed

    def bring_up(self, name: str) -> None:
        self._bring_up(name, self._try(name))

    def _try(self, name: str) -> ModelFails | None:
        try:
            self._load(name)
        except ModelFails as problem:
            return problem
        return None

    def _bring_up(self, name: str, problem: ModelFails | None) -> None:
        """Step back, version by version, until one answers. If none does, the versions are not to blame."""
        stepped_back = _StepsBack(self._repository / name)
        try:
            while problem := problem or self._answers(name):
                stepped_back.step(problem)
                problem = self._try(name)
        except ModelFails as error:
            stepped_back.undo()
            self._put_away(name, error)
            raise
        for line in stepped_back.told:
            self._tell(f"{name}: {line}")

    def _put_away(self, name: str, error: ModelFails) -> None:
        """What does not answer is not to be called ready. What still loads cannot be stopped."""
        if not isinstance(error, LoadsTooLong):
            with suppress(ModelFails):
                self._admin.unload(name)

    def _load(self, name: str) -> None:
        """The newest version, or ModelFails."""
        folder = self._repository / name
        newest = versions.numbers(folder)[-1:]
        self._tell(f"{name}: loading" + "".join(f" version {number}" for number in newest))
        _require_code(folder, newest)
        started = time.monotonic()
        try:
            versions.settle(self._repository / name)
            self._admin.load(name, self._timeout_s)
        except LoadsTooLong:
            raise
        except ModelFails as error:
            raise ModelFails(self._why_not_read(name, str(error)) or str(error)) from error
        self._tell(f"{name}: loaded in {time.monotonic() - started:.1f} s")

    def _why_not_read(self, name: str, answer: str) -> str | None:
        """Of a folder that could not be read only the log says why, and its line may come after the answer."""
        deadline = time.monotonic() + _LOG_LATE_S
        while (
            not (said := self._log.why_not_read(name)) and _NOT_READ in answer and time.monotonic() < deadline
        ):
            time.sleep(_LOG_LATE_S / 50)
        return said

    def _answers(self, name: str) -> ModelFails | None:
        """A model that is busy is asked again until it has time: after a restart its callers wait already."""
        deadline = time.monotonic() + self._timeout_s
        while model := self._ready(name):
            finding = self._admin.ask(model, max(0.1, deadline - time.monotonic()))
            if finding.state is State.WELL:
                return None
            if finding.state is not State.BUSY or time.monotonic() > deadline:
                return ModelFails(finding.reason)
            time.sleep(_RETRY_S)
        return ModelFails("it was loaded and is not ready")

    def _ready(self, name: str) -> ModelState | None:
        ready = [model for model in self._admin.models() if model.name == name and model.ready]
        return max(ready, key=lambda model: model.version, default=None)


class _StepsBack:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps: list[tuple[int, Path, ModelFails]] = []

    def step(self, problem: ModelFails) -> None:
        """Set the newest version aside; the problem again where there is no older one."""
        numbers = versions.numbers(self._folder)
        if len(numbers) < 2 or isinstance(problem, LoadsTooLong):
            raise self._steps[0][2] if self._steps else problem
        try:
            aside = versions.set_aside(self._folder, numbers[-1])
        except OSError as error:
            raise ModelFails(f"{problem}; and version {numbers[-1]} cannot be set aside: {error}") from error
        self._steps.append((numbers[-1], aside, problem))

    def undo(self) -> None:
        for number, aside, _ in reversed(self._steps):
            with suppress(OSError):  # somebody else tidied up
                versions.put_back(self._folder, aside, number)

    @property
    def told(self) -> list[str]:
        serving = versions.numbers(self._folder)[-1:]
        return [
            f"version {number} fails ({problem}), it is now called {aside.name}; version {serving[0]} serves"
            for number, aside, problem in self._steps
        ]


def _require_code(folder: Path, newest: Sequence[int]) -> None:
    """Triton waits for ever for a Python model without code."""
    config = folder / versions.CONFIG
    if not newest or not config.is_file() or not _PYTHON.search(config.read_text(errors="replace")):
        return
    if not any((folder / str(newest[0])).glob("*.py")):
        raise ModelFails(f"version {newest[0]} holds no model.py")
