"""`bundle`: a decision and all that it rests on, in one file that verifies anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlock.cli._text import say
from interlock.cli.ledger import log_key
from interlock.cli.options import HERE, JsonOption, WorkspaceOption, print_json
from interlock.decide.decision import timestamp, to_json
from interlock.errors import HOLD, OK, EvidenceError, UsageError
from interlock.evidence import bundle
from interlock.gate.permit import ended
from interlock.ledger import quorum
from interlock.ledger._signed import Log, utc
from interlock.ledger.note import NoteKey
from interlock.ledger.prefix import Cosigners, cosigned, no_cosigners
from interlock.workspace import Workspace, now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.evidence.bundle import Verified
    from interlock.evidence.read import Permit, Record

app = typer.Typer(
    help="Hand a decision over as one file, and verify such a file.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("export")
def export(
    decision: Annotated[str, typer.Argument(help="Digest of a recorded decision, its entry's number, or `latest`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default="decision-N.bundle.json")
    ] = None,
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Write the bundle of a decision that the ledger records: the whole ledger up to it, and its checkpoints.

    Whoever gets it needs the log's verifier key, which is printed, and should get that some other way than the file.
    The logs of evaluations are not in it. A decision that would not verify is not exported: exit code 4.

    \b
        interlock bundle export latest
        interlock bundle export 3f9a41c2 -o for-the-regulator.json
    """
    from interlock.evidence.read import read

    opened = Workspace.open(workspace)
    ledger, view = opened.ledger, opened.view()
    record = _decision(read(view, pinned_policy=opened.policy_digest).records, decision)
    data, _ = bundle.checked(ledger, view, record.entry, policy=opened.policy_digest)
    path = output or Path(f"decision-{record.entry}.bundle.json")
    write(path, data)
    vkey = NoteKey(ledger.origin, ledger.key).vkey
    told = {"file": str(path), "bytes": len(data), "entries": record.entry + 1, "decision": record.digest}
    if as_json:
        print_json({**told, "vkey": vkey, "policy": opened.policy_digest})
        return
    say(f"{path}: {len(data)} bytes, {record.entry + 1} entries, the decision {record.digest[:12]} the last")
    say(f"to check it: interlock bundle verify {path} --vkey {vkey} --policy {opened.policy_digest}")


def write(path: Path, data: bytes) -> None:
    """Write a file that was asked for.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"`{path}`: cannot write it ({error.strerror})") from error


def _decision(records: tuple[Record, ...], wanted: str) -> Record:
    """The record of the decision that was asked for.

    Raises:
        UsageError: there is none, or the digest fits several.
    """
    decisions = [record for record in records if record.kind == "decision"]
    if wanted == "latest":
        found = decisions[-1:]
    elif wanted.isascii() and wanted.isdecimal() and len(wanted) < 8:
        found = [record for record in decisions if record.entry == int(wanted)]
    else:
        found = [record for record in decisions if len(wanted) >= 8 and record.digest.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    known = (
        ", ".join(str(record.entry) for record in decisions[-8:]) or "none yet: `interlock decide --record` makes one"
    )
    raise UsageError(f"no single decision `{wanted[:80]}` in the ledger; the last ones are entries {known}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle.")],
    vkey: Annotated[str, typer.Option("--vkey", help="The log's verifier key, `name+id+base64`; not from the bundle.")],
    policy: Annotated[
        str | None, typer.Option("--policy", help="Digest of the policy that is expected; any, without it.")
    ] = None,
    witnesses: Annotated[
        Path | None, typer.Option("--witnesses", help="Quorum file of witnesses (c2sp.org/tlog-policy).")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Verify a bundle without workspace or network, and derive its decision again.

    So is each decision on which a permit before it rests. Exit code 0 if it verifies and permits, 3 if it verifies and
    holds, 4 if anything in it is not as it should be. It says what was right at the decision's ledger time, not what is
    right today.

    \b
        interlock bundle verify decision-12.bundle.json --vkey example-lab.rsp/ledger+1a2b3c4d+Aa...
    """
    key = log_key(vkey)
    if policy is not None and not (len(policy) == 64 and set(policy) <= set("0123456789abcdef")):
        raise UsageError(f"--policy: got `{policy[:80]}`, expected a SHA-256 in 64 lowercase hexadecimal digits")
    log = Log(key.name, key.public)
    verified = bundle.verify(_read(file), log, policy=policy, cosigners=_cosigners(witnesses, log))
    if as_json:
        print_json(_described(verified))
    else:
        _show(verified)
    return OK if verified.decision.verdict == "permit" else HOLD


