"""A bundle: one file that shows a decision to somebody who has nothing else but the log's public key.

Guarantees: `verify` believes nothing in the file that the log's key did not sign, reads every entry of the ledger up to
the decision as `evidence.read` does, derives the decision again, and refuses the file if any of its bytes could be
another one. `docs/bundles.md` has the format, what it proves, and what it does not.
Leaves to the caller: the log's key, and the digest of the policy that is expected; both come from elsewhere.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError, LedgerError, UsageError
from interlock.evidence import _ages, dsse, rederive
from interlock.evidence.keys import decode_base64
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger.prefix import Cosigners, Prefix, cut, no_cosigners

if TYPE_CHECKING:
    from interlock.decide.decision import Decision
    from interlock.evidence.read import Evidence, Record
    from interlock.ledger._signed import Log
    from interlock.ledger.log import Ledger, LedgerView
    from interlock.ledger.prefix import Shown

__all__ = ["FORMAT", "LIMIT", "Verified", "checked", "export", "parse", "to_bytes", "verify"]

FORMAT = "urn:interlock:bundle:v1"
LIMIT = 1 << 26
"""Most bytes of a bundle."""

_LISTS = ("checkpoint_proof", "entries", "history", "history_proof")
_MEMBERS = {"bundle", "checkpoint", *_LISTS}
# RFC 8785, for these values: text alone, under names that are ASCII and that are sorted alike by it and by Python
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Verified:
    """What a bundle shows: the decision, derived again, its entry in the ledger, and all that it rests on.

    So were those derived again on which its permits rest, by the times that the bundle shows.

    `policy` is the digest of the policy, and `pinned` says whether the caller expected that one. `logs` is how many
    files of evaluation logs and validity records its entries name: none of them is in a bundle.
    """

    decision: Decision
    record: Record
    evidence: Evidence
    shown: Shown
    pinned: bool

    @property
    def policy(self) -> str:
        """The digest of the policy."""
        return self.evidence.policy_digest

    @property
    def logs(self) -> int:
        """How many files the results name, and the checks of assumptions."""
        return sum(len(result.files) for result in self.evidence.results.values()) + len(self.evidence.validity)

    @property
    def unread(self) -> int:
        """How many entries the checkpoint covers that came after the decision."""
        return self.shown.checkpoint.size - self.shown.view.size


def export(ledger: Ledger, view: LedgerView, index: int) -> bytes:
    """The bundle of the decision at `index` of a ledger that was read as `view`. What the entries say is not looked at.

    Raises:
        UsageError: there is no such entry, or the ledger up to it is too long for a bundle.
        EvidenceError: an entry is not text.
        LedgerError: the ledger's history cannot be read.
    """
    if not 0 <= index < view.size:
        raise UsageError(f"the ledger has {view.size} entries, got {index}")
    data = to_bytes(cut(ledger, view, index + 1))
    if len(data) > LIMIT:
        raise UsageError(f"the ledger up to entry {index} makes {len(data)} bytes, a bundle has at most {LIMIT}")
    return data


def checked(ledger: Ledger, view: LedgerView, index: int, *, policy: str) -> tuple[bytes, Verified]:
    """The bundle of a decision, and what it shows: what no reader would take is not handed out. `policy` is a digest.

    Raises:
        EvidenceError, LedgerError, UsageError: it does not verify, or cannot be made.
    """
    data = export(ledger, view, index)
    return data, verify(data, ledger.log, policy=policy, cosigners=lambda _: ())  # whom to believe, the reader says


def to_bytes(prefix: Prefix) -> bytes:
    """The one spelling of a bundle: canonical JSON (RFC 8785).

    Raises:
        EvidenceError: an entry is not text.
    """
    return _canonical(
        {
            "bundle": FORMAT,
            "checkpoint": _text(prefix.checkpoint, "checkpoint"),
            "checkpoint_proof": [base64.b64encode(node).decode() for node in prefix.checkpoint_proof],
            "entries": [_text(data, f"entry {index}") for index, data in enumerate(prefix.entries)],
            "history": [_text(note, f"history {number}") for number, note in enumerate(prefix.history)],
            "history_proof": [base64.b64encode(node).decode() for node in prefix.history_proof],
        }
    )


def parse(data: bytes) -> Prefix:
    """Read a bundle's form; nothing in it is verified.

    Raises:
        EvidenceError: too long, not one JSON object with these members and nothing else, or in another spelling.
    """
    if len(data) > LIMIT:
        raise EvidenceError(f"bundle: got more than {LIMIT} bytes, expected at most that")
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        why = "nesting without end" if isinstance(error, RecursionError) else str(error)
        raise EvidenceError(
            f"bundle: got {len(data)} bytes that are no JSON ({why[:120]}), expected one object"
        ) from error
    members = _checked(value)
    if _canonical(members) != data:
        raise EvidenceError("bundle: got another spelling, expected canonical JSON (RFC 8785) and nothing around it")
    return Prefix(
        entries=tuple(text.encode() for text in members["entries"]),
        history=tuple(text.encode() for text in members["history"]),
        history_proof=_hashes(members["history_proof"], "history_proof"),
        checkpoint=members["checkpoint"].encode(),
        checkpoint_proof=_hashes(members["checkpoint_proof"], "checkpoint_proof"),
    )


def verify(data: bytes, log: Log, *, policy: str | None = None, cosigners: Cosigners = no_cosigners) -> Verified:
    """Verify a bundle, in memory.

    1. Its form, and that it is in its only spelling (`parse`).
    2. Every checkpoint, and that the entries are the log's first ones, whole and in order (`Prefix.verify`).
    3. Every entry, as `evidence.read` reads a ledger: signatures, roles, what refers to what. Entry 0 is the policy;
       if the digest of one is given in `policy`, that one.
    4. The last entry is a decision; the rule says the same, from the entries that it had read, and so for each decision
       on which a permit before it rests (`rederive.again`).
    5. These are all that stand before the last one: whoever makes a bundle must not choose how much was read.
    6. A permit stands also if entries are older than shown, as far as the checkpoints leave that open (`_ages`).

    Raises:
        EvidenceError, LedgerError: one of these is not so.
    """
    try:
        shown = parse(data).verify(log, cosigners)
    except LedgerError as error:
        raise LedgerError(f"bundle: {error}") from error
    view = shown.view
    found = rederive.again(view, view.size - 1, pinned_policy=policy or _policy(view))
    decision, record = found.decision, found.evidence.records[-1]
    if decision.checkpoint.size != record.entry:
        raise EvidenceError(
            f"the decision of ledger entry {record.entry} had read {decision.checkpoint.size} entries, expected all "
            f"{record.entry} before it"
        )
    if decision.verdict == "permit":
        _ages.check(shown, found)
    return Verified(decision, record, found.evidence, shown, policy is not None)


def _policy(view: LedgerView) -> str:
    """The digest that entry 0 claims for its policy; `read` checks that it is the policy's."""
    return Statement.parse(dsse.payload(dsse.parse(view.entries[0].data), PAYLOAD_TYPE)).subjects[0][1]


