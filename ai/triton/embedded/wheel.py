"""The parts of a tritonserver in the `nvidia-pytriton` wheel, or one sentence that says what is missing."""

from __future__ import annotations

import importlib.util
import platform
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ai.triton.embedded.errors import CannotStart

INSTALL = "pip install 'crossfade[embedded]'"
OLDEST_GLIBC = (2, 35)  # the wheel's tag: manylinux_2_35
STUB = "triton_python_backend_stub"
_OTHERWISE = "run a Triton in NVIDIA's container instead and name it in TRITON_URL"


@dataclass(frozen=True, slots=True)
class Machine:
    """What is looked at to find the parts."""

    system: str
    processor: str
    libc: tuple[str, str]  # its name and version
    python: tuple[int, int]
    site: Path | None  # where pytriton is installed
    library_folders: tuple[Path, ...]  # where libpython may be

    @classmethod
    def here(cls) -> Machine:
        spec = importlib.util.find_spec("pytriton")  # found, not imported
        return cls(
            system=platform.system(),
            processor=platform.machine(),
            libc=platform.libc_ver(),
            python=(sys.version_info.major, sys.version_info.minor),
            site=Path(spec.origin).parents[1] if spec and spec.origin else None,
            library_folders=_library_folders(),
        )


@dataclass(frozen=True, slots=True)
class Wheel:
    tritonserver: Path
    python_backend: Path
    stub: Path
    libraries: tuple[Path, ...]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The stub takes the packages of the `python3` that is first on PATH: this environment's."""
        libraries = [str(folder) for folder in self.libraries]
        return {
            **inherited,
            "LD_LIBRARY_PATH": _joined(*libraries, inherited.get("LD_LIBRARY_PATH")),
            "PATH": _joined(str(Path(sys.executable).parent), inherited.get("PATH")),
        }

    def link_backends(self, folder: Path) -> None:
        """The Python backend, and beside it the stub of this Python: links, it finds its libraries from there."""
        python = folder / "python"
        python.mkdir(parents=True, exist_ok=True)
        for part in (*self.python_backend.glob("*.*"), self.stub):
            link = python / part.name
            link.unlink(missing_ok=True)
            link.symlink_to(part)


def find(machine: Machine) -> Wheel:
    _require_platform(machine)
    if machine.site is None:
        raise CannotStart(f"the embedded Triton is not installed: {INSTALL}")
    server = machine.site / "pytriton" / "tritonserver"
    libraries = machine.site / "nvidia_pytriton.libs"
    stub = server / "python_backend_stubs" / "{}.{}".format(*machine.python) / STUB
    _require_stub(stub, machine)
    wheel = Wheel(server / "bin" / "tritonserver", server / "backends" / "python", stub, (libraries,))
    for part in (wheel.tritonserver, wheel.python_backend, libraries):
        if not part.exists():
            raise CannotStart(
                f"the embedded Triton is not whole, {part} is missing: {INSTALL} --force-reinstall"
            )
    return Wheel(wheel.tritonserver, wheel.python_backend, stub, (libraries, *_libpython(machine, libraries)))


def _require_platform(machine: Machine) -> None:
    if (machine.system, machine.processor) != ("Linux", "x86_64"):
        here = f"{machine.system} on {machine.processor}"
        raise CannotStart(f"the embedded Triton runs on Linux on x86_64, this is {here}; {_OTHERWISE}")
    name, version = machine.libc
    needed = ".".join(map(str, OLDEST_GLIBC))
    if name != "glibc":
        raise CannotStart(
            f"the embedded Triton needs glibc {needed} or newer, this system has none; {_OTHERWISE}"
        )
    if tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        raise CannotStart(
            f"the embedded Triton needs glibc {needed} or newer, this is {version}; {_OTHERWISE}"
        )


def _require_stub(stub: Path, machine: Machine) -> None:
    if stub.exists():
        return
    here = "{}.{}".format(*machine.python)
    known = sorted((path.parent.name for path in stub.parents[1].glob(f"*/{STUB}")), key=_by_number)
    if not known:
        raise CannotStart(f"the embedded Triton is not whole, {stub} is missing: {INSTALL} --force-reinstall")
    raise CannotStart(f"the embedded Triton has no part for Python {here}, it has for {', '.join(known)}")


def _libpython(machine: Machine, bundled: Path) -> tuple[Path, ...]:
    """The folder of the shared library that the stub is linked with; none when the wheel brings it."""
    major, minor = machine.python
    if any(bundled.glob(f"libpython{major}-*.{minor}.so.*")):
        return ()
    name = f"libpython{major}.{minor}.so.1.0"
    for folder in machine.library_folders:
        if (folder / name).exists():
            return (folder,)
    raise CannotStart(
        f"{name} is missing, this Python was built without its shared library: "
        f"on Debian and Ubuntu `apt install libpython{major}.{minor}`, with pyenv "
        f"`PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {major}.{minor}`"
    )


def _library_folders() -> tuple[Path, ...]:
    folders = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"]
    system = [f"{root}/{sysconfig.get_config_var('MULTIARCH')}" for root in ("/usr/lib", "/lib")]
    return tuple(Path(folder) for folder in (*folders, *system, "/usr/lib64", "/usr/local/lib") if folder)


def _by_number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _joined(*paths: str | None) -> str:
    return ":".join(path for path in paths if path)