def _cosigners(file: Path | None, log: Log) -> Cosigners:
    if file is None:
        return no_cosigners
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"`{file}`: cannot read it ({error.strerror})") from error
    return cosigned(quorum.parse(data, str(file)), log=log, now=now())


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(bundle.LIMIT + 1)
    except OSError as error:
        raise UsageError(f"`{file}`: cannot read it ({error.strerror})") from error
    if len(data) > bundle.LIMIT:
        raise EvidenceError(f"`{file}`: got more than {bundle.LIMIT} bytes, expected at most that")
    return data


def _described(verified: Verified) -> dict[str, Any]:
    record, checkpoint = verified.record, verified.shown.checkpoint
    return {
        "verdict": verified.decision.verdict,
        "decision": to_json(verified.decision),
        "digest": record.digest,
        "entry": record.entry,
        "ledger_time": timestamp(record.at),
        "signers": sorted(record.signers),
        "policy": {"digest": verified.policy, "expected": verified.pinned},
        "permits_before_it": {permit.digest: _permit(verified, permit) for permit in verified.evidence.permits},
        "log": verified.shown.view.origin,
        "checkpoint": {
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "time": timestamp(utc(checkpoint.time)),
            "cosigned_by": list(verified.shown.cosigned_by),
        },
        "not_checked": list(_not_checked(verified)),
    }


def _permit(verified: Verified, permit: Permit) -> dict[str, str | None]:
    """What is told of a permit that stands before the decision, and how it had ended by then."""
    terms, over = permit.terms, permit.terms.not_after <= verified.record.at
    return {
        "action": terms.action,
        "subject": permit.subject,
        "deployment": terms.deployment,
        "not_before": timestamp(terms.not_before),
        "not_after": timestamp(terms.not_after),
        "ended": ended(verified.evidence, permit) or ("its time was over" if over else "not ended"),
    }


def _show(verified: Verified) -> None:
    from interlock.cli import show

    decision, record, checkpoint = verified.decision, verified.record, verified.shown.checkpoint
    show.decisions([decision], subject=_named(verified, decision.subject, decision.deployment))
    lines = [
        *_digests(decision.subject, decision.deployment),
        f"decision    {record.digest}, entry {record.entry} of `{verified.shown.view.origin}`",
        f"signed by   {', '.join(sorted(record.signers))}",
        f"decided at  {timestamp(decision.at)}, having read {decision.checkpoint.size} entries",
        f"ledger time {timestamp(record.at)}",
        f"policy      {verified.policy}" + ("" if verified.pinned else " (any was allowed)"),
        f"checkpoint  {checkpoint.size} entries at {timestamp(utc(checkpoint.time))}"
        + (f", cosigned by {', '.join(verified.shown.cosigned_by)}" if verified.shown.cosigned_by else ""),
    ]
    say("", "verified: derived again with the same answer", *(f"  {line}" for line in lines))
    for permit in verified.evidence.permits:
        first, *rest = _permit_lines(verified, permit)
        say(first, *(f"  {line}" for line in rest))
    say("not checked:", *(f"  - {line}" for line in _not_checked(verified)))


def _permit_lines(verified: Verified, permit: Permit) -> list[str]:
    told = _permit(verified, permit)
    named = _named(verified, permit.subject, permit.terms.deployment)
    return [
        f"a permit before it, for `{permit.terms.action}` of {named}; its decision was derived again, too",
        *_digests(permit.subject, permit.terms.deployment),
        f"permit      {permit.digest}",
        f"lasts       from {told['not_before']} until {told['not_after']} at most",
        f"by then     {told['ended']}",
    ]


def _named(verified: Verified, subject: str, deployment: str | None) -> str:
    """What is permitted, by names. Two names can look alike: its digests tell what it is."""
    facts = verified.evidence.facts
    offered = facts.deployments.get(deployment or "")
    return f"`{facts.subjects[subject].name}`" + (f" as offered in `{offered.name}`" if offered else "")


def _digests(subject: str, deployment: str | None) -> list[str]:
    return [f"subject     {subject}", *([f"deployment  {deployment}"] if deployment else [])]


def _not_checked(verified: Verified) -> Iterator[str]:
    """What this bundle cannot show, in words."""
    if not verified.pinned:
        yield "the policy: compare its digest with the one you expect, or give it with --policy"
    yield f"the bytes of evaluation logs: {verified.logs} named by the results, none in a bundle"
    yield f"what came after the decision: {verified.unread} more entries, covered by their hashes alone"
    if verified.evidence.permits:
        yield "the permits before it, by older times of their entries than the history shows"
    if verified.shown.cosigned_by:
        yield "the times: the log's word, as witnesses cosigned no checkpoint but the last"
    else:
        yield "the times, and that the log shows others the same: its own word, as no witness cosigned"
