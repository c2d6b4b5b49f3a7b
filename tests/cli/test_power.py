"""`power`, and what `plan` refuses: too few items are noticed before anything is run."""

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
    code = cli.run(["power", *arguments])
    return code, *capsys.readouterr()


def test_a_policys_threshold_says_how_many_items_it_needs(capsys):
    code, said, _ = run(capsys, "--policy", "example-lab", "--threshold", "codebook-use")
    assert code == 0
    assert "`codebook` under 0.2 less the margin 0.05, at confidence 0.95 (Clopper-Pearson)" in said
    assert "at least    19 items, and then none may be dangerous" in said
    assert "needed      30 items, up to 1 of them dangerous: power 0.926 at an assumed true rate of 0.015" in said
    assert "by looks    43 items at the most, 33.2 in the mean" in said


@pytest.mark.parametrize(("items", "code"), [(120, 0), (93, 0), (92, 5), (40, 5)])
def test_too_few_items_end_in_exit_code_5(capsys, items, code):
    found, said, _ = run(capsys, "-p", "example-lab", "-t", "codebook-use-open", "--items", str(items))
    assert found == code
    assert ("(enough)" in said) == (code == 0)
    assert ("can rule out nothing" in said) == (items == 40)


def test_numbers_of_ones_own_and_json(capsys):
    arguments = ("--level", "0.2", "--margin", "0.05", "--confidence", "0.99", "--rate", "0.05", "--json")
    code, said, _ = run(capsys, *arguments, "--items", "150")
    (row,) = json.loads(said)["lines"]
    assert (code, row["confidence"], row["assumed_rate"], row["enough"]) == (0, "0.99", "0.05", True)
    assert row["by_rate"][0] == {"rate": "0", "power": 1.0}
    powers = [it["power"] for it in row["by_rate"]]
    assert powers == sorted(powers, reverse=True)
    assert powers[-1] < 0.01  # at what is to be ruled out: the chance to be wrong


def test_power_is_drawn_to_a_file(capsys):
    assert run(capsys, "--level", "0.2", "--plot", "power.svg")[0] == 0
    assert "<svg" in Path("power.svg").read_text(encoding="utf-8")


REFUSED = {
    "nothing is asked": ([], "expected --policy and --threshold, or --level"),
    "a policy without a threshold": (["--policy", "example-lab"], "expected --policy and --threshold, or --level"),
    "both a policy and a level": (["--policy", "example-lab", "-t", "takeover", "--level", "0.1"], "or --level"),
    "a threshold that is not there": (
        ["--policy", "example-lab", "-t", "nope"],
        "no threshold `nope`; it has: codebook",
    ),
    "a policy that is not there": (["--policy", "nope", "-t", "x"], "no file `nope` is there"),
    "no number": (["--level", "high"], "--level is `high`, expected a number from 0 to 1"),
    "a number of a billion digits": (
        ["--level", "1e-999999999"],
        "--level is `1e-999999999`, expected a number from 0 to 1, of at most 40 characters and an exponent of -400 to",
    ),
    "one of them written with a line within": (["--level", "0.2", "--rate", "1E-99_99_99"], "and an exponent of -400"),
    "a number without end": (["--level", "0." + "1" * 10**5], f"--level is `0.{'1' * 38}...`, expected a number from"),
    "a part of nothing": (["--level", "0.2", "--power", "1/0"], "--power is `1/0`, expected a number from 0 to 1"),
    "a margin as large as the level": (["--level", "0.1", "--margin", "0.1"], "cannot be ruled out"),
    "certainty": (["--level", "0.1", "--confidence", "1"], "cannot be ruled out"),
    "a truth over the level": (["--level", "0.1", "--rate", "0.2"], "the assumed rate 0.2 is not under 0.1"),
    "a power of one": (["--level", "0.1", "--power", "1"], "got a power of 1"),
    "a drawing of no known kind": (["--level", "0.1", "--plot", "x.doc"], "cannot draw to `x.doc`"),
    "a threshold that counts nothing": (
        ["--policy", "openai-pf-2", "-t", "bio-chem-high"],
        "no line on a plain measure",
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_planned_is_one_clear_error(capsys, sentence):
    arguments, message = REFUSED[sentence]
    code, said, complaint = run(capsys, *arguments)
    assert (code, said) == (2, "")
    assert complaint.startswith("interlock: ")
    assert message in complaint
    assert complaint.count("\n") == 1
