"""A workspace: one folder that holds a developer's policy, keys, ledger, logs and permits.

    interlock.json   what this workspace trusts: the log's name and public key, and the digest of the policy
    policy.yaml      the policy as written
    keys/            key pairs (interlock.evidence.keyring); private ones are readable by their owner only
    ledger/          the append-only log (interlock.ledger)
    last-checkpoint  what it showed last, so that a copy put back from before is noticed (interlock.ledger.seen); and
                     last-checkpoint.times, so that one dated anew is
    logs/            one folder of Inspect logs a plan, and imported/ with one folder a log
    elicitors/       which elicitor a plan's recipe is, where it is not the usual one
    work/            what an elicitation that is not over has saved
    transcripts/     tells the steps of elicitations, and of training runs
    subjects.json    where each subject's files lie on this machine
    playbook.yaml    how the developer carries out duties, if it is there; duties.json says what has been delivered
    permits/         permits as files, for gates

Guarantees: `append` never writes an entry that `read` would refuse.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from interlock.decide.decision import timestamp
from interlock.errors import EvidenceError, LedgerError, UsageError
from interlock.evidence import dsse, keys
from interlock.evidence.amendment import hindrance, misfits, noticed
from interlock.evidence.keyring import Keyring
from interlock.evidence.passphrase import Passphrases
from interlock.evidence.predicates import Fields, predicate_type, statement
from interlock.evidence.read import Evidence, read
from interlock.evidence.rederive import read_derived
from interlock.evidence.roles import in_force
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger import _disk
from interlock.ledger.log import Entry, Ledger, LedgerView
from interlock.ledger.seen import Memory
from interlock.policy import compile as compiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interlock.ledger.writer import Writer
    from interlock.policy.model import Policy

#: How long an entry that is durable may take to be published, without any harm.
_DELAY = timedelta(days=1)
#: The name of the key that signs the ledger's checkpoints.
LOG_KEY = "log"


def now() -> datetime:
    """The machine's clock in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subject's files lie on this machine."""

    folder: Path
    adapter: Path | None


@dataclass(frozen=True, slots=True)
class Workspace:
    """An opened workspace: `folder`, what it trusts, and the keys that sign in it."""

    folder: Path
    origin: str
    log_key: keys.PublicKey
    policy_digest: str
    keyring: Keyring = field(compare=False, repr=False)

    @classmethod
    def create(cls, keyring: Keyring, *, policy: Policy, policy_text: str) -> Workspace:
        """Start a workspace around a folder of keys, the log's among them; the policy becomes ledger entry 0.

        Raises:
            UsageError: there is a workspace already, or a private key that it needs is missing or cannot be opened.
            LedgerError: the ledger cannot be written.
        """
        folder = keyring.folder.parent
        if (folder / "interlock.json").exists():
            raise UsageError(f"`{folder}` holds a workspace already")
        if (folder / "ledger").exists():
            raise UsageError(f"`{folder / 'ledger'}` is left from an `init` that did not finish; remove it")
        from interlock.ledger.writer import create

        pair = keyring.pair(LOG_KEY)
        origin = policy.id.replace("/", ".") + "/ledger"
        digest = compiled.digest(policy)
        workspace = cls(folder, origin, pair.public, digest, keyring)
        predicate = compiled.to_json(policy)
        signing = {
            pair.public.key_id: pair
            for role in policy.amendments.approved_by
            for pair in workspace.keys_of(policy, role)
        }
        create(folder / "ledger", origin, pair, now())
        workspace.append(
            statement("policy", name=policy.id, digest=digest, predicate=predicate), list(signing.values())
        )
        (folder / "policy.yaml").write_text(policy_text)
        config = {"origin": origin, "log_key": str(pair.public), "policy": digest}
        # Last on purpose: a folder without this file is not a workspace, so a killed `init` is seen as one.
        write_whole(folder / "interlock.json", json.dumps(config, indent=2).encode() + b"\n")
        return workspace

    @classmethod
    def open(cls, folder: Path, passphrases: Passphrases | None = None) -> Workspace:
        """Open a workspace. Without `passphrases` those of its keys are looked for in the environment.

        Raises:
            UsageError: there is none in `folder`, or its configuration cannot be read.
        """
        path = folder / "interlock.json"
        try:
            config = Fields(json.loads(path.read_bytes()), str(path))
            key = keys.PublicKey.parse(config.text("log_key"))
            keyring = Keyring(folder / "keys", passphrases or Passphrases())
            opened = cls(folder, config.text("origin"), key, config.digest("policy"), keyring)
            config.done()
        except FileNotFoundError as error:
            raise UsageError(
                f"no workspace in `{folder}`; make one with `interlock init`, or name one with -w"
            ) from error
        except (ValueError, EvidenceError) as error:
            raise UsageError(f"`{path}` cannot be read: expected origin, log_key and policy") from error
        return opened

    @property
    def ledger(self) -> Ledger:
        """The ledger, for reading."""
        return Ledger.open(self.folder / "ledger", self.log_key, self.origin)

    def read(self) -> Evidence:
        """Verify the whole ledger and read every entry.

        Raises:
            LedgerError: the ledger does not verify.
            EvidenceError: an entry is not what it should be.
        """
        return read(self.view(), pinned_policy=self.policy_digest)

    def view(self) -> LedgerView:
        """Verify the whole ledger, and that it continues what it showed before on this machine.

        Raises:
            LedgerError: it does not.
        """
        ledger, memory = self.ledger, self.memory
        seen = memory.seen()
        view = ledger.read()
        memory.check(view, seen)
        return view

    @property
    def memory(self) -> Memory:
        """What the ledger showed before."""
        return Memory(self.folder, self.ledger)

    def check_logs(self, evidence: Evidence) -> int:
        """Check that every result's logs, and every validity record that a check of an assumption names, are here, with
        these bytes. Returns how many results there are.

        Raises:
            EvidenceError: one is missing or altered.
        """
        for entry, result in evidence.results.items():
            for name, expected in result.files:
                self.check_log(entry, name, expected)
        for entry, (name, expected) in evidence.validity.items():
            self.check_log(entry, name, expected)
        return len(evidence.results)

    def check_log(self, entry: int, name: str, expected: str) -> Path:
        """Check that a file which an entry names is here, with these bytes; return where.

        Raises:
            EvidenceError: it is missing, altered, or outside the workspace.
        """
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()) or not path.is_file():
            raise EvidenceError(f"the log of ledger entry {entry} is missing: `{name}`")
        got = hashlib.sha256(path.read_bytes()).hexdigest()
        if got != expected:
            raise EvidenceError(f"`{name}` was altered: SHA-256 {got[:12]}, entry {entry} names {expected[:12]}")
        return path

    def append(self, made: Statement, signing: Sequence[keys.KeyPair]) -> str:
        """Sign a statement, check that it would be read back, and append it; a decision is derived again before.
        Returns the statement's digest.

        Raises:
            EvidenceError: the ledger would refuse to read it, or it is a decision that the rule does not give; nothing
                was written.
            LedgerError: it did not become durable.
        """
        payload = made.to_bytes()
        envelope = dsse.sign(payload, PAYLOAD_TYPE, signing)
        with self._locked(), self.writer() as writer:
            writer.check_open()
            view = self.view()
            check = read_derived if made.predicate_type == predicate_type("decision") else read
            self._try(check, view, envelope, max(now(), view.time))
            writer.append_at(envelope, view.size)
            # crash point: it stands, and is not remembered before somebody reads it
            with contextlib.suppress(LedgerError):
                self.memory.keep(self.ledger.latest())
        return hashlib.sha256(payload).hexdigest()

    def _try(self, check: _Read, view: LedgerView, envelope: bytes, moment: datetime) -> None:
        """Read the ledger as if an entry stood there, published now; or a day later, by when another version of the
        policy may be in force: that it was signed then, too, must not depend on how long a publication takes.

        Raises:
            EvidenceError: it would not be read.
        """

        def found(at: datetime) -> Evidence:
            entries = (*view.entries, Entry(view.size, envelope, at))
            return check(_extended(view, entries), pinned_policy=self.policy_digest)

        if any(moment < version.since <= moment + _DELAY for version in found(moment).versions):
            found(moment + _DELAY)

    def amend(self, evidence: Evidence, policy: Policy, *, changes: str) -> str:
        """Append the next version of the policy, signed by the quorums that approve it in the latest version and in
        itself. Returns the statement's digest. `changes` says in words what it changes.

        Raises:
            UsageError: it cannot be the next version, it would take effect too soon, or keys that sign it are missing.
            EvidenceError, LedgerError: as for `append`.
        """
        latest, moment = evidence.versions[-1], max(now(), evidence.facts.checkpoint.time)
        problem = next(misfits([it.policy for it in evidence.versions], policy), None)
        problem = problem or hindrance(evidence.versions, policy, evidence.facts, moment)
        if problem is not None:
            raise UsageError(f"version `{policy.version}` cannot follow: {problem}")
        soonest = noticed(evidence.versions, moment)
        if policy.effective < soonest:
            raise UsageError(
                f"effective {timestamp(policy.effective)}, expected {timestamp(soonest)} or later: "
                "so long before it takes effect an amendment must stand in the ledger"
            )
        signing = {
            pair.public.key_id: pair
            for version in (latest.policy, policy)
            for role in version.amendments.approved_by
            for pair in self.keys_of(version, role)
        }
        predicate = {
            "policy": compiled.to_json(policy),
            "supersedes": latest.digest,
            "changes": changes,
            "at": timestamp(moment),
        }
        made = statement("amendment", name=policy.id, digest=compiled.digest(policy), predicate=predicate)
        return self.append(made, list(signing.values()))

    def writer(self) -> Writer:
        """The ledger, opened for writing past the checks of `append`; settles what a killed writer left.

        Raises:
            LedgerError: it cannot be written, is not whole, or does not continue what it showed before.
        """
        from interlock.ledger.writer import Writer

        self.memory.check_latest()
        return Writer(self.ledger, self.keyring.pair(LOG_KEY), clock=lambda: now())  # noqa: PLW0108  found when it is called

    def refresh(self) -> None:
        """Have the log sign its latest checkpoint again, with the present time; a sealed ledger stays as it is."""
        with self._locked(), self.writer() as writer:
            if not writer.sealed:
                writer.refresh()

    def can_sign_checkpoints(self) -> bool:
        """Whether the log's private key is here, and can be opened."""
        return self.keyring.can_sign(LOG_KEY)

    def keys_of(self, policy: Policy, role: str) -> list[keys.KeyPair]:
        """The private keys in `keys/` of a role, as many as its quorum.

        Raises:
            UsageError: the policy has no such role, or too few of its private keys are here.
        """
        if role not in policy.roles:
            raise UsageError(f"the policy has no role `{role}`; it has: {', '.join(policy.roles)}")
        wanted = {keys.PublicKey.parse(key).key_id for key in policy.roles[role].keys}
        return self.keyring.signing(wanted, quorum=policy.roles[role].quorum, role=role)

    def signing(self, evidence: Evidence, *roles: str) -> list[keys.KeyPair]:
        """The private keys in `keys/` by which all these roles sign now: as the version of the policy in force has
        them, and every later one that the ledger has taken in.

        Raises:
            UsageError: the policy has no such role, or too few of its private keys are here.
        """
        pairs: dict[str, keys.KeyPair] = {}
        for role in roles:
            current = in_force(evidence.versions, max(now(), evidence.facts.checkpoint.time))
            having = [version.policy for version in current if role in version.policy.roles] or [current[0].policy]
            pairs |= {pair.public.key_id: pair for policy in having for pair in self.keys_of(policy, role)}
        return list(pairs.values())

    def places(self) -> dict[str, Place]:
        """Where subjects lie on this machine, by manifest digest.

        Raises:
            UsageError: `subjects.json` cannot be read.
        """
        path = self.folder / "subjects.json"
        if not path.exists():
            return {}
        try:
            read_places: dict[str, Any] = json.loads(path.read_bytes())
            return {
                digest: Place(Path(place["folder"]), Path(place["adapter"]) if place["adapter"] else None)
                for digest, place in read_places.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"`{path}` cannot be read: expected a folder and an adapter for each subject") from error

    def remember(self, digest: str, place: Place) -> None:
        """Note where a subject lies."""
        places = self.places() | {digest: place}
        plain = {
            key: {"folder": str(p.folder), "adapter": str(p.adapter) if p.adapter else None}
            for key, p in places.items()
        }
        write_whole(self.folder / "subjects.json", json.dumps(plain, indent=2).encode() + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time: what was checked is what the ledger still holds when the entry is written."""
        path = self.folder / ".lock"
        with path.open("ab") as file:
            _disk.take(file.fileno(), fcntl.LOCK_EX, path)
            yield


class _Read(Protocol):
    """Reads a ledger, or says what is wrong with it."""

    def __call__(self, view: LedgerView, /, *, pinned_policy: str) -> Evidence: ...


def _extended(view: LedgerView, entries: tuple[Entry, ...]) -> LedgerView:
    return LedgerView(
        entries=entries, size=len(entries), root=view.root, time=entries[-1].time, origin=view.origin, note=view.note
    )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never half, and survives a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
