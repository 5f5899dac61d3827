"""A backend that cannot start says why in one sentence, and ends as a failure, however many workers it would have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import free_port


def started(var: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.serve"],
        env={**os.environ, "CROSSFADE_VAR": str(var), "PORT": str(free_port()), **variables},
        cwd=var,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"API_KEYS": "bad"}, "API_KEYS"),
        ({"TRITON_CLASS_THRESHOLDS": "unicorn:0.4"}, "'unicorn' is no class"),
        ({"LEGACY_ENABLED": "false", "FALLBACK": "legacy"}, "FALLBACK=legacy needs the legacy services"),
        (
            {"LEGACY_ENABLED": "false", "TRITON_TRAFFIC_FRACTION": "0.5"},
            "leaves 50% of the requests to nobody",
        ),
        ({"ROLLOUT_STORE": "memory:", "WORKERS": "3"}, "ROLLOUT_STORE=memory: is one worker's own"),
        ({"TRITON_TRAFFIC_FRACTION": "1.5"}, "TRITON_TRAFFIC_FRACTION='1.5'"),
    ],
)
def test_a_setting_that_cannot_be_ends_the_start_with_its_sentence(tmp_path, workers, variables, sentence):
    ended = started(tmp_path, **{"WORKERS": workers, **variables})
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_stored_fraction_that_legacy_would_have_to_serve_ends_the_start_without_legacy(tmp_path):
    store = tmp_path / "crossfade.db"
    code = (
        "import asyncio\n"
        "from backend.observe.events import told\n"
        "from backend.rollout.control import Rollout\n"
        "from backend.settings import read_settings\n"
        "async def main():\n"
        "    rollout = Rollout.opened(read_settings(), told(), 'somebody')\n"
        "    await rollout.start()\n"
        "    await rollout.change({'fraction': 0.1}, who='a test', reason='', version=None)\n"
        "    await rollout.stop()\n"
        "asyncio.run(main())\n"
    )
    variables = {**os.environ, "CROSSFADE_VAR": str(tmp_path), "TRITON_ENABLED": "true"}
    variables["TRITON_TRAFFIC_FRACTION"] = "0"
    subprocess.run([sys.executable, "-c", code], env=variables, cwd=tmp_path, check=True, timeout=60)
    assert store.exists()
    retired = {"LEGACY_ENABLED": "false", "TRITON_TRAFFIC_FRACTION": "1"}  # which is no change of the flags
    ended = started(tmp_path, WORKERS="2", TRITON_ENABLED="true", **retired)
    assert ended.returncode != 0
    assert "leaves 90% of the requests to nobody" in ended.stderr
