"""What commands write: text of others neither forges a line nor touches the terminal, whichever command says it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lab
import ledger_lab as made
from interlock import cli
from interlock.cli import _console, _text
from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, InterlockError, Mistake, PolicyError
from interlock.evidence.predicates import ComputeSource, SubjectPredicate, statement
from interlock.printable import printable
from interlock.subject.manifest import Manifest
from interlock.workspace import now

COMMANDS = Path(cli.__file__).parent
CLEARED = "\x1b[2J\x1b[H"
FORGED = f"{CLEARED}decisions on m\n\n  scale    permit\r\n\u2028verified\u200b\x1b[8m"
SPELT = r"\x1b[2J\x1b[Hdecisions on m\n\n  scale    permit\r\n\u2028verified\u200b\x1b[8m"
#: Whose text is JSON, which escapes by itself; what asks at the terminal; and how `_text` itself prints.
OTHERWISE = {"typer.echo(json.dumps", "typer.echo('\\n'.join(map(joined"}


@given(st.text())
def test_text_of_others_is_one_printable_line_and_printable_text_stays_as_it_is(text):
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    if text.isprintable():
        assert printable(text) == text


def test_each_argument_is_one_line(capsys):
    _text.say("first", FORGED, "")
    _text.note(FORGED)
    assert capsys.readouterr() == (f"first\n{SPELT}\n\n", f"{SPELT}\n")


def test_only_what_is_styled_has_escapes():
    made_bold = _text.styled(FORGED, bold=True)
    assert made_bold == f"\x1b[1m{SPELT}\x1b[0m"
    assert _text.joined(FORGED, made_bold) == SPELT + made_bold
    assert _text.joined(made_bold[:4]) == r"\x1b[1m"  # a part of it is anybody's


def test_each_argument_of_an_error_is_one_line_of_it():
    error = EvidenceError(f"got `{FORGED}`", "expected something else")
    assert error.lines == (f"got `{SPELT}`", "expected something else")
    assert str(error) == "\n".join(error.lines)
    assert str(InterlockError()) == ""
    mistakes = [Mistake("policy.yaml", line, 1, FORGED) for line in (1, 2)]
    assert str(PolicyError(mistakes)) == f"policy.yaml:1:1: {SPELT}\npolicy.yaml:2:1: {SPELT}"


@pytest.mark.parametrize("raised", [EvidenceError(FORGED), OSError(FORGED), ValueError(FORGED)], ids=repr)
def test_an_error_is_as_many_lines_as_the_program_made_of_it(monkeypatch, capsys, raised):
    def failing(**_):
        raise raised

    monkeypatch.setattr(cli, "app", failing)
    cli.run([])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("interlock: ")
    assert SPELT in line


def test_what_rich_draws_has_its_own_escapes_only():
    console = _console.console(force_terminal=True, width=200)
    with console.capture() as captured:
        console.print(CLEARED, style="bold")
        console.print("two\nlines")
    assert captured.get() == "\x1b[1m\\x1b[2J\\x1b[H\x1b[0m\ntwo\nlines\n"


@pytest.mark.parametrize("file", sorted(COMMANDS.glob("*.py")), ids=str)
def test_no_command_writes_past_it(file):
    calls = [it for it in ast.walk(ast.parse(file.read_text())) if isinstance(it, ast.Call)]
    raw = {
        "typer.echo",
        "typer.secho",
        "typer.style",
        "print",
        "sys.stdout.write",
        "sys.stderr.write",
        "Console",
        "rich.print",
    }
    found = [ast.unparse(it) for it in calls if ast.unparse(it.func) in raw]
    if file.name == "_console.py":
        found.remove("Console(highlight=False, **options)")
    if file.name == "_text.py":
        found.remove("typer.style(printable(text), **style)")
    assert [it for it in found if not it.startswith(tuple(OTHERWISE))] == []


def test_a_signed_text_is_shown_in_its_own_line(tmp_path, capsys):
    """At a terminal; in JSON it stays as it was signed."""
    workspace = made.make(tmp_path)
    files, source = Manifest((("model.safetensors", "9" * 64),)), ComputeSource(FORGED)
    predicate = SubjectPredicate("toy", files, made.COMPUTE, made.COMPUTE, made.COMPUTE, (), source)
    signed = statement("subject", name="toy", digest=files.digest, predicate=predicate.to_json())
    made.sign(workspace, signed, "evaluation-team")
    code, shown = lab.at_a_terminal("subject", "show", "toy", "-w", workspace.folder, answers=())
    assert (code, "\x1b" in shown) == (0, False)
    assert f"compute by            {SPELT}\n" in shown
    said = lab.command(capsys, workspace, "subject", "show", "toy", "--json")
    assert said.json["compute_source"]["said"] == FORGED


def test_the_ledger_s_log_names_what_has_the_digest(tmp_path, capsys):
    """Whatever a statement calls it: a result, and what is about an entry."""
    workspace = made.make(tmp_path)
    toy = Manifest((("model.safetensors", "9" * 64),))
    predicate = SubjectPredicate("toy", toy, made.COMPUTE, made.COMPUTE, made.COMPUTE, ())
    made.sign(
        workspace, statement("subject", name="toy", digest=toy.digest, predicate=predicate.to_json()), "evaluation-team"
    )
    result = made.evaluate(workspace, about=toy.digest)  # which says that it is on `m`
    aside = statement("set-aside", name="entry 2", digest=result, predicate={"reason": "x", "at": timestamp(now())})
    made.sign(workspace, aside, "external-auditor")
    made.attest(workspace, "no-evaluation-gaming")
    rows = lab.command(capsys, workspace, "ledger", "log", "--json").json
    assert [(it["kind"], it["about"]) for it in rows] == [
        ("policy", workspace.read().policy.id),
        ("subject", "m"),
        ("subject", "toy"),
        ("plan", "toy"),
        ("result", "toy"),
        ("set-aside", "entry 4"),
        ("attestation", "m"),
    ]
