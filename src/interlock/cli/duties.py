"""`duties`: what must be done by a time, carried out, and put on record: done, or not in time."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.options import (
    HERE,
    JsonOption,
    PassphraseOption,
    WorkspaceOption,
    fresh,
    moment,
    passphrases,
    print_json,
)
from interlock.decide.decision import timestamp
from interlock.decide.facts import Checkpoint
from interlock.duties.account import urgency
from interlock.errors import FAILED, HOLD, OK, UsageError
from interlock.report.running import line, to_json
from interlock.workspace import Workspace, now

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.duties.account import Account, Running
    from interlock.evidence.read import Evidence

app = typer.Typer(
    help="What must be done by a time: list it, carry it out by a playbook, put on record what was done or missed.",
    no_args_is_help=True,
)
PlaybookOption = Annotated[
    Path | None,
    typer.Option("--playbook", "-p", help="How things are carried out.", show_default="playbook.yaml of the workspace"),
]
ByOption = Annotated[str | None, typer.Option("--by", help="The role that signs.", show_default="what the policy says")]


@app.command("list")
def list_duties(
    at: Annotated[str | None, typer.Option(help="As they stood at that time.", show_default="now")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Those that are done or lifted, too.")] = False,
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """List the duties that run: what, by when, what started it, and how it stands. Exit code 3 if any is overdue.

    What decisions start runs from the first one that is on record (`interlock decide --record`).
    """
    opened = Workspace.open(workspace)
    when = moment(at, "--at") if at is not None else now()
    evidence = _as_of(opened, when)
    account = evidence.duties(max(when, evidence.facts.checkpoint.time))
    if as_json:
        print_json(_json(account, evidence, when))
    else:
        _show(account, evidence, every=all_of_them)
    return HOLD if _missed(account) else OK


def _as_of(opened: Workspace, when: datetime) -> Evidence:
    """What the ledger said at a time; of one to come, what it says now."""
    from interlock.evidence.read import read_at
    from interlock.ledger import merkle

    view = opened.view()
    entries = [it for it in view.entries if it.time <= when]
    if not entries:
        raise UsageError(f"--at: the ledger had no entry at {timestamp(when)}, expected a time after its first")
    root = merkle.root(it.leaf for it in entries).hex()
    seen = Checkpoint(len(entries), root, min(when, view.time))
    (evidence,) = read_at(view, [seen], pinned_policy=opened.policy_digest)
    return evidence


@app.command("run")
def run(
    playbook: PlaybookOption = None,
    record_only: Annotated[
        bool, typer.Option("--record-only", help="Carry nothing out; record what was not done in time.")
    ] = False,
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> int:
    """Carry out what is open by the playbook, and record what was carried out and what was not in time.

    Without a playbook it only records. What has arrived is not sent again. Exit code 5 if something failed, else 3 if
    a duty is overdue and not done.
    """
    from interlock.duties.carry import Run
    from interlock.duties.playbook import load

    opened, evidence = fresh(workspace, passphrase_file)
    path = playbook or opened.folder / "playbook.yaml"
    wanted = not record_only and (playbook is not None or path.exists())
    found = load(path, [it.policy for it in evidence.versions]) if wanted else None
    outcome, account = Run(opened, found, time.sleep, by).go()
    missed = _missed(account)
    said = {
        "delivered": outcome.delivered,
        "recorded": outcome.recorded,
        "left to people": outcome.left,
        "failed": outcome.failed,
        "overdue": [line(it, evidence.facts.subjects) for it in missed],
    }
    if as_json:
        print_json({name.replace(" ", "_"): lines for name, lines in said.items()})
    else:
        for name, lines in said.items():
            say(*([f"{name}:", *_listed(lines)] if lines else [f"{name}: nothing"]))
    return FAILED if outcome.failed else HOLD if missed else OK


@app.command("done")
def done(
    digest: Annotated[str, typer.Argument(metavar="ID", help="The duty, or how its id begins; `duties list` has it.")],
    when: Annotated[str | None, typer.Option("--done", help="When it was done.", show_default="now")] = None,
    text: Annotated[str, typer.Option("--text", help="What the role says.")] = "recorded by interlock duties done",
    document: Annotated[
        Path | None, typer.Option(help="A file that shows it; its SHA-256 goes on record.", show_default="none")
    ] = None,
    by: ByOption = None,
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put on record that a duty was done. In time is what stands in the ledger in time, whatever date it gives.

    \b
    interlock duties done 3f2a9c01 --text "report 17, by registered mail" --document report-17.pdf
    """
    from interlock.duties.record import say_done, speaker, who_says_done

    opened = Workspace.open(workspace, passphrases(passphrase_file))
    evidence = opened.read()
    item = _found(evidence.duties(max(now(), evidence.facts.checkpoint.time)), digest)
    if by is None and not item.by:
        raise UsageError(f"`{item.duty}` is nobody's by the policy; name the role that signs with --by")
    signing = speaker(opened, evidence, who_says_done(evidence, item, by))
    done_at = moment(when, "--done") if when is not None else now()
    if done_at < item.opens:
        raise UsageError(f"`{item.duty}` can be done from {timestamp(item.opens)} on, got {timestamp(done_at)}")
    shown = _sha256(document) if document else None
    made = say_done(opened, evidence, item, signing, done=done_at, text=text, document=shown)
    after = opened.read()
    stands = after.duties(max(now(), after.facts.checkpoint.time)).find(item.digest) or item
    if as_json:
        print_json({"digest": made, **to_json(stands, after.facts.subjects)})
    else:
        say(f"`{item.duty}` is {stands.state}, says `{signing.role}`: duty {made[:12]}")


