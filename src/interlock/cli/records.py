"""`report`: the page that shows what stands in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interlock.cli._text import say
from interlock.cli.options import HERE, JsonOption, PassphraseOption, WorkspaceOption, fresh, print_json


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
    say(f"report written to {path}")
