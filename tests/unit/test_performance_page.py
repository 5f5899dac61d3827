"""docs/performance.md: whatever run is kept is shown with all its targets, and nothing that was not measured is."""

import json
import shutil

import pytest

from docs.making import performance
from docs.making.performance import PARTS, RESULTS, page, words_by_hand

pytestmark = pytest.mark.beside

KEPT = {part: sorted(RESULTS.glob(part.kept)) for part in PARTS}
BEGINNING = page(RESULTS / "nowhere")


def test_each_kept_run_is_shown_under_its_part() -> None:
    text = page()
    for part, files in KEPT.items():
        assert (f"\n## {part.heading}\n" in text) is bool(files)
        for file in files:
            assert f"From [{file.stem}](../benchmarks/results/{file.name})" in text


def test_what_has_no_run_is_left_out_with_its_words() -> None:
    assert "No run with a target is kept yet." in BEGINNING
    for part in PARTS:
        assert f"## {part.heading}" not in BEGINNING
        assert words_by_hand()[part.heading] not in BEGINNING


def test_each_part_has_words_and_no_words_are_left_over() -> None:
    assert list(words_by_hand()) == [part.heading for part in PARTS]


@pytest.mark.parametrize("part", [part for part in PARTS if KEPT[part]], ids=lambda part: part.kept)
def test_a_run_that_is_kept_anew_changes_the_figures(part, tmp_path) -> None:
    """One run alone, and the same with each of its numbers doubled: the page is made of the file, not of a memory."""
    file = KEPT[part][0]
    shutil.copy(file, tmp_path)
    as_it_is = page(tmp_path)
    (tmp_path / file.name).write_text(json.dumps(_doubled(json.loads(file.read_text()))))
    assert f"## {part.heading}" in as_it_is
    assert _figures_of(page(tmp_path)) != _figures_of(as_it_is)


def test_all_targets_of_all_parts_stand_at_the_top_with_the_unmet_in_bold() -> None:
    text = page()
    top = text.partition("## What was wanted")[2].partition("\n## ")[0]
    verdicts = [verdict for one in _kept() for verdict in one.verdicts]
    assert len(verdicts) > 5
    for word, sentence in verdicts:
        assert (
            f"| {'MET' if word == 'MET' else f'**{word}**'} | {sentence.replace('|', chr(92) + '|')} |" in top
        )
    assert f"{sum(word == 'MET' for word, _ in verdicts)} of {len(verdicts)} targets were met" in top


def _kept() -> list[performance.Kept]:
    return [performance.Kept(part, file) for part, files in KEPT.items() for file in files]


def _doubled(value):
    if isinstance(value, dict):
        return {name: _doubled(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_doubled(one) for one in value]
    return value * 2 if isinstance(value, float) else value


def _figures_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")]
