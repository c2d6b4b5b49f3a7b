"""`ledger` and `report`: what stands in the ledger, whether it verifies, and the page that shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, fresh, print_json
from interlock.decide.decision import timestamp
from interlock.evidence.rederive import rederive
from interlock.workspace import Workspace

ledger_app = typer.Typer(help="Read and verify the append-only ledger.", no_args_is_help=True)


@ledger_app.command("verify")
def verify(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """Recompute everything: hashes, checkpoints, signatures, logs, and every decision that the ledger records.

    Exit code 4 on the first thing that is not as it should be, naming it.
    """
    opened = Workspace.open(workspace)
    evidence = opened.read()
    logs = opened.check_logs(evidence)
    again = rederive(opened.ledger.read(), pinned_policy=opened.policy_digest)
    checkpoint = evidence.facts.checkpoint
    found = {
        "entries": checkpoint.size,
        "root": checkpoint.root,
        "checkpoint_time": timestamp(checkpoint.time),
        "logs": logs,
        "decisions_derived_again": again,
        "policy": evidence.policy_digest,
    }
    if as_json:
        print_json(found)
        return
    typer.echo(
        f"ok: {checkpoint.size} entries, root {checkpoint.root[:16]}, checkpoint of {timestamp(checkpoint.time)}; "
        f"{logs} logs unaltered; {again} decision(s) derived again with the same answer"
    )


@ledger_app.command("log")
def log(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """List the entries: what each is, about what, signed by whom, when."""
    records = Workspace.open(workspace).read().records
    if as_json:
        print_json(
            [
                {
                    "entry": r.entry,
                    "kind": r.kind,
                    "about": r.about,
                    "signers": sorted(r.signers),
                    "time": timestamp(r.at),
                    "digest": r.digest,
                }
                for r in records
            ]
        )
        return
    for r in records:
        typer.echo(f"{r.entry:>4}  {timestamp(r.at)}  {r.kind:<12} {r.about:<20} {', '.join(sorted(r.signers))}")


@ledger_app.command("show")
def show(
    entry: Annotated[int, typer.Argument(min=0, help="Number of the entry.")], workspace: WorkspaceOption = HERE
) -> None:
    """Print the signed statement of one entry as JSON."""
    import json

    from interlock.errors import UsageError
    from interlock.evidence import dsse

    opened = Workspace.open(workspace)
    entries = opened.ledger.read().entries
    if entry >= len(entries):
        raise UsageError(f"the ledger has {len(entries)} entries, got {entry}")
    print_json(json.loads(dsse.parse(entries[entry].data).payload))


def report(
    workspace: WorkspaceOption = HERE,
    passphrase_file: PassphraseOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the page.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page: gate matrix, bounds against thresholds, curves, checkpoint, every reason."""
    from interlock.report import page

    opened, evidence = fresh(workspace, passphrase_file)
    found = page.gather(evidence)
    if as_json:
        print_json(page.to_json(found))
        return
    path = output or opened.folder / "report.html"
    page.write(found, path)
    typer.echo(f"report written to {path}")
