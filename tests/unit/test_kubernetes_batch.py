"""The Job's own command, run as it is: what each of its pods would do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from backend.batch.names import name_in
from tests.batches import lines_of, pictures, ran, scripted
from tests.manifests import BATCH, Built, built, environment_of, needs_kubectl, pod_of, serving

pytestmark = needs_kubectl


def command_of(batch: Built, index: int, **changed: str) -> list[str]:
    """As the kubelet puts it together; the index is what an Indexed Job adds."""
    told = environment_of(serving(batch, "batch"), batch) | changed | {"JOB_COMPLETION_INDEX": str(index)}
    return [
        re.sub(r"\$\((\w+)\)", lambda found: told[found[1]], word)
        for word in serving(batch, "batch")["command"]
    ]


def test_each_picture_of_a_batch_is_in_one_part_and_a_pod_that_comes_again_asks_for_none_twice(
    tmp_path: Path,
) -> None:
    """The first pod is a process; its replacement, and the others, are the same words."""
    names = pictures(tmp_path / "pictures", 24)
    results = tmp_path / "results"
    results.mkdir()
    batch = built(BATCH)
    parts = batch.workloads["batch"]["spec"]["completions"]
    assert environment_of(serving(batch, "batch"), batch)["PARTS"] == str(parts)
    assert batch.workloads["batch"]["spec"]["completionMode"] == "Indexed"
    with scripted(took_s=0) as (url, script):
        here = {"PICTURES": str(tmp_path / "pictures"), "RESULTS": str(results), "BACKEND": url}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(
            command_of(batch, 0, **here), env={**os.environ, "PATH": path}, cwd=tmp_path, check=True
        )
        for part in [*range(parts), 0]:
            assert ran(command_of(batch, part, **here)[1:]).returncode == 0
        assert sum(script.statuses.values()) == len(names)
    told = [name_in(line) for file in results.glob("part-*.jsonl") for line in lines_of(file)]
    assert sorted(told) == sorted(names)
    assert len(list(results.glob("part-*.jsonl"))) == parts
    assert not any(lines_of(file) for file in results.glob("errors-*.jsonl"))


def test_a_folder_without_pictures_is_a_failure_and_leaves_nothing(tmp_path: Path) -> None:
    """One that is empty, or is not mounted: the Job must not count that as done."""
    (tmp_path / "results").mkdir()
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        here = {"PICTURES": str(tmp_path / folder), "RESULTS": str(tmp_path / "results")}
        ended = ran(command_of(built(BATCH), 0, **here)[1:])
        assert ended.returncode == 1
        assert folder in ended.stderr
    assert not list((tmp_path / "results").iterdir())


def test_a_wrong_key_ends_the_job_no_other_end_does_and_a_drained_node_is_no_failure() -> None:
    """A failed pod is replaced: that is how a batch goes on."""
    rule, drained = (batch := built(BATCH)).workloads["batch"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert drained == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert sorted(rule["onExitCodes"]["values"]) == [2, 4]
    assert rule["onExitCodes"]["containerName"] == serving(batch, "batch")["name"]
    assert pod_of(batch.workloads["batch"])["restartPolicy"] == "Never"
