"""The benchmark of scoring in small: a few questions, the real 135M model, every peer that is installed here.

lm-evaluation-harness is not: the benchmark installs it apart, at its first run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from interlock.evaluate import local

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

FOLDER = Path(__file__).parents[2] / "benchmarks"
LISTS = [
    ["red", "a chair", "seven", "to swim"],
    ["Monday", "a wooden spoon of the kind that cooks use", "blue", "twelve"],
    ["bread", "green", "a very long walk by the sea", "two"],
    ["nine", "Paris", "yellow", "to sing aloud"],
]


def question(number, options):
    asked = f"Which one of the four is what people call {['a color', 'a number', 'a thing'][number % 3]}?"
    shown = "".join(f"\n{letter}. {option}" for letter, option in zip("ABCD", options, strict=True))
    return {"question": f"{asked}{shown}\nAnswer:", "answer": "ABCD"[number % 4]}


@pytest.fixture
def scoring(tmp_path, monkeypatch):
    """The benchmark in float32, with questions of ours in place of MMLU's; peers take turns in this process."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    import _scoring_peers
    import scoring

    def here(command, **_):
        monkeypatch.setattr(sys, "argv", command[1:])
        _scoring_peers.main()
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(scoring.subprocess, "run", here)
    monkeypatch.setattr(local, "number_format", lambda: torch.float32)
    monkeypatch.setattr(scoring, "_CACHE", tmp_path)
    rows = [question(number, options) for number, options in enumerate([*LISTS, *(it[::-1] for it in LISTS)])]
    twice, nothing = question(0, ["red", "red", "two", "six"]), question(0, ["red", "", "two", "six"])
    kept = [rows[0], twice, nothing, *rows[1:]]
    (tmp_path / "mmlu.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    return scoring


def rows(told):
    """The cells of a table's rows, by peer."""
    lines = [line.strip("|").split("|") for line in told.splitlines() if line.startswith("| ")][1:]
    return {name.split("(")[0].strip(): [cell.strip() for cell in cells] for name, *cells in lines}


@pytest.mark.smollm2
@pytest.mark.filterwarnings("ignore")  # of Inspect, which leaves streams open and calls what is deprecated
@pytest.mark.parametrize("texts", [False, True], ids=["letters", "texts"])
def test_in_float32_every_peer_gives_every_answer_that_interlock_gives(scoring, texts):
    asked = scoring.items(count=4, shots=1, texts=texts)
    found = scoring.measure(asked, scoring.of_this_environment(texts=texts), rounds=1)
    told = rows(scoring.table(found, asked))
    scored = ["bare loop", "interlock", "interlock, without Inspect"]
    assert list(told) == (scored if texts else ["Inspect's hf provider", *scored])
    assert {name: told[name][-2] for name in scored} == dict.fromkeys(scored, "4/4")
    answers = found["interlock (float32)"][0]["answers"]
    assert told["interlock"][-1] == f"{sum(a == it['answer'] for a, it in zip(answers, asked, strict=True))}/4"
    if not texts:
        (writes,) = [it for name, it in found.items() if name.startswith("Inspect's")]
        assert all(a in {None, b} for a, b in zip(writes[0]["answers"], answers, strict=True))


def test_questions_that_repeat_a_choice_or_lack_one_are_left_out_and_too_few_are_told(scoring):
    assert [it["choices"] for it in scoring.questions(texts=True)] == [*LISTS, *(it[::-1] for it in LISTS)]
    with pytest.raises(SystemExit, match="got 8 questions, expected 9 for 2 shots and 7 items"):
        scoring.items(count=7, shots=2, texts=False)