@app.command("check")
def check(
    playbook: Annotated[Path, typer.Argument(help="The playbook.")],
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Check a playbook, and say what the policy asks for that it has no entry for. Exit code 5 if there is any."""
    from interlock.duties.playbook import load

    evidence = Workspace.open(workspace).read()
    missing = load(playbook, [it.policy for it in evidence.versions]).missing(evidence.policy)
    if as_json:
        print_json({"missing": missing})
    elif missing:
        say("the policy asks for what the playbook does not say how to do:", *_listed(missing))
    else:
        say(f"{playbook}: everything that the policy asks for has an entry")
    return FAILED if missing else OK


def _sha256(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"`{path}`: cannot read it ({error.strerror})") from error


def _found(account: Account, digest: str) -> Running:
    found = [it for it in account.duties if len(digest) >= 8 and it.digest.startswith(digest)]
    if len(found) != 1:
        raise UsageError(f"no single duty is `{digest[:64]}`; see: interlock duties list --all")
    return found[0]


def _missed(account: Account) -> list[Running]:
    return [it for it in account.duties if it.binding and it.state == "overdue"]


# -- showing -----------------------------------------------------------------------------------------------------------


def _show(account: Account, evidence: Evidence, *, every: bool) -> None:
    shown = [it for it in account.duties if every or it.waits]
    if not shown:
        say("no duty is open" if account.duties else "no duty has started")
    else:
        say(f"{'id':<12}  {'state':<9}  {'due':<20}  what")
    for it in sorted(shown, key=urgency):
        say(line(it, evidence.facts.subjects))
    if account.ignored:
        say("", "counts as nothing:", *_listed(f"entry {it.entry}: {it.why}" for it in account.ignored))


def _listed(lines: Any) -> list[str]:  # noqa: ANN401  any lines
    return [f"  - {line}" for line in lines]


def _json(account: Account, evidence: Evidence, when: datetime) -> dict[str, Any]:
    ignored = [{"entry": it.entry, "duty": it.duty, "why": it.why} for it in account.ignored]
    return {
        "at": timestamp(when),
        "duties": [to_json(it, evidence.facts.subjects) for it in account.duties],
        "counts_as_nothing": ignored,
    }
