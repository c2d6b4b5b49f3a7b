"""`witness`: watch other people's logs, and cosign what continues what was seen before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.cli._text import note, say
from interlock.cli.options import (
    JsonOption,
    NoPassphraseOption,
    PassphraseOption,
    for_new_keys,
    passphrases,
    print_json,
)
from interlock.errors import UsageError

witness_app = typer.Typer(
    help="Run a witness, which cosigns what continues what it saw before.", no_args_is_help=True, rich_markup_mode=None
)

FolderArgument = Annotated[Path, typer.Argument(help="The witness's own folder.")]


@witness_app.command("init")
def init(
    folder: FolderArgument,
    name: Annotated[str, typer.Option("--name", help="Name of the witness, such as regulator.example/witness-1.")],
    log: Annotated[
        list[str] | None, typer.Option("--log", help="Verifier key of a log to watch; may be given several times.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option("--logs", help="File with a line `log VKEY` for each log to watch, instead.")
    ] = None,
    passphrase_file: PassphraseOption = None,
    no_passphrase: NoPassphraseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start a witness in a new folder, with a new key, for the logs that it is to watch.

    A log's verifier key is what `interlock ledger verify --json` calls `vkey`; get it from the log's operator, not from
    whoever asks for cosignatures. The key made here is the witness: its folder is what it remembers, and must never be
    put back to an earlier state or copied to a second machine. If it is lost, start another witness with another name.

    \b
        interlock witness init watching --name regulator.example/witness-1 --log example-lab.rsp/ledger+1a2b3c4d+Aa...
        interlock witness serve watching
    """
    from interlock.witness.witness import create

    if (log is None) == (logs is None):
        raise UsageError("expected the logs to watch, either by --log or by --logs FILE")
    try:
        data = logs.read_bytes() if logs else "".join(f"log {vkey}\n" for vkey in log or []).encode()
    except OSError as error:
        raise UsageError(f"`{logs}`: cannot read it ({error.strerror})") from error
    choose = for_new_keys(passphrases(passphrase_file), "the witness's key", no_passphrase=no_passphrase)
    key = create(folder, name, data, passphrase=choose())
    if as_json:
        print_json({"name": key.name, "vkey": key.vkey})
        return
    say(f"witness `{folder}`; verifiers and logs need its key:", key.vkey)


@witness_app.command("serve")
def serve(
    folder: FolderArgument,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")] = 8093,
    passphrase_file: PassphraseOption = None,
) -> None:
    """Answer `add-checkpoint` requests (c2sp.org/tlog-witness) until SIGTERM or Ctrl-C.

    What is cosigned is on the disk before a cosignature leaves, so that no kill makes it cosign two histories. A line
    goes to standard error for every request; a line with ALARM means that a log signed two trees of one size, and
    that the folder's conflicts/ has both. Only this machine is served unless --host says otherwise; for others put a
    proxy with TLS in front of it. The file `logs` in the folder may be edited, and is read at the start.

    \b
        interlock witness serve watching
        interlock witness serve watching --port 9000 --passphrase-file /run/secrets/witness
    """
    from interlock.witness import serve as serving
    from interlock.witness.witness import Witness

    def tell(text: str) -> None:
        note(serving.line(text))

    witness = Witness(folder, passphrases(passphrase_file).to_open)
    try:
        with serving.Server(witness, host, port, tell) as server:
            say(f"witness `{witness.key.name}` for {len(witness.logs)} log(s) at {server.url}")
            sys.stdout.flush()
            serving.serve(server)
    finally:
        witness.close()
    say("stopped; what was cosigned is recorded")
