"""`admission`: the webhook that a Kubernetes API server asks before it makes a Pod."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.cli._text import note
from interlock.cli.permits import ActionOption, read_trust
from interlock.errors import HOLD, OK, UsageError
from interlock.gate.clock import Steady
from interlock.gate.kubernetes import LIMIT, Door, answer

app = typer.Typer(help="Let a Kubernetes cluster ask for permits: see docs/launching.md.", no_args_is_help=True)
PermitsOption = Annotated[Path, typer.Option("--permits", help="Folder where permits lie at the gate.")]
TrustOption = Annotated[Path, typer.Option("--trust", help="The trust file (`interlock permit trust`).")]
SeenOption = Annotated[
    Path | None, typer.Option(help="Keep the latest time seen here; a clock set back then holds, also after a restart.")
]


@app.command("serve")
def serve(
    permits: PermitsOption,
    trust: TrustOption,
    certificate: Annotated[Path, typer.Option(help="The server's certificate (PEM), which the webhook's CA signed.")],
    key: Annotated[Path, typer.Option(help="Its private key (PEM).")],
    host: Annotated[str, typer.Option(help="Address to serve at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8443,
    seen: SeenOption = None,
) -> None:
    """Answer a cluster's questions over HTTPS, at /admit/ACTION, until it is ended.

    \b
    interlock admission serve --permits /permits --trust /trust.json --certificate tls.crt --key tls.key --host 0.0.0.0

    integrations/kubernetes has what the cluster needs: with `failurePolicy: Fail` it refuses while nobody answers.
    """
    from interlock.gate.kubernetes_serve import Server

    read_trust(trust)  # tells mistakes now; it is read again for each review
    server = Server((host, port), _door(permits, trust, seen), certificate=certificate, key=key, tell=_tell)
    _tell(f"serving at https://{host}:{server.server_address[1]}/admit/ACTION")
    with server:
        server.serve_forever()


@app.command("review")
def review(
    file: Annotated[Path, typer.Argument(help="An AdmissionReview (JSON); `-`: from standard input.")],
    permits: PermitsOption,
    trust: TrustOption,
    action: ActionOption = "scale",
    seen: SeenOption = None,
) -> int:
    """What the webhook would answer to one review. Exit code 3: it is refused.

    \b
    interlock admission review review.json --permits /permits --trust /trust/trust.json
    """
    try:
        data = sys.stdin.buffer.read(LIMIT + 1) if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"`{file}`: cannot read it ({error.strerror})") from error
    said = answer(_door(permits, trust, seen), data, action=action)
    typer.echo(json.dumps(said, indent=2))
    return OK if said["response"]["allowed"] else HOLD


def _door(permits: Path, trust: Path, seen: Path | None) -> Door:
    return Door(permits, lambda: read_trust(trust), Steady(), seen)


def _tell(text: str) -> None:
    note(text)
