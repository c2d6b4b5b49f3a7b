"""An Interlock ledger in memory: real statements, really signed, read by the same code as a ledger on disk.

A `Draft` starts out sound. An input spoils it: a member of a predicate, the bytes of a payload, who signs, when. What
the ledger of this version has no entry for (a withdrawal, the unit of a sample) is put into the facts after reading.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.decide.facts import Version
from interlock.decide.rule import Decider
from interlock.errors import InterlockError
from interlock.evidence import dsse
from interlock.evidence.keys import KeyPair, new_key
from interlock.evidence.predicates import predicate_type
from interlock.evidence.read import read
from interlock.evidence.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from interlock.ledger.log import Entry, LedgerView
from interlock.policy import compile as compiled
from interlock.policy.load import load
from interlock.policy.model import Policy
from interlock.subject.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.decide.decision import Decision
    from interlock.decide.facts import Facts

POLICY = Path(__file__).parent / "same-policy" / "policy.yaml"
ROLES = ("evaluator", "auditor", "gatekeeper", "board")
EFFECTIVE = datetime(2026, 1, 1, tzinfo=UTC)
PLANNED = datetime(2026, 5, 1, tzinfo=UTC)
REPORTED = datetime(2026, 5, 2, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ACTION = "deploy-internal"

FILES = (("weights", hashlib.sha256(b"weights").hexdigest()),)
MODEL = Manifest(FILES).digest
OTHER_FILES = (("weights", hashlib.sha256(b"others").hexdigest()),)
OTHER_MODEL = Manifest(OTHER_FILES).digest
SAMPLES = 200
#: The counts of a run in which nothing was refused, failed or was cut.
NONE_BESIDE = {"refused_scores": 0, "refused_at_most": 0, "errored": 0, "limited": 0}


@cache
def setting() -> tuple[Policy, dict[str, KeyPair]]:
    """The policy as loaded from its file, with fresh keys; and a key of nobody, `stranger`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(POLICY, folder / "policy.yaml")
        keys = {role: new_key(folder / "keys" / f"{role}.key", passphrase=None) for role in ROLES}
        return load(folder / "policy.yaml"), keys | {"stranger": KeyPair.generate()}


@dataclass(slots=True)
class Told:
    """One entry of the ledger before it is signed. `about` is a digest; `spell` changes the payload's text."""

    kind: str
    about: str
    predicate: Any
    signers: tuple[str, ...]
    at: datetime
    spell: Callable[[str], str] = str


def protocol(**changes: object) -> dict[str, Any]:
    """What is run, as JSON."""
    plain = {
        "task": "lab/cyber",
        "task_version": 1,
        "metric": "accuracy",
        "samples": SAMPLES,
        "samples_sha256": "5a" * 32,
        "elicitation": {"kind": "fine-tuned", "shots": 0, "demonstrations": 16, "seed": 0, "recipe": "unknown"},
    }
    return {**plain, **changes}


