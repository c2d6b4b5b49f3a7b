"""`policy explain`: what is printed and returned, for people and for programs."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from interlock import cli
from interlock.errors import OK, USAGE

EXAMPLE = (resources.files("interlock") / "policies" / "example-lab.yaml").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The shipped policy, without its keys, in the present folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "lab.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


def run(capsys, *arguments):
    """(exit code, output, errors)."""
    capsys.readouterr()
    code = cli.run(["policy", "explain", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_it_reads_well_in_80_columns_and_in_a_pipe(capsys, example):
    code, said, _ = run(capsys, "lab.yaml")
    assert code == OK
    lines = said.splitlines()
    assert lines[0] == "lab.yaml"
    assert not [line for line in lines if len(line) > 80 or line != line.rstrip() or "\x1b" in line]
    heads = [line for line in lines if re.match(r"[0-9]+\. ", line)]
    assert heads[0] == "1. What this is"
    assert heads[-1] == "11. What is missing"


def test_a_sentence_ends_with_the_line_of_its_clause(capsys, example):
    _, said, _ = run(capsys, "lab.yaml")
    text = " ".join(said.split())
    line = next(number for number, it in enumerate(EXAMPLE.splitlines(), 1) if it.startswith("  scale: "))
    assert f"nothing opens it until the policy is amended (`understanding` is a hole). [line {line}]" in text
    assert "source: section 4.1" in text


def test_many_lines_are_cut_short(capsys, example):
    _, said, _ = run(capsys, "lab.yaml")
    assert not re.search(r"\[lines [0-9]+(, [0-9]+){6}", " ".join(said.split()))


def test_a_source_that_was_not_read_is_marked(capsys, example):
    marks = '["secondary: a report", "memory: a talk", "added: no line is named"]'
    example.write_text(EXAMPLE.replace('["section 4.1"]', marks), encoding="utf-8")
    text = " ".join(run(capsys, "lab.yaml")[1].split())
    assert "source: a report (not read: secondary)" in text
    assert "source: a talk (not read: from memory)" in text
    assert "source: no line is named (added by Interlock)" in text


def test_programs_read_json(capsys, example):
    code, said, _ = run(capsys, "lab.yaml", "--json")
    read = json.loads(said)
    assert code == OK
    assert (read["file"], read["id"], read["version"]) == ("lab.yaml", "example-lab/rsp", "1.0.0")
    sentences = [it for part in read["sections"] for block in part["blocks"] for it in block["sentences"]]
    assert all(set(it) == {"text", "clauses", "sources"} and it["clauses"] for it in sentences)
    assert {"standing": "read", "text": "section 4.1"} in [source for it in sentences for source in it["sources"]]


def test_a_page_is_written_and_says_where(capsys, example):
    code, said, _ = run(capsys, "lab.yaml", "--html", "page.html")
    assert (code, said) == (OK, "page written to page.html\n")
    assert (example.parent / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_and_a_page_may_be_asked_for_at_once(capsys, example):
    _, said, _ = run(capsys, "lab.yaml", "--html", "page.html", "--json")
    assert json.loads(said)["id"] == "example-lab/rsp"
    assert (example.parent / "page.html").exists()


def test_a_policy_that_does_not_load_is_told_by_file_line_and_column(capsys, example):
    example.write_text(EXAMPLE.replace("gates:", "gate:"), encoding="utf-8")
    code, said, errors = run(capsys, "lab.yaml", "--html", "page.html")
    assert (code, said) == (USAGE, "")
    assert re.search(r"^interlock: lab\.yaml:[0-9]+:[0-9]+: ", errors, re.MULTILINE)
    assert not (example.parent / "page.html").exists()
    code, said, _ = run(capsys, "lab.yaml", "--json")
    assert code == USAGE
    assert json.loads(said)["problems"][0]["file"] == "lab.yaml"


def test_a_file_that_is_not_there_is_a_usage_error(capsys, example):
    code, _, errors = run(capsys, "no-such.yaml")
    assert code == USAGE
    assert "no-such.yaml" in errors


def test_the_help_has_an_example(capsys):
    assert "interlock policy explain anthropic-rsp-3.4 --html page.html" in run(capsys, "--help")[1]
