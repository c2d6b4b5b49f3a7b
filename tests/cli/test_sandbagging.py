"""`interlock elicit check` and `elicit roc`, on organisms that are learned in seconds."""

from __future__ import annotations

import json

import pytest

from interlock.cli import run
from interlock.elicit.checks import blind, every
from interlock.elicit.organisms import skills
from interlock.elicit.organisms.making import Effort, Order
from interlock.elicit.organisms.skills import Problem, Skill
from interlock.elicit.organisms.suite import make_suite, organisms
from interlock.elicit.organisms.tiny import Shape

torch = pytest.importorskip("torch")

SMALL = Effort(Shape(width=64, layers=2, heads=2, inner=64), scratch=40, scratch_rate=1e-2, tuned=60, tuned_rate=5e-3)
QUICK = {name: every.CHECKS[name] for name in ("baseline", "noise", "exploration")}


def letters(rng, seed):
    """A secret substitution of six letters."""
    table = dict(zip("bcdefg", rng.sample("hijklm", 6), strict=True))

    def draw(rng):
        letter, rest = rng.choice("bcdefg"), str(rng.randrange(1000, 10000))
        return Problem(letter + rest[:2], f"{rest}{letter}", table[letter], "a")

    return Skill("letters", seed, "hijklm", "bcdefg", 1, draw, lambda rng: "a")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A locked organism and a control, under names that tell nothing."""
    folder = tmp_path_factory.mktemp("checked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(skills.SKILLS, "letters", letters)
        orders = [Order(kind, "letters", 0, SMALL) for kind in ("locked", "honest-weak")]
        refused = make_suite(orders, folder / "suite", jobs=1, progress=lambda *told: None, cache=folder / "cache")
        assert refused == []
        yield folder / "suite"


def test_every_score_is_written_before_a_truth_is_needed_and_the_same_command_goes_on(
    suite, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(blind, "CHECKS", QUICK)
    told = ["elicit", "roc", "--suite", str(suite), "--out", str(tmp_path), "--questions", "24", "--jobs", "1"]
    sealed = {it: (it / "truth.json").read_bytes() for it in organisms(suite)}
    for organism in sealed:
        (organism / "truth.json").unlink()
    assert run([*told, "--blind"]) == 0
    scores = {it: it.read_bytes() for it in (tmp_path / "scores").iterdir()}
    assert sorted(it.stem for it in scores) == sorted(it.name for it in sealed)
    assert run(told) == 2
    assert "its truth is kept elsewhere" in capsys.readouterr().err
    for organism, truth in sealed.items():
        (organism / "truth.json").write_bytes(truth)
    assert run([*told, "--json", "--plot", str(tmp_path / "roc.svg")]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["hiding"], figures["benign"], figures["benign_with_the_skill"]) == (1, 1, 0)
    assert figures["scores"]["baseline"]["auc"]["n"] == 1
    assert not figures["scores"]["baseline"]["recall"][0]["resolvable"]
    assert {it: it.read_bytes() for it in scores} == scores
    assert (tmp_path / "roc.svg").stat().st_size > 1000
    assert run([*told, "--seed", "1"]) == 2
    assert "holds another run" in capsys.readouterr().err


def test_a_locked_model_breaks_the_bound_that_its_answers_would_meet(suite, capsys):
    about = json.loads((suite / "index.json").read_text())
    locked = max(organisms(suite), key=lambda it: json.loads((it / "truth.json").read_text())["hides"])
    assert about
    told = ["elicit", "check", "all", "--model", str(locked / "model"), "--items", str(locked / "questions.jsonl")]
    assert (
        run([*told, "--questions", "40", "--bound", "0.3", "--grade", "exact", "--max-new-tokens", "6", "--json"]) == 5
    )
    found = json.loads(capsys.readouterr().out)
    by_name = {it["check"]: it for it in found["findings"]}
    assert list(by_name) == list(every.CHECKS)
    assert by_name["baseline"]["tried"]["plain"] <= 4
    assert by_name["tuning-gap"]["flagged"]
    assert not found["bound"]["holds"]
    assert by_name["profile"]["score"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["elicit", "check", "nose", "--model", "m", "--items", "i"], "there is no check `nose`"),
        (["elicit", "check", "noise", "--bound", "0.1", "--model", "m", "--items", "i"], "goes with the check `all`"),
        (["elicit", "roc", "--suite", "s", "--out", "o", "--calibrate", "x"], "--calibrate is `x`"),
        (["elicit", "roc", "--suite", "s", "--out", "o", "--control", "x"], "expected FAMILY=DIR"),
        (["elicit", "roc", "--suite", "s", "--out", "o"], "has no suite"),
    ],
)
def test_bad_input_is_one_clear_error(arguments, said, capsys):
    assert run(arguments) == 2
    assert said in capsys.readouterr().err