def subject_predicate(name: str, files: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    made_of = Manifest(files)
    return {
        "name": name,
        "manifest": made_of.to_json(),
        "model_signing_sha256": made_of.model_signing_digest,
        "training_compute": str(10**24),
        "effective_compute": {"low": str(10**24), "high": str(10**24)},
        "steps": [],
    }


def _plan(at: datetime) -> dict[str, Any]:
    return {"protocol": protocol(), "report_by": _stamp(at + timedelta(days=20))}


def _result(correct: int) -> dict[str, Any]:
    return {
        "plan": "",  # of the draft's own plan, once its bytes are known
        "protocol": protocol(),
        "log": {"name": "run.json", "sha256": "10" * 32, "outcomes_sha256": "11" * 32},
        "counts": {**dict.fromkeys(("planned", "completed", "scored"), SAMPLES), "correct": correct, **NONE_BESIDE},
        "budget": {"tokens": 10**6, "flop": str(10**18)},
        "environment": {"python": "3.11"},
    }


def _word(kind: str, name: str, about: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, "about": about, "statement": "we looked into it", "at": _stamp(REPORTED)}


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Draft:
    """The sound ledger, to be spoiled by name: `model`, `plan`, `result`, `audit`, `gradient`, `demonstrations`."""

    def __init__(self, correct: int = 60) -> None:
        policy, _ = setting()
        ours = compiled.digest(policy)
        self.told: dict[str, Told] = {
            "model": Told("subject", MODEL, subject_predicate("model", FILES), ("gatekeeper",), EFFECTIVE),
            "plan": Told("plan", MODEL, _plan(PLANNED), ("evaluator",), PLANNED),
            "result": Told("result", MODEL, _result(correct), ("evaluator",), REPORTED),
            "gradient": Told(
                "attestation", MODEL, _word("assumption", "no-gradient-hacking", "subject"), ("auditor",), REPORTED
            ),
            "demonstrations": Told(
                "attestation", MODEL, _word("assumption", "good-demonstrations", "subject"), ("auditor",), REPORTED
            ),
            "audit": Told("attestation", ours, _word("requirement", "security-3", "developer"), ("auditor",), REPORTED),
        }
        self.after: list[Callable[[Facts], Facts]] = []

    def put(self, name: str, path: str, value: object) -> Draft:
        """Set a member of a predicate, by its path with dots; the empty path is the whole predicate."""
        told = self.told[name]
        if not path:
            told.predicate = value
            return self
        *way, last = path.split(".")
        inner = told.predicate
        for step in way:
            inner = inner[step]
        inner[last] = value
        return self

    def drop(self, name: str, path: str) -> Draft:
        """Remove a member of a predicate."""
        *way, last = path.split(".")
        inner = self.told[name].predicate
        for step in way:
            inner = inner[step]
        del inner[last]
        return self

    def rename(self, name: str, path: str, other: str) -> Draft:
        """Give a member another name."""
        *way, last = path.split(".")
        inner = self.told[name].predicate
        for step in way:
            inner = inner[step]
        inner[other] = inner.pop(last)
        return self

    def protocol(self, path: str, value: object) -> Draft:
        """Set a member of the protocol, in the plan and in the result alike."""
        return self.put("plan", f"protocol.{path}", value).put("result", f"protocol.{path}", value)

    def without(self, *names: str) -> Draft:
        """Leave entries out."""
        for name in names:
            del self.told[name]
        return self

    def signed(self, name: str, *roles: str) -> Draft:
        """Have other keys sign; none at all leaves the list of signatures empty."""
        self.told[name].signers = roles
        return self

    def spelled(self, name: str, old: str, new: str) -> Draft:
        """Change the text of a payload before it is signed."""

        def spell(text: str) -> str:
            if old not in text:
                raise ValueError(f"`{old}` does not stand in the payload")
            return text.replace(old, new)

        self.told[name].spell = spell
        return self

    def timed(self, **changes: datetime) -> Draft:
        """Set the ledger times of entries."""
        for name, at in changes.items():
            self.told[name].at = at
        return self

    def add(self, name: str, told: Told) -> Draft:
        """Add an entry."""
        self.told[name] = told
        return self

    def copy_of(self, name: str) -> Told:
        """An entry like another."""
        return copy.deepcopy(self.told[name])

    def then(self, change: Callable[[Facts], Facts]) -> Draft:
        """Change the facts after reading: for what this version of the ledger has no entry for."""
        self.after.append(change)
        return self

    def decide(self) -> tuple[str, tuple[str, ...]]:
        """`permit`, `hold` or `refused`, and why."""
        policy, _ = setting()
        digest = compiled.digest(policy)
        try:
            evidence = read(self.view(), pinned_policy=digest)
        except InterlockError as error:
            return "refused", (str(error),)
        facts = evidence.facts
        for change in self.after:
            facts = change(facts)
        return answer(facts)

    def view(self) -> LedgerView:
        """The ledger as if read from disk: the policy, and every entry in the order of its time."""
        policy, _ = setting()
        digest = compiled.digest(policy)
        first = Told("policy", digest, compiled.to_json(policy), ("board",), EFFECTIVE)
        plan = ""
        entries: list[Entry] = []
        for name, told in [("policy", first), *sorted(self.told.items(), key=lambda item: item[1].at)]:
            if name == "result" and isinstance(told.predicate, dict) and told.predicate.get("plan") == "":
                told.predicate["plan"] = plan or "00" * 32
            payload = told.spell(_payload(told)).encode()
            if name == "plan":
                plan = hashlib.sha256(payload).hexdigest()
            entries.append(Entry(len(entries), _envelope(payload, told.signers), told.at))
        latest = max(NOW - timedelta(minutes=1), *(entry.time for entry in entries))
        return LedgerView(tuple(entries), len(entries), bytes(32), latest, "benchmark", "")


def answer(facts: Facts) -> tuple[str, tuple[str, ...]]:
    """What Interlock decides on facts, and why."""
    policy, _ = setting()
    decider = Decider([Version(policy, compiled.digest(policy), policy.effective)], facts)
    made: Decision = decider.decide(subject=MODEL, action=ACTION, at=NOW)
    return made.verdict, tuple(reason.code for reason in made.all_reasons)


def _payload(told: Told) -> str:
    statement = {
        "_type": STATEMENT_TYPE,
        "predicateType": predicate_type(told.kind),
        "subject": [{"name": "model", "digest": {"sha256": told.about}}],
        "predicate": told.predicate,
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # RFC 8785 for such values


def _envelope(payload: bytes, signers: tuple[str, ...]) -> bytes:
    _, keys = setting()
    if signers:
        return dsse.sign(payload, PAYLOAD_TYPE, [keys[name] for name in signers])
    bare = {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
    return json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()
