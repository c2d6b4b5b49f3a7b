"""`bound`: each number comes with its n, its interval and the method's name; bad input is one line and exit code 2."""

import json
from pathlib import Path

import pytest

from interlock import cli


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    """(exit code, what was printed, complaints)."""
    capsys.readouterr()
    code = cli.run(["bound", *arguments])
    return code, *capsys.readouterr()


def told(capsys, *arguments):
    """What `--json` gives, and its estimates by what they are of."""
    code, said, complaint = run(capsys, *arguments, "--json")
    assert (code, complaint) == (0, "")
    found = json.loads(said)
    for it in found["estimates"]:
        assert it["n"] > 0
        assert it["low"] <= it["value"] <= it["high"]
        assert it["method"]
    return found, {it["of"]: it for it in found["estimates"]}


def lines(name, rows):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def test_a_count_is_told_with_its_bounds_n_and_methods(capsys):
    code, said, _ = run(capsys, "3", "120")
    assert code == 0
    assert "0.025 (95 %: 0 to 0.0634; n = 120, sample; Clopper-Pearson, one-sided upper)" in said
    assert "where samples share families, use --families" in said
    _, of = told(capsys, "3", "120", "--confidence", "0.99")
    assert (of["at most"]["confidence"], of["at least"]["high"]) == (0.99, 1)


def test_none_seen_is_the_rule_of_three(capsys):
    _, of = told(capsys, "0", "300")
    assert of["none seen: at most"]["high"] == pytest.approx(3 / 300, rel=0.01)
    found, of = told(capsys, "--clean", "0.01")
    assert found["samples"] == of["none seen: at most"]["n"] == 299
    assert of["none seen: at most"]["high"] < 0.01
    assert "299 samples without a single case rule out a rate of 0.01; 298 do not" in run(capsys, "--clean", "0.01")[1]


def test_samples_that_share_families_bound_less_than_as_many_apart(capsys):
    shared = lines("shared", [{"family": f"f{i % 20}", "score": int(i % 20 == 0)} for i in range(200)])
    found, of = told(capsys, "--families", shared)
    assert (of["at most"]["n"], of["at most"]["unit"], found["items"]) == (20, "family", 200)
    assert "betting over families" in of["at most"]["method"]
    assert of["at most"]["high"] > 2 * told(capsys, "10", "200")[1]["at most"]["high"]
    apart = lines("apart", [{"family": str(i), "score": 0.5} for i in range(9)])
    assert "Each has one item" in run(capsys, "--families", apart)[1]


def test_success_within_k_tries_at_one_item_and_over_families(capsys):
    _, of = told(capsys, "3", "120", "--tries", "8")
    assert of["within 8 tries"]["value"] == pytest.approx(1 - (117 / 120) ** 8, abs=0.01)
    assert of["within 8 tries"]["high"] > 0.4
    rows = [{"family": f"f{i}", "item": "a", "right": t == i, "score": t} for i in range(10) for t in range(10)]
    _, of = told(capsys, "--families", lines("tries", rows), "--tries", "5")
    assert of["within 5 tries: at most"]["value"] == pytest.approx(0.5)
    assert of["within 5 tries: at most"]["unit"] == "family"
    assert "bootstrap of families" in of["for display: between"]["method"]
    assert of["best of 5: at most"]["value"] <= 0.5
    for row in rows:
        del row["score"]
    assert "best of 5: at most" not in told(capsys, "--families", lines("tries", rows), "--tries", "5")[1]


