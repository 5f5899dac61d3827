"""The script of the batch Job, run as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.manifests import BATCH, built, environment_of, needs_kubectl, serving

pytestmark = needs_kubectl


def test_each_picture_of_a_batch_is_in_one_part(tmp_path):
    """The script with a `crossfade` that says what it was given; the last try finds everything made."""
    pictures, results, programs = (tmp_path / name for name in ("pictures", "results", "bin"))
    for folder in (pictures / "yard", results, programs):
        folder.mkdir(parents=True)
    kinds = ("jpg", "JPG", "Png", "webp")
    names = {str(pictures / "yard" / f"{number} at night.{kinds[number % 4]}") for number in range(23)}
    for name in [*names, pictures / "notes.txt"]:
        Path(name).touch()
    (programs / "crossfade").write_text('#!/bin/sh\nshift 4\nprintf "%s\\n" "$@"\n')
    (programs / "crossfade").chmod(0o755)
    batch = built(BATCH)
    told = environment_of(serving(batch, "batch"), batch)
    parts = int(told["PARTS"])
    assert parts == batch.workloads["batch"]["spec"]["completions"]
    told |= {"PATH": f"{programs}:/usr/bin:/bin", "PICTURES": str(pictures), "RESULTS": str(results)}
    for part in [*range(parts), 0]:
        environment = {**told, "JOB_COMPLETION_INDEX": str(part)}
        subprocess.run(["sh", BATCH / "batch.sh"], env=environment, check=True)
    lines = [line for file in results.glob("part-*.jsonl") for line in file.read_text().splitlines()]
    assert len(list(results.iterdir())) == parts
    assert sorted(lines) == sorted(names)


@pytest.mark.parametrize("there", [True, False])
def test_a_part_of_no_pictures_is_a_failure_and_is_not_there(tmp_path, there):
    """A folder that is empty, or is not mounted: the Job must not count that as done."""
    pictures, results = tmp_path / "pictures", tmp_path / "results"
    results.mkdir()
    if there:
        pictures.mkdir()
    told = {
        "PARTS": "2",
        "JOB_COMPLETION_INDEX": "0",
        "BACKEND": "http://127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
    }
    ended = subprocess.run(
        ["sh", BATCH / "batch.sh"], env={**told, "PICTURES": str(pictures), "RESULTS": str(results)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert str(pictures) in ended.stderr
    assert not list(results.glob("*.jsonl"))
