"""A small ledger told statement by statement, in memory: what an honest lab, or an attacker with all keys, could sign.

`SMALL` is the smallest policy that asks for something: one measure, one threshold, one gate. Nothing here checks what
it appends; a bundle of a dishonest story is made as easily as one of an honest story.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from interlock.decide.decision import timestamp, to_json
from interlock.decide.facts import Protocol, Step
from interlock.decide.rule import decide
from interlock.evidence import bundle, dsse
from interlock.evidence.keys import KeyPair
from interlock.evidence.predicates import ResultPredicate, Stopped, SubjectPredicate, protocol_to_json, statement
from interlock.evidence.read import Evidence, read
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger import merkle
from interlock.ledger._signed import Log, seconds
from interlock.ledger.entry import Entry
from interlock.ledger.log import LedgerView
from interlock.ledger.note import Checkpoint
from interlock.ledger.prefix import Prefix
from interlock.policy import compile as compiled
from interlock.policy.load import loads
from interlock.policy.model import Policy
from interlock.subject.manifest import Manifest

ORIGIN = "lab/ledger"
START = datetime(2026, 6, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)
COMPUTE = 10**12
FLOP = 0  # what showing demonstrations spends

SMALL = """\
interlock: policy/v1
id: lab/rsp
version: 1.0.0
title: a small policy
effective: 2026-01-01T00:00:00Z
roles:
  team:    {{keys: [{team}], quorum: 1}}
  auditor: {{keys: [{auditor}], quorum: 1, independent_of: [team]}}
  board:   {{keys: [{board_1}, {board_2}], quorum: 2}}
independent: auditor
measures:
  skill: {{kind: capability, on: model, danger: higher, range: [0, 1], source: {{task: lab/skill@1, metric: accuracy}}}}
assumptions:
  no-evaluation-gaming: {{stated_by: auditor, fresh_for: 6 months}}
thresholds:
  skilled:
    reached_when: skill >= 0.50
    rule_out:
      confidence: 0.95
      elicitation: [few-shot]
      buffer: {{none: "a test"}}
      coverage: 0.98
      run_by: team
    sources: ["1"]
requirements:
  secure: {{attested: weights are secure, by: auditor, about: developer, fresh_for: 12 months}}
refresh: {{effective_compute: 4x, period: 3 months}}
permits: {{lease: 30 days, ledger_age: 1 hour, issued_by: team}}
plans: {{report_within: 21 days}}
attacker_budget: {{share: 0.01, source: "a test"}}
gates:
  scale: {{skilled: [secure]}}
