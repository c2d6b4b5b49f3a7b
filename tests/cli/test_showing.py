"""`policy show`: what is printed for people and for programs, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from interlock import cli
from interlock.errors import OK, USAGE
from interlock.policy import clauses, shipped, to_json
from interlock.policy.draft import draft
from interlock.report import matrix

ROOT = Path(__file__).parents[2]
FULL = ROOT / "tests" / "policy" / "full.yaml"
EXAMPLE = shipped.path(shipped.EXAMPLE)


@pytest.fixture
def show(capsys, monkeypatch):
    """Runs `policy show`, with a terminal of that width; gives the exit code, what was printed, and what was said."""

    def run(*arguments, width=100):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        code = cli.run(["policy", "show", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def words(text):
    return set(re.findall(r"[\w.@><=-]+", text))


def said_by(file):
    placed = matrix.placed(file, *clauses.read(file))
    return placed, [it for table in matrix.one(placed) for row in table.rows for cell in row for it in cell]


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("file", [EXAMPLE, FULL], ids=lambda it: it.stem)
def test_nothing_of_the_matrix_is_cut_and_no_line_is_too_long(show, file, width):
    code, out, err = show("--matrix", file, width=width)
    assert (code, err) == (OK, "")
    _, items = said_by(file)
    printed = words(out)
    for it in items:
        assert words(it.text) <= printed, it
        assert not it.line or f":{it.line}" in out
    assert max(map(len, out.splitlines())) <= width


def test_a_narrow_terminal_breaks_words_and_loses_nothing(show):
    _, out, _ = show("--matrix", EXAMPLE, width=30)
    letters = re.sub(r"[\s─]", "", out)
    assert "understanding(ahole,untilamended)" in letters.replace("-", "")
    assert max(map(len, out.splitlines())) <= 30


def test_policies_stand_side_by_side_as_far_as_the_terminal_is_wide(show):
    both = re.compile(r"codebook-use :57 .*cyber-high :170")
    _, wide, _ = show("--matrix", EXAMPLE, FULL, width=140)
    assert both.search(wide)
    _, narrow, _ = show("--matrix", EXAMPLE, FULL, width=50)
    assert not both.search(narrow)
    assert all(words(it.text) <= words(wide) for file in (EXAMPLE, FULL) for it in said_by(file)[1])


def test_a_policy_that_ships_goes_by_its_name(show):
    assert show("example-lab")[1] == show(EXAMPLE)[1]
    assert "example-lab/rsp" in show("example-lab")[1]
    code, out, _ = show("--list")
    assert (code, out.split()) == (OK, list(shipped.names()))


def test_for_programs_one_policy_is_its_compiled_form(show):
    code, out, _ = show("--json", EXAMPLE)
    assert code == OK
    assert json.loads(out) == json.loads(json.dumps(to_json(draft(EXAMPLE))))
    assert show("--format", "json", EXAMPLE)[1] == out


def test_for_programs_a_matrix_has_every_value_with_its_clause(show):
    _, out, _ = show("--matrix", "--json", EXAMPLE, FULL)
    lab, full = json.loads(out)["policies"]
    assert (lab["id"], lab["file"], full["version"]) == ("example-lab/rsp", str(EXAMPLE), "2.0.0")
    assert lab["gates"][0]["action"] == "scale"
    assert lab["gates"][0]["cells"][0]["requires"] == [
        {"line": 47, "path": "requirements.security-3", "standings": [], "text": "security-3"}
    ]


@pytest.mark.parametrize("layout", ["text", "markdown", "html", "json"])
@pytest.mark.parametrize("arguments", [["--matrix", EXAMPLE, FULL], ["--matrix", FULL], [FULL]])
def test_what_is_written_to_a_file_is_what_would_be_printed(show, tmp_path, monkeypatch, layout, arguments):
    monkeypatch.chdir(tmp_path)
    code, printed, _ = show("--format", layout, *arguments)
    assert code == OK
    code, out, err = show("--format", layout, "-o", "page", *arguments)
    assert (code, out, err) == (OK, "", "written to page\n")
    assert (tmp_path / "page").read_text(encoding="utf-8") == printed
    assert printed.endswith("\n")
    assert "\x1b" not in printed


def test_links_lead_from_where_the_page_lies(show, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "p.yaml").write_bytes(EXAMPLE.read_bytes())
    show("--matrix", "-f", "markdown", "-o", tmp_path / "docs" / "page.md", tmp_path / "p.yaml")
    assert "[security-3](../p.yaml#L47)" in (tmp_path / "docs" / "page.md").read_text(encoding="utf-8")


def test_a_policy_that_does_not_load_is_told_with_all_that_is_wrong(show, tmp_path):
    broken = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for path in broken:
        path.write_text(EXAMPLE.read_text(encoding="utf-8").replace("gates:", "gate:"), encoding="utf-8")
    code, out, err = show("--matrix", broken[0], EXAMPLE, broken[1])
    assert (code, out) == (USAGE, "")
    assert all(f"{path}:" in err for path in broken)
    code, out, _ = show("--matrix", "--json", *broken)
    assert code == USAGE
    assert {it["file"] for it in json.loads(out)["problems"]} == {str(path) for path in broken}


REFUSED = {
    "no policy": ([], "expected at least one policy, got none"),
    "a name that is not known": (["exmaple-lab"], "did you mean `example-lab`"),
    "a file that is not there": (["none/such.yaml"], "no file `none/such.yaml` is there"),
    "several without a matrix": ([EXAMPLE, FULL], "expected one policy, got 2; --matrix shows several"),
    "an unknown format": (["--format", "pdf", EXAMPLE], "pdf"),
    "two formats": (["--json", "--format", "html", EXAMPLE], "expected --json or --format html, got both"),
    "a folder that is not there": (["-o", "none/page", EXAMPLE], "expected a folder for `none/page`"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_it_refuses(show, tmp_path, monkeypatch, why):
    monkeypatch.chdir(tmp_path)
    arguments, said = REFUSED[why]
    code, out, err = show(*arguments)
    assert (code, out) == (USAGE, "")
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_its_extra_is_one_sentence():
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from interlock import cli; sys.exit(cli.run(['policy', 'show', 'example-lab', '-f', 'html']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (USAGE, "")
    assert ended.stderr == "interlock: `jinja2` is not installed; install it with: pip install 'interlock[report]'\n"


def test_text_needs_no_extra():
    code = (
        "import sys; sys.modules |= dict.fromkeys(['jinja2', 'matplotlib', 'markupsafe'])\n"
        "from interlock import cli; sys.exit(cli.run(['policy', 'show', '--matrix', 'example-lab']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (OK, "")