def _checked(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        got = ", ".join(ascii(name) for name in sorted(value)) if isinstance(value, dict) else type(value).__name__
        raise EvidenceError(f"bundle: got {got[:200]}, expected an object of {', '.join(sorted(_MEMBERS))}")
    if value["bundle"] != FORMAT:
        raise EvidenceError(f"bundle: got format `{str(value['bundle'])[:80]}`, expected `{FORMAT}`")
    if not isinstance(value["checkpoint"], str):
        raise EvidenceError(f"bundle: checkpoint: got {type(value['checkpoint']).__name__}, expected text")
    for name in _LISTS:
        items = value[name]
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise EvidenceError(f"bundle: {name}: got something else than a list of texts")
    if not value["entries"]:
        raise EvidenceError("bundle: got no entries, expected the policy first and a decision last")
    return value


def _hashes(items: list[str], where: str) -> tuple[bytes, ...]:
    try:
        return tuple(decode_base64(item) for item in items)
    except ValueError as error:
        raise EvidenceError(f"bundle: {where}: {error}") from error


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceError(f"{where} is not UTF-8 text at byte {error.start}, and a bundle holds text") from error


def _canonical(members: object) -> bytes:
    try:
        return _ENCODER.encode(members).encode("utf-8")
    except UnicodeEncodeError as error:
        raise EvidenceError("bundle: got a lone surrogate, expected valid Unicode") from error