not_governed: {{deploy-internal: t, deploy-api: t, release-weights: t}}
amendments: {{approved_by: board, notice: 30 days, frozen_while: reached}}
"""


def keys_of() -> dict[str, KeyPair]:
    return {name: KeyPair.generate() for name in ("team", "auditor", "board_1", "board_2", "log")}


def names(keys: dict[str, KeyPair]) -> dict[str, str]:
    return {name: str(pair.public) for name, pair in keys.items()}


def small(keys: dict[str, KeyPair]) -> Policy:
    return loads(SMALL.format(**names(keys)), name="small", folder=None)


@dataclass
class Story:
    """A ledger in memory; one checkpoint an entry, a minute apart, unless told otherwise."""

    policy: Policy
    keys: dict[str, KeyPair]
    entries: list[Entry] = field(default_factory=list)
    notes: list[tuple[int, datetime]] = field(default_factory=lambda: [(0, START)])
    pause: timedelta = timedelta()

    @property
    def log(self) -> Log:
        return Log(ORIGIN, self.keys["log"].public)

    @property
    def now(self) -> datetime:
        return self.notes[-1][1]

    @property
    def digest(self) -> str:
        return compiled.digest(self.policy)

    def say(self, made: Statement, *names: str, after: timedelta = STEP) -> str:
        """Sign by these keys and append; return the statement's digest."""
        return self.put(dsse.sign(made.to_bytes(), PAYLOAD_TYPE, [self.keys[name] for name in names]), after=after)

    def put(self, data: bytes, *, after: timedelta = STEP) -> str:
        """Append these bytes, whatever they are."""
        self.notes.append((len(self.entries) + 1, self.now + after + self.pause))
        self.pause = timedelta()
        self.entries.append(Entry(len(self.entries), data, self.now))
        return hashlib.sha256(dsse.parse(data).payload).hexdigest() if data[:1] == b"{" else ""

    def view(self) -> LedgerView:
        root = merkle.root(entry.leaf for entry in self.entries)
        return LedgerView(tuple(self.entries), len(self.entries), root, self.now, ORIGIN, "")

    def read(self) -> Evidence:
        return read(self.view(), pinned_policy=self.digest)

    # -- what is said -----------------------------------------------------------------------------------------------

    def adopt(self) -> str:
        made = statement("policy", name=self.policy.id, digest=self.digest, predicate=compiled.to_json(self.policy))
        return self.say(made, "board_1", "board_2")

    def amend(self, policy: Policy) -> str:
        """The next version of the policy."""
        digest, last = compiled.digest(policy), self.read().versions[-1].digest
        predicate = {"policy": compiled.to_json(policy), "supersedes": last, "changes": "x", "at": timestamp(self.now)}
        made = statement("amendment", name=policy.id, digest=digest, predicate=predicate)
        return self.say(made, "board_1", "board_2")

    def register(self, name: str, *steps: Step, compute: int = COMPUTE, files: int = 1) -> str:
        digest = hashlib.sha256(name.encode()).hexdigest()
        manifest = Manifest(tuple((f"{number:04}.safetensors", digest) for number in range(files)))
        predicate = SubjectPredicate(name, manifest, compute, compute, compute, steps)
        self.say(statement("subject", name=name, digest=manifest.digest, predicate=predicate.to_json()), "team")
        return manifest.digest

    def plan(self, subject: str, *signers: str, within: timedelta = timedelta(days=1), **changes: Any) -> str:
        predicate = {
            "protocol": protocol_to_json(protocol(**changes)),
            "report_by": timestamp(self.now + STEP + within),
        }
        made = statement("plan", name="model", digest=subject, predicate=predicate)
        return self.say(made, *(signers or ("team",)))

    def report(
        self,
        subject: str,
        plan: str,
        *,
        correct: int,
        scored: int = 120,
        refused_scores: int = 0,
        refused_at_most: int = 120,
        signer: str = "team",
        stopped: Stopped | None = None,
        **changes: Any,
    ) -> str:
        asked = stopped.at if stopped else 120
        said = ResultPredicate(
            plan=plan,
            protocol=protocol(**changes),
            log="0" * 64,
            log_name="logs/1.eval",
            outcomes="1" * 64,
            completed=asked,
            scored=min(scored, asked),
            correct=correct,
            refused_scores=refused_scores,
            refused_at_most=min(refused_at_most, asked),
            errored=0,
            limited=0,
            tokens=1,
            flop=FLOP,
            environment={},
            stopped=stopped,
        )
        return self.say(statement("result", name="model", digest=subject, predicate=said.to_json()), signer)

    def state(self, subject: str, *, signer: str = "auditor") -> str:
        predicate = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "yes"}
        predicate["at"] = timestamp(self.now)
        return self.say(statement("attestation", name="model", digest=subject, predicate=predicate), signer)

    def evaluated(self, name: str = "model", *, correct: int = 10) -> str:
        """A subject with everything that the policy asks for."""
        subject = self.register(name)
        self.report(subject, self.plan(subject), correct=correct)
        self.state(subject)
        return subject

    def wait(self, time: timedelta) -> None:
        """Nothing is said for so long before the next entry."""
        self.pause = time

    def decide(self, subject: str, *, after: timedelta = STEP, **lies: Any) -> str:
        """The decision that the rule makes now; with other members, if it lies."""
        made = self.decision(subject)
        lied = Statement(made.predicate_type, made.subjects, {**made.predicate, **lies})
        return self.say(lied, "team", after=after)

    def decide_forced(self, subject: str) -> str:
        """A decision over entries that no reader would take: it claims what a decision must claim, and permits."""
        root = merkle.root(entry.leaf for entry in self.entries).hex()
        now = timestamp(self.now)
        checkpoint = {"size": len(self.entries), "root": root, "time": now}
        predicate = {"action": "scale", "at": now, "checkpoint": checkpoint, "deployment": None, "verdict": "permit"}
        return self.say(statement("decision", name="model", digest=subject, predicate=predicate), "team")

    def decision(self, subject: str, *, read_up_to: int | None = None) -> Statement:
        seen = replace(self, entries=self.entries[:read_up_to], notes=self.notes)
        evidence = seen.read()
        decided = decide(evidence.versions, evidence.facts, subject=subject, action="scale", at=self.now)
        return statement("decision", name="model", digest=subject, predicate=to_json(decided))

    # -- and handed over --------------------------------------------------------------------------------------------

    def note(self, size: int, time: datetime, root: bytes | None = None) -> bytes:
        if root is None:
            root = merkle.root(entry.leaf for entry in self.entries[:size])
        return self.log.sign(Checkpoint(ORIGIN, size, root), self.keys["log"], seconds(time))

    def prefix(self, size: int | None = None) -> Prefix:
        """The piece of the ledger up to the last entry, or up to `size`."""
        size = len(self.entries) if size is None else size
        history = [note for note in self.notes if note[0] < size]
        history.append(next(note for note in self.notes if note[0] >= size))
        leaves = [entry.leaf for entry in self.entries]
        return Prefix(
            entries=tuple(entry.data for entry in self.entries[:size]),
            history=tuple(self.note(*note) for note in history),
            history_proof=merkle.consistency_proof(leaves[: history[-1][0]], size),
            checkpoint=self.note(*self.notes[-1]),
            checkpoint_proof=merkle.consistency_proof(leaves, size),
        )

    def bundle(self) -> bytes:
        return bundle.to_bytes(self.prefix())

    def together(self, sizes: Collection[int]) -> Story:
        """The same entries under fewer checkpoints, of these sizes, and dated by them."""
        return self.dated([note for note in self.notes if note[0] in {0, *sizes}])

    def dated(self, notes: list[tuple[int, datetime]]) -> Story:
        """The same entries under other checkpoints, and dated by them."""
        times = [next(time for size, time in notes if size > entry.index) for entry in self.entries]
        dated = [replace(entry, time=time) for entry, time in zip(self.entries, times, strict=True)]
        return replace(self, notes=notes, entries=dated)


def protocol(**changes: Any) -> Protocol:
    usual = Protocol(
        task="lab/skill",
        task_version=1,
        metric="accuracy",
        samples=120,
        samples_digest="2" * 64,
        elicitation="few-shot",
        shots=5,
        demonstrations=0,
        seed=0,
    )
    return replace(usual, **changes)


def told() -> Story:
    """The policy, and nothing else."""
    return under()


def under(*changes: str) -> Story:
    """As `told`, with another policy: of two texts each the first is replaced by the second."""
    keys = keys_of()
    text = SMALL.format(**names(keys))
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    story = Story(loads(text, name="small", folder=None), keys)
    story.adopt()
    return story


def honest() -> Story:
    """A subject that was evaluated, and the decision that it may scale."""
    story = told()
    story.decide(story.evaluated())
    return story
