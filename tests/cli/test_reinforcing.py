"""`interlock elicit run grpo`: told plainly where nothing was learned, and compared with control questions."""

from __future__ import annotations

import json

import pytest

import tiny_model
from interlock import cli
from interlock.elicit.elicitor import recipe
from interlock.elicit.elicitors import make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("reinforcing")
    tiny_model.build(made / "model")
    parts = ["demonstration", "demonstration", "test", "test"]
    asked = [{"id": str(i), "input": f"word {i}", "target": "right", "part": part} for i, part in enumerate(parts)]
    control = [{"id": str(i), "input": f"other {i}", "target": "left"} for i in range(3)]
    chosen = [row | {"choices": ["left", "right"]} for row in control]
    for name, rows in (("items", asked), ("control", control), ("same", asked[2:3]), ("chosen", chosen)):
        (made / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def run(folder, out, *more, elicitor="grpo"):
    return cli.run([
        "elicit", "run", elicitor, "--model", str(folder / "model"), "--items", str(folder / "items.jsonl"), "--out",
        str(out), "--max-new-tokens", "2", "--budget", "1e12", *more,
    ])  # fmt: skip


SHORT = ["--set", "steps=1", "--set", "questions=2", "--set", "group=2"]


def test_that_nothing_was_learned_is_told_beside_the_bounds(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", *SHORT) == 0
    said = capsys.readouterr().out
    assert "FLAG: elicitation did not take" in said
    assert "these bounds are on what it was given, not on what it could bring out" in said
    record = json.loads((tmp_path / "out" / "elicited.json").read_text())
    assert "nothing to learn from" in record["nothing_learned"]


def test_control_questions_are_asked_beside_and_are_a_part_of_the_recipe(folder, tmp_path):
    control = ["--control-items", str(folder / "control.jsonl")]
    assert run(folder, tmp_path / "out", *SHORT, *control) == 0
    record = json.loads((tmp_path / "out" / "elicited.json").read_text())
    assert record["recipe"] != recipe(make("grpo", {"steps": "1", "questions": "2", "group": "2"}))
    events = [json.loads(line) for line in (tmp_path / "out" / "transcript.jsonl").read_text().splitlines()]
    assert next(event for event in events if event["event"] == "step")["control"]["entropy"] > 0
    assert events[-1]["control"]


def test_control_questions_of_the_task_itself_are_refused(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", "--control-items", str(folder / "same.jsonl")) == 2
    assert "item `control 2` is a duplicate of item `2`, expected questions of another task" in capsys.readouterr().err


def test_control_questions_with_choices_are_refused_before_anything_is_asked(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", "--control-items", str(folder / "chosen.jsonl")) == 2
    assert "item `0` has choices, which are weighed and never drawn: comparing with drawn" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_control_questions_for_what_compares_with_none_are_refused(folder, tmp_path, capsys):
    control = ["--control-items", str(folder / "control.jsonl")]
    assert run(folder, tmp_path / "out", *control, elicitor="grpo+few-shot") == 2
    assert "`few-shot` compares with no control questions, expected `grpo`, alone or last" in capsys.readouterr().err


def test_settings_that_cannot_train_are_one_line(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "out", "--set", "learning_rate=0") == 2
    assert "`learning_rate` is 0, expected a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_check_takes_control_questions_and_its_folder_is_of_them(folder, tmp_path, capsys):
    def check(*more):
        return cli.run([
            "elicit", "check", "exploration", "--model", str(folder / "model"), "--items",
            str(folder / "items.jsonl"), "--max-new-tokens", "2", "--out", str(tmp_path / "out"), *more,
        ])  # fmt: skip

    assert check("--control-items", str(folder / "control.jsonl")) == 0
    assert check() == 2
    assert "holds another run: its aside is" in capsys.readouterr().err
    assert check("--control-items", str(folder / "same.jsonl")) == 2
    assert "is a duplicate of item `2`" in capsys.readouterr().err
