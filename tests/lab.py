"""A developer's lab for tests: workspaces made by the real functions, and the tools of an attacker inside it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from interlock import cli
from interlock import workspace as workspace_module
from interlock.cli.decisions import sign_attestation
from interlock.cli.setup import start
from interlock.cli.subjects import register
from interlock.evaluate import execute
from interlock.evaluate.due import open_plans
from interlock.evidence import dsse, keys
from interlock.evidence.predicates import predicate_type, statement
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.gate import permit as permits
from interlock.ledger.tiles import ENTRIES, WIDTH, Tile
from interlock.ledger.writer import Writer, create
from interlock.workspace import Place, Workspace, now

POLICY = Path(__file__).parents[1] / "policies" / "example-lab.yaml"
COMPUTE = 10**12  # FLOP of the honest subject
ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")


def later(monkeypatch, moment: datetime) -> None:
    """The machine's clock from now on: one that stands still."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    monkeypatch.setattr(workspace_module, "datetime", Clock)


@dataclass(frozen=True)
class Said:
    """What one command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def command(capsys, workspace: Workspace, *arguments: str) -> Said:
    """Run one command in this process, on a workspace."""
    capsys.readouterr()
    code = cli.run([*arguments, "--workspace", str(workspace.folder)])
    return Said(code, *capsys.readouterr())


def at_a_terminal(*arguments, answers):
    """Run the command line with a terminal for its input; give one answer to each prompt. Returns code and output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from interlock.cli import main; main()", *map(str, arguments)]
    started = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    waiting = list(answers)
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            part = b""
        if not part:
            break
        shown += part
        if waiting and shown.endswith(b": "):
            os.write(ours, waiting.pop(0).encode() + b"\n")
    os.close(ours)
    return started.wait(), shown.decode().replace("\r\n", "\n")


def verdict(capsys, workspace: Workspace, subject: str = "honest", action: str = "scale") -> tuple[str, str]:
    """What `interlock decide` answers, and all of its reasons in words."""
    said = command(capsys, workspace, "decide", "-s", subject, "-a", action, "--json")
    assert said.code in {0, 3}, said.err
    assert said.code == (0 if said.json["verdict"] == "permit" else 3)
    rulings = said.json["rulings"]
    told = [said.json, *rulings, *(cell["finding"] for ruling in rulings for cell in ruling["cells"])]
    return said.json["verdict"], " | ".join(reason["text"] for it in told for reason in it["reasons"])


def make(folder: Path, model: Path) -> Workspace:
    """A workspace whose ledger holds the policy and one registered subject, `honest`."""
    workspace = start(folder, POLICY, encrypt_with=lambda: None)
    register(workspace, Place(model, None), name="honest", compute=COMPUTE)
    return workspace


def announce(workspace: Workspace, elicitation: str, demonstrations: int = 0, subject: str = "honest") -> str:
    return execute.announce(
        workspace,
        subject=subject,
        measure="codebook",
        elicitation=elicitation,
        demonstrations=demonstrations,
        seed=0,
    )


def run_open_plans(workspace: Workspace, subject: str = "honest") -> None:
    evidence = workspace.read()
    for plan in open_plans(evidence, subject=evidence.subject(subject).digest):
        execute.run(workspace, plan, progress=lambda stage, done, total, note="": None)


def attest_everything(workspace: Workspace, subject: str = "honest") -> None:
    for assumption in workspace.read().policy.assumptions:
        sign_attestation(workspace, assumption=assumption, subject=subject, text="a test")
    sign_attestation(workspace, requirement="security-3", about="developer", text=f"a test with {subject}")


def copy(source: Workspace, folder: Path) -> Workspace:
    """The same workspace in another folder; the models that it names stay where they are."""
    shutil.copytree(source.folder, folder)
    return Workspace.open(folder)


def adopt(workspace: Workspace, **changes) -> Workspace:
    """Change what `interlock.json` says is trusted, and open the workspace again."""
    path = workspace.folder / "interlock.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return Workspace.open(workspace.folder)


# -- the attacker, who holds every key -------------------------------------------------------------------------------


def key(workspace: Workspace, name: str) -> keys.KeyPair:
    return keys.load_private(workspace.folder / "keys" / f"{name}.key")


def payload(workspace: Workspace, kind: str, number: int = -1) -> Statement:
    """A statement that stands in the ledger: the `number`-th of its kind."""
    found = [Statement.parse(dsse.parse(entry.data).payload) for entry in workspace.ledger.read().entries]
    return [made for made in found if made.predicate_type == predicate_type(kind)][number]


def changed(made: Statement, **members) -> Statement:
    """A statement with other members in its predicate."""
    return Statement(made.predicate_type, made.subjects, {**made.predicate, **members})


def result_of(workspace: Workspace, number: int = -1, **members) -> Statement:
    """A result as it stands in the ledger, with other members: the counts, say, or the plan that it names."""
    return changed(payload(workspace, "result", number), **members)


def counts(correct: int, *, scored: int = 120, **others: int | str) -> dict:
    usual = {"planned": 120, "completed": 120, "refused_scores": 0, "refused_at_most": 120, "errored": 0, "limited": 0}
    return {**usual, "scored": scored, "correct": correct, **others}


def about_honest(workspace: Workspace, kind: str, predicate: dict) -> Statement:
    subject = workspace.read().subject("honest")
    return statement(kind, name=subject.name, digest=subject.digest, predicate=predicate)


def envelope(made: Statement, *pairs: keys.KeyPair) -> bytes:
    return dsse.sign(made.to_bytes(), PAYLOAD_TYPE, pairs)


def force(workspace: Workspace, data: bytes) -> None:
    """Append past every check of `Workspace.append`, as whoever holds the log's key could."""
    with workspace.writer() as writer:
        writer.append_at(data, size(workspace))


def sign_anew(workspace: Workspace, entries: Iterable[bytes]) -> None:
    """The log's owner begins its ledger anew, with these entries and no memory of what stood there."""
    workspace.memory.give_up()
    shutil.rmtree(workspace.folder / "ledger")
    pair = key(workspace, "log")
    with Writer(create(workspace.folder / "ledger", workspace.origin, pair, now()), pair) as writer:
        for number, data in enumerate(entries):
            writer.append_at(data, number)


def size(workspace: Workspace) -> int:
    return workspace.ledger.read().size


def bundle(workspace: Workspace) -> Path:
    """The file that holds the newest entries."""
    entries = size(workspace)
    return workspace.ledger.folder / Tile(ENTRIES, entries // WIDTH, entries % WIDTH).path


def issue(workspace: Workspace, *, action: str = "scale", most_compute: int | None = None) -> str:
    """A permit for the honest subject, honestly issued."""
    workspace.refresh()
    issued = permits.issue(workspace, subject="honest", action=action, at=now(), most_compute=most_compute)
    assert issued.permit is not None
    return issued.permit