def test_two_runs_are_compared_over_families_with_a_test_and_what_it_could_have_seen(capsys):
    apart = [{"family": str(i), "first": int(i < 30), "second": int(i < 10)} for i in range(100)]
    found, of = told(capsys, "--compare", lines("apart", apart))
    assert of["first minus second"]["value"] == pytest.approx(0.2)
    assert of["first minus second"]["low"] > 0
    assert (found["test"], found["p"]) == ("exact McNemar test", pytest.approx(2**-19))
    assert 0 < found["least_detectable"] < 0.2
    shared = [{**row, "family": str(int(row["family"]) // 10)} for row in apart]
    found, of = told(capsys, "--compare", lines("shared", shared))
    assert of["first minus second"]["n"] == 10
    assert (found["test"], found["p"]) == ("exact sign-flip test over families, two-sided (Fisher 1935)", 0.5)
    assert "least_detectable" not in found
    assert "No test" in run(capsys, "--compare", lines("halves", [{"family": "a", "first": 0.5, "second": 1}]))[1]


def test_rare_behaviour_is_forecast_by_two_tails_with_the_caveat(capsys):
    Path("chances").write_text("".join(f"{1e-6 * 1.02**i}\n" for i in range(300)), encoding="utf-8")
    found, of = told(capsys, "--rare", "chances", "--deployed", "30000")
    assert set(of) == {"worst of 30,000", "by another tail"}
    assert of["worst of 30,000"]["value"] > 1e-6 * 1.02**299
    assert "no bound" in found["notes"][0]


BAD = {
    "nothing is asked": ([], "got 0 of the forms, expected one: K N, --clean RATE"),
    "two forms": (["3", "120", "--clean", "0.1"], "got 2 of the forms"),
    "half a count": (["3"], "expected K and N"),
    "more than all": (["4", "3"], "got 4 of 3"),
    "of nothing": (["0", "0"], "got 0 of 0"),
    "no number": (["three", "120"], "invalid value for 'K'"),
    "too many": (["1", "1000000000"], "got 1,000,000,000 samples, expected 100,000 at the most"),
    "no confidence": (["1", "9", "--confidence", "1"], "--confidence is 1.0"),
    "more tries than there were": (["1", "9", "--tries", "10"], "got k = 10 of 9 tries"),
    "tries of nothing": (["--clean", "0.1", "--tries", "2"], "--tries goes with K N, or with --families"),
    "a rate of nothing": (["--clean", "0"], "--clean is 0, expected 0.0001 to 1"),
    "a rate that is none": (["--clean", "few"], "--clean is `few`, expected a number from 0 to 1"),
    "no such file": (["--families", "nope"], "cannot read `nope`"),
    "an empty file": (["--families", "empty"], "`empty` is empty"),
    "no JSON": (["--families", "words"], "words:1: not JSON"),
    "no family": (["--families", "bare"], "bare:1: expected an object with `family`"),
    "a score over one": (["--families", "high"], "high:2: `score` is `1.5`, expected a number from 0 to 1"),
    "a score that is none": (["--families", "nan"], "nan:1: `score` is `NaN`, expected a number from 0 to 1"),
    "a score beyond every float": (["--families", "huge", "--tries", "1"], "huge:1: `score` is `999"),
    "a rate of a billion digits": (["--clean", "1e-999999999"], "at most 40 characters and an exponent of -400 to 400"),
    "runs without a family": (["--compare", "bare"], "bare:1: expected an object with `family`"),
    "scores on some tries": (["--families", "some", "--tries", "1"], "`some` has a `score` on some lines only"),
    "a try that is neither": (["--families", "maybe", "--tries", "1"], "maybe:1: `right` is `0.5`, expected true or"),
    "a forecast to nowhere": (["--rare", "bare"], "--rare and --deployed go together"),
    "a forecast of nothing": (["--deployed", "9"], "got 0 of the forms"),
    "a forecast from too few": (["--rare", "few", "--deployed", "9"], "got 2 queries"),
}
FILES = {
    "empty": "\n",
    "words": "a\n",
    "bare": '{"score": 1}\n',
    "high": '{"family": "a", "score": 1}\n{"family": "a", "score": 1.5}\n',
    "nan": '{"family": "a", "score": NaN}\n',
    "huge": '{"family": "a", "item": 1, "right": true, "score": ' + "9" * 400 + "}\n",
    "some": '{"family": "a", "item": 1, "right": true}\n{"family": "a", "item": 1, "right": true, "score": 1}\n',
    "maybe": '{"family": "a", "item": 1, "right": 0.5}\n',
    "few": "0.1\n0.2\n",
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_is_one_line(capsys, sentence):
    for name, text in FILES.items():
        Path(name).write_text(text, encoding="utf-8")
    arguments, message = BAD[sentence]
    code, said, complaint = run(capsys, *arguments)
    assert (code, said) == (2, "")
    assert complaint.startswith("interlock: ")
    assert message in complaint
    assert complaint.count("\n") == 1
