"""`slurm`: what the scheduler's door asks (integrations/slurm)."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from interlock.cli._text import say
from interlock.cli.options import JsonOption, print_json
from interlock.cli.permits import ActionOption, read_trust
from interlock.decide.decision import timestamp
from interlock.errors import UsageError
from interlock.gate import permit_file
from interlock.gate.lease import Lease
from interlock.gate.permit import Held
from interlock.workspace import now

app = typer.Typer(help="Let Slurm ask for a permit: see docs/launching.md.", no_args_is_help=True)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@app.callback()
def _begin() -> None:
    """Nothing is done before a command."""


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="The permit's file, by its name in --permits.")],
    permits: Annotated[Path, typer.Option(help="Folder where permits lie on the controller.")],
    trust: Annotated[Path, typer.Option(help="The trust file (`interlock permit trust`).")],
    action: ActionOption = "scale",
    deployment: Annotated[
        str | None, typer.Option(help="Digest of the deployment that is offered.", show_default="the bare model")
    ] = None,
    seen: Annotated[Path | None, typer.Option(help="Keep the latest time seen here; a clock set back holds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """For how many whole minutes does a permit that lies here still open the action? Exit code 3: for none.

    \b
    interlock slurm check run-17.json --permits /etc/interlock/permits --trust /etc/interlock/trust.json

    Which weights a job loads Slurm cannot see: `interlock run --subject`, or the gate in the training code, looks.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"the permit's name is `{name[:80]}`, expected letters, digits, `.`, `_` and `-`")
    if deployment is not None and not _DIGEST.fullmatch(deployment):
        raise UsageError(f"--deployment is `{deployment[:80]}`, expected 64 hexadecimal digits")
    file = permits / name
    try:
        with file.open("rb") as opened:
            data = opened.read(permit_file.LIMIT + 1)
    except OSError as error:
        raise Held(f"no permit `{name}` in `{permits}`: {error.strerror}") from error
    read = permit_file.read(data, read_trust(trust), at=now())
    grant = read.verify(action=action, subject=read.subject, deployment=deployment, at=now())
    left = Lease(grant, seen=seen).check()
    minutes = left // timedelta(minutes=1)
    if minutes < 1:
        raise Held(f"the permit ends at {timestamp(read.until)}, in less than a minute")
    if as_json:
        print_json({"permit": read.digest, "minutes": minutes, "until": timestamp(read.until)})
    else:
        say(f"{minutes} minutes, until {timestamp(read.until)}, by permit {read.digest[:12]}")
