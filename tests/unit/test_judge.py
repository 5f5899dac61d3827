"""The outside judge: what it says is read right, held against ours, and told where it cannot be had."""

import base64
import json
from dataclasses import asdict

import pytest

from benchmarks.judge import __main__ as judge
from benchmarks.judge import fetching
from benchmarks.judge.analyzing import Seen, read_table, write_input
from benchmarks.judge.page import as_text, figures, verdicts
from benchmarks.machine import this_machine

pytestmark = pytest.mark.beside

# As perf_analyzer 2.41.0 writes it with --percentile=95.
TABLE = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,Server "
    "Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
    "4,28.5957,23,1559,53037,69,81698,452,8,131590,175516,200528,216072\n"
)


def seen(rps: float, ms: float) -> dict[str, float]:
    return {"rps": rps, "p50_ms": ms, "p95_ms": 2 * ms, "p99_ms": 3 * ms}


def result(*ours_of_rounds: float, protocol: str = "http", other: float = 0.0) -> dict[str, object]:
    """The judge says 100/s and 10 ms in each round; ours says so many."""
    pairs = [
        {"round": number, "protocol": protocol, "callers": 8, "ours": seen(rps, 1000 / rps), "judge": seen(100.0, 10.0),
         "other_cpu_cores": other}
        for number, rps in enumerate(ours_of_rounds)
    ]  # fmt: skip
    return {
        "machine": asdict(this_machine()),
        "date": "2026-01-01T00:00:00",
        "commit": None,
        "judge": "Perf Analyzer",
        "jpeg_bytes": 1000,
        "settings": {"rounds": 3, "seconds": 6.0},
        "pairs": pairs,
    }


def test_its_table_is_read_in_our_units() -> None:
    assert read_table(TABLE) == Seen(28.5957, 131.59, 200.528, 216.072)


def test_pictures_are_sent_as_they_are_each_with_its_own_length(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"the second")
    steps = json.loads(write_input([tmp_path / "a", tmp_path / "b"], tmp_path / "input.json").read_text())[
        "data"
    ]
    assert [(base64.b64decode(one["image"]["b64"]), one["image"]["shape"]) for one in steps] == [
        (b"first", [5]), (b"the second", [10])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "word"),
    [((108.0, 109.0, 150.0), "- MET"), ((112.0, 113.0, 90.0), "- NOT MET"), ((92.0, 95.0, 70.0), "- MET")],
)
def test_the_median_round_decides_either_way(ours, word) -> None:
    (verdict,) = verdicts(result(*ours))
    assert verdict.startswith(f"{word}: over http")


def test_each_protocol_has_its_own_verdict() -> None:
    both = result(100.0)
    both["pairs"] += result(200.0, protocol="grpc")["pairs"]
    assert [line.split(":")[0] for line in verdicts(both)] == ["- MET", "- NOT MET"]


@pytest.mark.parametrize("words", [figures, as_text])
def test_what_is_shown_has_both_and_says_when_others_took_the_cores(words) -> None:
    quiet, busy = words(result(100.0)), words(result(100.0, other=0.7))
    assert "within 10 %" in quiet
    assert "DISTURBED" not in quiet
    assert "DISTURBED: other processes kept up to 0.70 cores busy." in busy


def test_where_it_cannot_be_had_a_line_says_what_and_the_status_is_its_own(
    monkeypatch, capsys, tmp_path
) -> None:
    monkeypatch.setattr(fetching, "LIBRARIES", tmp_path)
    monkeypatch.setattr(fetching.shutil, "which", lambda _: None)  # no Debian
    for name in ("perf_analyzer", fetching.CUDART):
        (tmp_path / name).touch()
    monkeypatch.setattr(judge, "analyzer", lambda: fetching.analyzer(tmp_path))
    monkeypatch.setattr(fetching.platform, "machine", lambda: "x86_64")
    with pytest.raises(SystemExit) as ended:
        judge.main(["--quick"])
    assert ended.value.code == 5
    assert capsys.readouterr().err == "judge: it needs libb64.so.0d: apt-get install libb64-0d\n"


def test_another_machine_is_told_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetching.platform, "machine", lambda: "aarch64")
    with pytest.raises(fetching.CannotBeHadError, match="x86_64 only"):
        fetching.analyzer(tmp_path)


def test_a_wheel_that_no_index_has_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(fetching.CannotBeHadError, match=r"tritonclient==2\.41\.0 of PyPI"):
        fetching._from_wheel(fetching.PERF_ANALYZER, tmp_path)
    assert list(tmp_path.iterdir()) == [], "what was half fetched is left behind"


def test_what_was_fetched_is_not_fetched_again(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(fetching, "_download", lambda *_: pytest.fail("fetched again"))
    (tmp_path / "perf_analyzer").touch()
    assert fetching._from_wheel(fetching.PERF_ANALYZER, tmp_path) == tmp_path / "perf_analyzer"
