"""A workspace without a model: subjects are made up, results are signed numbers, every key is at hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import lab
from interlock.cli.setup import start
from interlock.decide.decision import timestamp
from interlock.decide.facts import Protocol, Step
from interlock.evidence.predicates import ResultPredicate, SubjectPredicate, protocol_to_json, statement
from interlock.gate import permit as permits
from interlock.subject.manifest import Manifest
from interlock.workspace import now

POLICY = """
interlock: policy/v1
id: test-lab/said
version: 1.0.0
title: What roles say
effective: 2026-01-01T00:00:00Z
roles:
  evaluation-team:  {keys: [keys/evaluation-team.pub], quorum: 1}
  external-auditor: {keys: [keys/external-auditor.pub], quorum: 1, independent_of: [evaluation-team, gatekeeper, board]}
  gatekeeper:       {keys: [keys/gatekeeper.pub], quorum: 1}
  board:            {keys: [keys/board-1.pub, keys/board-2.pub, keys/board-3.pub], quorum: 2}
independent: external-auditor
measures:
  skill: {kind: capability, on: model, danger: higher, range: [0, 1], source: {task: lab/skill@1, metric: accuracy}}
assumptions:
  no-evaluation-gaming: {stated_by: external-auditor, fresh_for: 6 months}
  no-gradient-hacking: {checked: probe, by: external-auditor, coverage: 0.9, confidence: 0.95, fresh_for: 6 months}
thresholds:
  expert:
    reached_when: skill >= 0.50
    rule_out:
      {confidence: 0.95, elicitation: [prompted], buffer: {none: a test}, coverage: 0.98, run_by: evaluation-team}
  adept:
    reached_when: skill >= 0.30
    rule_out:
      {confidence: 0.95, elicitation: [prompted], buffer: {none: a test}, coverage: 0.98, run_by: evaluation-team}
  judged: {judged_by: board, on: [skill], rule_out: {coverage: 0.98}}
requirements:
  agreed: {approved: the board agrees to what was found, by: board, about: subject, fresh_for: 3 months}
  watched: {attested: use is watched, by: external-auditor, about: developer, fresh_for: 3 months}
refresh: {effective_compute: 4x, period: 3 months, events: [new-tools]}
permits: {lease: 30 days, ledger_age: 1 hour, issued_by: gatekeeper, revocable_by: [board]}
plans:   {report_within: 21 days}
attacker_budget: {share: 0.01, source: a test}
gates:
  scale:           {expert: [watched]}
  deploy-internal: {judged: [never]}
  deploy-api:      {adept: [agreed]}
not_governed: {release-weights: not tested here}
duties:
  tell: {do: tell the authority, by: gatekeeper, starts: {incident: [theft], from: awareness}, within: 15 days}
amendments: {approved_by: [board], notice: 30 days}
"""
#: The same; while a threshold is reached, or nearly, it is only tightened.
FROZEN = POLICY.replace("notice: 30 days}", "notice: 30 days, frozen_while: reached}")
#: The same as `POLICY`, with answers to a hold: the board is told within a day, training pauses within two.
ANSWERS = POLICY.replace(
    "duties:\n",
    """on_hold:
  expert:
    - {notify: board, within: 24 hours}
    - {do: pause-training, within: 2 days}
    - {do: restrict-weight-access}
    - {do: reassess, within: 1 day, modality: intends}
duties:
  told: {do: say so, by: gatekeeper, starts: {incident: [theft]}, within: 15 days, notify: [board]}
  review: {do: publish a review, by: external-auditor, starts: {effective: true}, within: 3 months, repeat: 3 months}
  status:
    {do: say how it is, by: gatekeeper, starts: {incident: [leak]}, within: 1 week, repeat: 1 week, until: resolved}
