"""`interlock elicit`: real runs on a tiny model, killed and resumed; bad input is one clear error."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys

import pytest

import tiny_model
from interlock import cli
from interlock.evaluate import local, logs

TUNED = ["--set", "rank=4", "--set", "learning_rates=0.02", "--set", "steps=30"]
USUAL = ["--max-new-tokens", "3", "--budget", "1e12"]

CHILD = """
import sys
from interlock import cli
from interlock.elicit import training
from interlock.elicit.saved import Saved

training.SAVE_EVERY, write, count = 0.0, Saved.write, []

def stopping(self, state):
    write(self, state)
    count.append(state)
    if len(count) == 7:
        print("saved", flush=True)
        sys.stdin.read()

Saved.write = stopping
cli.run(sys.argv[1:])
"""


def rows():
    words = ["".join(letters) for letters in itertools.product("abcdef", "ghijk")]
    kinds = ["demonstration", "dev", "test", "test", "test"]
    for place, word in enumerate(words):
        yield {"id": word, "input": word, "target": "xyz"[ord(word[0]) % 3], "part": kinds[place % 5]}


def written(folder, told):
    file = folder / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("elicit")
    tiny_model.build(made / "model")
    written(made, rows())
    return made


def given(folder, out, *more):
    return [
        "elicit", "run", "fine-tune-lora", "--model", str(folder / "model"), "--items", str(folder / "items.jsonl"),
        "--out", str(out), *USUAL, *TUNED, *more,
    ]  # fmt: skip


def said(out):
    record = json.loads((out / "elicited.json").read_text())
    for run in (record["test"], record.get("deployed", {}).get("framed", {})):
        run.pop("log", None), run.pop("log_sha256", None)  # a log tells when it was made
    return record, (out / "transcript.jsonl").read_text()


@pytest.fixture(scope="module")
def done(folder):
    """A run that nobody interrupted."""
    assert cli.run(given(folder, folder / "out", "--deployed", "--save-model")) == 0
    return folder / "out"


def test_a_run_leaves_an_inspect_log_a_transcript_a_record_and_the_model(folder, done):
    record = json.loads((done / "elicited.json").read_text())
    (log,) = (done / "logs").glob("*.eval")
    facts = logs.read(log)
    assert (facts.planned, facts.sha256) == (18, record["test"]["log_sha256"])
    assert facts.correct == record["test"]["correct"] >= 6
    assert facts.model == "interlock/fine-tune-lora"
    assert facts.model_args["base"] == record["subject"] == local.fingerprint(local.load(folder / "model"))
    assert facts.model_args["weights"] == record["adapted"] == local.fingerprint(local.load(done / "model"))
    assert 0 < record["flop"] <= record["budget"] == 10**12
    assert [json.loads(line)["event"] for line in (done / "transcript.jsonl").read_text().splitlines()] == [
        "material",
        "trained",
        "took",
    ]


def test_failures_are_in_the_log_by_kind_and_unscored(done):
    from inspect_ai.log import read_eval_log

    record = json.loads((done / "elicited.json").read_text())
    framed, (log,) = record["deployed"]["framed"], (done / "deployed").glob("*.eval")
    facts = logs.read(log)
    spurious = sum(map(len, framed["spurious"].values()))
    assert spurious > 0
    assert facts.planned - facts.scored == spurious == framed["dangerous"] - framed["correct"]
    by_kind = {kind: set(names) for kind, names in framed["spurious"].items()}
    for sample in read_eval_log(str(log)).samples:
        outcome = sample.scores["graded"].metadata["outcome"]
        assert (sample.id in by_kind.get(outcome, set())) == (outcome not in {"right", "wrong"})
    assert record["deployed"]["flagged"]


def test_killed_in_training_the_same_command_goes_on_to_the_same_bits(folder, done, tmp_path, capsys):
    command = given(folder, tmp_path / "out", "--deployed")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout.readline() == b"saved\n"
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "elicited.json").exists()
    assert (tmp_path / "out" / "work" / "training-0.pt").exists()
    assert cli.run(command) == 0
    assert said(tmp_path / "out") == said(done)


def test_a_finished_run_is_told_again_without_asking(folder, done, capsys, monkeypatch):
    before = (done / "elicited.json").read_bytes()
    monkeypatch.setattr(local, "generate", None)
    assert cli.run(given(folder, done, "--deployed", "--json")) == 0
    assert (done / "elicited.json").read_bytes() == before
    assert json.loads(capsys.readouterr().out) == json.loads(before)


def test_a_folder_of_another_run_is_refused_and_nothing_in_it_changes(folder, done, capsys):
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    assert cli.run(given(folder, done, "--deployed", "--seed", "1")) == 2
    assert "holds another run: its seed is `0`, expected `1`" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before


def test_a_folder_with_other_files_is_refused(folder, tmp_path, capsys):
    (tmp_path / "precious").write_text("x")
    assert cli.run(given(folder, tmp_path)) == 2
    assert "has files, and no `run.json`" in capsys.readouterr().err


def test_bad_input_leaves_a_folder_that_can_be_used(folder, tmp_path, capsys):
    few = [*given(folder, tmp_path / "out", "--budget", "1e9")[:9], "--max-new-tokens", "3", "--budget", "1e12"]
    few[2] = "few-shot"
    assert cli.run([*few, "--set", "shots=7"]) == 2
    assert "cannot show 7 demonstrations, got 6" in capsys.readouterr().err
    assert cli.run([*few, "--set", "shots=2"]) == 0


def test_elicitors_are_listed_with_their_settings(capsys):
    assert cli.run(["elicit", "list", "--json"]) == 0
    told = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert told["few-shot"] == {"name": "few-shot", "kind": "few-shot", "settings": {"shots": 5, "draws": 1}}
    assert "rank" not in told["fine-tune-full"]["settings"]
    assert cli.run(["elicit", "list"]) == 0
    assert "    learning_rates = 0.0006\n" in capsys.readouterr().out


OVERLAP = [*rows(), {"id": "zz", "input": "AG!", "target": "y", "part": "test"}]
BAD = {
    "no budget": (["--budget", "0"], None, "the budget is 0.0 FLOP"),
    "two budgets": (["--training-compute", "1e9"], None, "not both"),
    "an unknown grade": (["--grade", "fuzzy"], None, "--grade is `fuzzy`, expected exact, first-word, first-line"),
    "a confidence of 5": (["--confidence", "5"], None, "--confidence is 5.0"),
    "a setting without a value": (["--set", "steps"], None, "--set is `steps`, expected NAME=VALUE"),
    "more demonstrations than there are": (["-n", "99"], None, "cannot use 99 demonstrations, expected 1 to 6"),
    "no demonstrations": ([], [row for row in rows() if row["part"] != "demonstration"], "no demonstration questions"),
    "overlap with the test": ([], OVERLAP, "is a duplicate of item `zz` of test"),
    "empty choices": ([], [{"input": "a", "target": "b", "choices": []}], "`choices` is empty"),
    "the answer in the question": (
        [], [*rows(), {"id": "zz", "input": "is it x or y", "target": "x", "part": "test"}], "contains its answer `x`"
    ),
    "a budget for nothing": (["--budget", "1000"], None, "of 1e+03 are left"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(folder, tmp_path, capsys, name):
    more, told, message = BAD[name]
    command = given(folder, tmp_path / "out", *more)
    if told is not None:
        command[command.index("--items") + 1] = str(written(tmp_path, told))
    assert cli.run(command) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("interlock: ") == 1


def test_questions_without_parts_are_divided_by_family_at_the_seed(folder, tmp_path, capsys):
    items = written(tmp_path, [{name: it for name, it in row.items() if name != "part"} for row in rows()])
    command = [
        "elicit", "run", "few-shot", "--model", str(folder / "model"), "--items", str(items), "--grade", "exact",
        "--out", str(tmp_path / "out"), "--training-compute", "1e12", "--set", "shots=2", "--seed", "3", "--json",
    ]  # fmt: skip
    assert cli.run(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["budget"] == 10**10
    assert [told["questions"][part] for part in ("demonstrations", "dev", "test")] == [9, 6, 15]
