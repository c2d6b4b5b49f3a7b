"""The exported cases: this package answers them, and a stranger's implementation is held to them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.decide.exchange import answer, main, question_from_json, question_to_json

ROOT = Path(__file__).parents[2] / "conformance" / "decide"
sys.path.insert(0, str(ROOT))

from check import cases  # noqa: E402  # the folder is no package

SOME = list(cases(every=20))


@pytest.mark.parametrize("part", range(10))
def test_every_exported_case_is_answered_as_it_was(part):
    for case in SOME[part::10]:
        assert answer(question_from_json(case["question"])) == case["answer"], case["id"]


def test_a_question_is_written_as_it_was_read():
    for case in SOME[::25]:
        assert question_to_json(question_from_json(case["question"])) == case["question"]


def test_there_are_five_thousand_of_every_kind():
    about = json.loads((ROOT / "about.json").read_text())
    assert about["cases"] == 5000
    assert about["permits"] > 500
    assert about["holds"] > 500
    kinds = (
        "approvals",
        "amendments",
        "forecasts",
        "incidents",
        "judgements",
        "set_asides",
        "withdrawals",
        "deployments",
    )
    assert all(about[f"with {kind}"] > 100 for kind in kinds), about


def test_one_case_a_line_is_answered(monkeypatch, capsys):
    """What the command does, within this process."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(json.dumps(case) + "\n" for case in SOME[:3])))
    main()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers == [{"id": case["id"], "answer": case["answer"]} for case in SOME[:3]]


def ask(*command, every):
    check = [sys.executable, str(ROOT / "check.py"), "--every", str(every), "--", *command]
    return subprocess.run(check, capture_output=True, text=True, check=False)


def test_a_command_is_held_to_the_cases():
    done = ask(sys.executable, "-m", "interlock.decide.exchange", every=500)
    assert (done.returncode, done.stdout) == (0, "10 cases, 0 differ\n"), done.stderr


def test_verify_py_answers_the_core_and_says_what_is_outside_of_it():
    done = ask(sys.executable, str(ROOT / "verify_py.py"), every=1)
    cases, different, outside = (int(word) for word in done.stdout.split() if word.isdecimal())
    assert (done.returncode, cases, different) == (0, 5000, 0), done.stdout
    assert cases - outside >= 570


def test_a_command_is_not_held_to_what_is_outside_of_its_part():
    said = "json.dumps({'id': json.loads(line)['id'], 'outside': 'all of it'})"
    done = ask(sys.executable, "-c", f"import sys, json\nfor line in sys.stdin: print({said}, flush=True)", every=1000)
    assert (done.returncode, done.stdout) == (0, "5 cases, 0 differ, 5 outside\n")


def test_a_command_that_always_permits_fails():
    said = "json.dumps({'id': json.loads(line)['id'], 'answer': {'verdict': 'permit'}})"
    liar = f"import sys, json\nfor line in sys.stdin: print({said}, flush=True)"
    done = ask(sys.executable, "-c", liar, every=1000)
    assert done.returncode == 5
    assert done.stdout.endswith("5 cases, 5 differ\n")


def test_a_command_that_says_nothing_fails():
    assert ask(sys.executable, "-c", "", every=1000).returncode != 0