""",
)
#: Files that make the subject `m`.
FILES = Manifest((("model.safetensors", "1" * 64),))
PROTOCOL = Protocol("lab/skill", 1, "accuracy", 120, "5a" * 32, "prompted", 0, 0, 0)
COMPUTE = 10**12


def make(folder, text=POLICY):
    """The policy, and a subject `m` on which nothing is known."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.yaml").write_text(text)
    workspace = start(folder / "lab", folder / "policy.yaml", encrypt_with=lambda: None)
    made = SubjectPredicate("m", FILES, COMPUTE, COMPUTE, COMPUTE, ())
    sign(workspace, statement("subject", name="m", digest=FILES.digest, predicate=made.to_json()), "evaluation-team")
    return workspace


def sign(workspace, made, *names):
    """Append a statement, signed by these keys. Returns its digest."""
    return workspace.append(made, [lab.key(workspace, name) for name in names])


def said(kind, predicate, *, about=FILES.digest, at=None):
    """A statement about the subject, dated now."""
    return statement(kind, name="m", digest=about, predicate={**predicate, "at": timestamp(at or now())})


def near_copy(workspace, *, of=FILES.digest):
    """A subject that one FLOP of fine-tuning made of another. Returns its digest."""
    files, compute = Manifest((("model.safetensors", "2" * 64),)), COMPUTE + 1
    predicate = SubjectPredicate("copy", files, compute, compute, compute, (Step(of, "fine-tuned", 1),))
    made = statement("subject", name="copy", digest=files.digest, predicate=predicate.to_json())
    sign(workspace, made, "evaluation-team")
    return files.digest


def plan(workspace, *names, seed=0, about=FILES.digest):
    predicate = {
        "protocol": protocol_to_json(replace(PROTOCOL, seed=seed)),
        "report_by": timestamp(now() + timedelta(days=1)),
    }
    made = statement("plan", name="m", digest=about, predicate=predicate)
    return sign(workspace, made, *(names or ("evaluation-team",)))


def result(workspace, correct, *names, of="00" * 32, seed=0, about=FILES.digest, scored=120, stopped=None):
    log = workspace.folder / "logs" / "log.json"
    log.parent.mkdir(exist_ok=True)
    log.write_text("{}")
    made = ResultPredicate(
        plan=of,
        protocol=replace(PROTOCOL, seed=seed),
        log=sha256(b"{}").hexdigest(),
        log_name="logs/log.json",
        outcomes="00" * 32,
        completed=stopped.at if stopped else 120,
        scored=stopped.at if stopped else scored,
        correct=correct,
        refused_scores=0,
        refused_at_most=stopped.at if stopped else 120,
        errored=0,
        limited=0,
        tokens=1,
        flop=0,
        environment={"seed": str(seed)},
        stopped=stopped,
    )
    return sign(
        workspace,
        statement("result", name="m", digest=about, predicate=made.to_json()),
        *(names or ("evaluation-team",)),
    )


def evaluate(workspace, correct=0, seed=0, about=FILES.digest):
    """A plan and its result. Returns the digest of the result."""
    return result(workspace, correct, of=plan(workspace, seed=seed, about=about), seed=seed, about=about)


def attest(workspace, *names):
    """The auditor's word for assumptions, or requirements, named."""
    evidence = workspace.read()
    for name in names:
        assumed = name in evidence.policy.assumptions
        predicate = {
            "kind": "assumption" if assumed else "requirement",
            "name": name,
            "about": "subject" if assumed else "developer",
            "statement": "a test",
        }
        about = FILES.digest if assumed else evidence.policy_digest
        sign(workspace, said("attestation", predicate, about=about), "external-auditor")


def decide(workspace, action, at=None):
    workspace.refresh()
    evidence = workspace.read()
    return permits.ask(evidence, subject=evidence.subject("m"), action=action, at=at or now())


def verdict(workspace, action="scale", at=None):
    return decide(workspace, action, at).verdict


def state(workspace, threshold, action="scale"):
    found = [cell.finding for it in decide(workspace, action).rulings for cell in it.cells]
    return next(it.state for it in found if it.threshold == threshold)
