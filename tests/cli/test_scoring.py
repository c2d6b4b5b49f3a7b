"""`policy score`: the card as people read it, as programs do, and what is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from importlib import resources
from pathlib import Path

import pytest

from interlock import cli
from interlock.cli.scoring import NO_RATING
from interlock.policy.score import YARDSTICKS

EXAMPLE = (resources.files("interlock") / "policies" / "example-lab.yaml").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parent / "example-lab.score.txt"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """A folder with the shipped policy, and the same as the baseline of an authority, with a long name."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(EXAMPLE, encoding="utf-8")
    imposed = EXAMPLE.replace(
        "id: example-lab/rsp\n", f"id: an-authority/{'very-' * 12}long\nimposed_by: an authority\n"
    )
    Path("imposed.yaml").write_text(imposed, encoding="utf-8")


def run(capsys, *arguments):
    """(exit code, what was printed, complaints)."""
    capsys.readouterr()
    code = cli.run(["policy", "score", *arguments])
    return code, *capsys.readouterr()


def test_the_card_of_the_shipped_policy(capsys):
    code, said, _ = run(capsys, "lab.yaml")
    assert code == 0
    assert said == GOLDEN.read_text(encoding="utf-8")


def test_a_clause_is_shown_with_its_line(capsys):
    _, said, _ = run(capsys, "lab.yaml", "--yardstick", "pauses")
    [shown] = [line for line in said.splitlines() if "roles.external-auditor" in line]
    assert shown.split() == ["line", shown.split()[1], "roles.external-auditor"]
    assert EXAMPLE.splitlines()[int(shown.split()[1]) - 1].startswith("  external-auditor:")


@pytest.mark.parametrize("width", [80, 160])
def test_it_fits_the_terminal_but_for_names_that_are_longer(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    _, said, _ = run(capsys, "lab.yaml", "imposed.yaml", "--verbose")
    wide = [line for line in said.splitlines() if len(line) > width]
    assert all("very-" in line for line in wide), wide
    assert "\xa0" not in said


def test_several_policies_stand_side_by_side_before_their_cards(capsys):
    _, said, _ = run(capsys, "lab.yaml", "imposed.yaml", "-y", "pauses", "-y", "seoul")
    head = said[: said.index("(lab.yaml)")].splitlines()
    table = [" ".join(line.split()) for line in head]
    assert "pauses seoul" in table
    assert "example-lab/rsp 1.0.0 9+0/9 3+3/7" in table
    assert "9+0/9 3+3/7" in table  # under the name that is too long
    assert said.index("(lab.yaml)") < said.index("(imposed.yaml)")
    assert "pauses" not in run(capsys, "lab.yaml", "-y", "seoul")[1]


def test_a_baseline_is_called_one(capsys):
    _, said, _ = run(capsys, "imposed.yaml", "-y", "pauses")
    assert "imposed by an authority: it stands beside other policies, not alone" in said


@pytest.mark.parametrize("more", [(), ("--verbose",), ("--markdown",), ("--json",)])
def test_it_says_that_it_is_no_rating(capsys, more):
    assert NO_RATING in " ".join(run(capsys, "lab.yaml", *more)[1].split())


def test_the_help_says_so_too(capsys):
    code, said, _ = run(capsys, "--help")
    assert code == 0
    assert "no rating by METR, SaferAI or anybody else" in " ".join(said.split())
    assert all(name in said for name in YARDSTICKS)
    assert all(len(line) <= 80 for line in said.splitlines())


def test_the_sum_names_what_is_not_in_it(capsys):
    said = " ".join(run(capsys, "lab.yaml", "-y", "saferai")[1].split())
    assert (
        "2.6 of 19.8 published points that a program can see are met, 4.4 in part; 22.8 points are not judged; "
        "57.5 lie where the weights within are not published"
    ) in said
    assert "points" not in run(capsys, "lab.yaml", "-y", "pauses")[1]


def test_what_is_counted_and_its_source_come_with_verbose(capsys):
    quiet, told = (run(capsys, "lab.yaml", "-y", "metr-common", *more)[1] for more in ((), ("-v",)))
    for text in ("counted:", "not seen:", "from memory, not checked again"):
        assert text not in quiet
        assert text in " ".join(told.split())


def test_programs_read_json(capsys):
    code, said, _ = run(capsys, "lab.yaml", "--json")
    read = json.loads(said)
    [policy] = read["policies"]
    assert code == 0
    assert [card["yardstick"] for card in policy["cards"]] == list(YARDSTICKS)
    [saferai] = [card for card in policy["cards"] if card["points"]]
    parts = ("met", "in_part", "missing", "not_judged", "undivided")
    assert sum(Fraction(saferai["points"][name]) for name in parts) == 100
    rows = {row["id"]: row for row in saferai["rows"]}
    assert rows["3.1-contained"]["points"] == "2.625"
    assert rows["3.1-contained"]["clauses"] == [{"path": "requirements.security-3", "line": 47}]
    assert (rows["2.2-hold"]["points"], rows["2.2-hold"]["answer"]) == (None, "met")
    assert (rows["4.5-culture"]["answer"], rows["4.5-culture"]["standing"]) == ("not judged", "memory")
    assert set(rows["4.5-culture"]) == {
        "id", "ask", "answer", "clauses", "lacks", "write", "counts", "unseen", "source", "standing", "points"
    }  # fmt: skip


def test_markdown_is_one_table_a_card(capsys):
    _, said, _ = run(capsys, "lab.yaml", "--markdown")
    lines = said.splitlines()
    assert lines.count("|---|---|---|---|") == len(YARDSTICKS)
    assert all(line.count("|") == 5 for line in lines if line.startswith("|"))
    assert "| People can speak up. (weight not published) | missing |  | there is no channel |" in lines
    assert any(line.startswith("2.6 of 19.8 published points") for line in lines)


def test_the_answer_does_not_depend_on_what_else_is_scored(capsys):
    both = json.loads(run(capsys, "imposed.yaml", "lab.yaml", "--json")[1])["policies"][1]
    assert both == json.loads(run(capsys, "lab.yaml", "--json")[1])["policies"][0]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((), "missing argument"),
        (("no-such.yaml",), "no-such.yaml"),
        (("lab.yaml", "-y", "seol"), "there is no yardstick `seol`; did you mean `seoul`?"),
        (("lab.yaml", "--json", "--markdown"), "expected --markdown or --json, got both"),
    ],
)
def test_a_call_that_cannot_be_answered_is_refused(capsys, arguments, match):
    code, said, complaint = run(capsys, *arguments)
    assert (code, said) == (2, "")
    assert match in complaint


def test_policies_that_do_not_load_are_all_named_and_nothing_is_scored(capsys):
    for name in ("one.yaml", "two.yaml"):
        Path(name).write_text(EXAMPLE.replace("gates:", "gate:"), encoding="utf-8")
    code, said, complaint = run(capsys, "one.yaml", "lab.yaml", "two.yaml")
    assert (code, said) == (2, "")
    assert "one.yaml:" in complaint
    assert "two.yaml:" in complaint
    problems = json.loads(run(capsys, "one.yaml", "--json")[1])["problems"]
    assert {problem["file"] for problem in problems} == {"one.yaml"}
