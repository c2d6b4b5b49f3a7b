"""Decisions and results in other people's formats: SLSA VSA v1, and in-toto `test-result` v0.1.

Both say less than what they are made of; docs/formats.md says where each field comes from and what is lost. Guarantees:
`PASSED` stands only where the rule, asked again, permits, and never over a result, which by itself rules nothing out.
Nothing here is evidence: a ledger refuses both predicate types.
Leaves to the caller: signing, and that the logs of a result are unaltered.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from interlock.decide.decision import timestamp, to_json
from interlock.decide.rule import Decider
from interlock.evidence.imported import ImportedPredicate
from interlock.evidence.statement import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from interlock.decide.decision import Counted, Decision, Node, Reading
    from interlock.decide.facts import Checkpoint, Result, Version
    from interlock.evidence.bundle import Verified
    from interlock.evidence.read import Evidence
    from interlock.ledger.entry import Entry
    from interlock.ledger.log import LedgerView

__all__ = ["EXTENSION", "MOST_INPUTS", "TEST_RESULT", "VSA", "test_result", "vsa"]

VSA = "https://slsa.dev/verification_summary/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
#: The one member of both predicates that is not theirs. Both formats let a producer add some that are named by a URI.
EXTENSION = "urn:interlock:export:v1"
#: Of a decision that read more statements than this, a VSA does not list them: it would not fit into an envelope.
MOST_INPUTS = 2000


def vsa(verified: Verified, *, by: str) -> Statement:
    """The SLSA verification summary of a decision whose bundle verified, in the name of the role `by` that signs it."""
    decision, evidence, view = verified.decision, verified.evidence, verified.shown.view
    version, permits = evidence.in_force(decision.at), decision.verdict == "permit"
    digests = [record.digest for record in evidence.records]
    read = [_statement(digests[it.index], it) for it in view.entries[: decision.checkpoint.size]]
    about = decision.deployment or decision.subject
    predicate = {
        "verifier": {"id": f"urn:interlock:role:{_part(version.policy.id)}:{_part(by)}"},
        "timeVerified": timestamp(decision.at),
        "resourceUri": _resource(decision),
        "policy": _policy(version),
        **({"inputAttestations": read} if len(read) <= MOST_INPUTS else {}),
        "verificationResult": "PASSED" if permits else "FAILED",
        "verifiedLevels": [f"INTERLOCK_PERMIT:{decision.action}" if permits else "FAILED"],
        EXTENSION: {
            **_place(view, verified.record.entry, verified.record.digest, decision.checkpoint),
            "action": decision.action,
            "subject": decision.subject,
            "deployment": decision.deployment,
            "bounds": to_json(decision)["bounds"],
        },
    }
    return Statement(VSA, ((_name(evidence, about), about),), predicate)


def test_result(view: LedgerView, evidence: Evidence, index: int) -> Statement:
    """The in-toto test result of the result at `index` of a ledger, `evidence` being what it holds.

    Its tests are the lines at the policy's gates that the result is of, and it is `FAILED` unless it alone puts its
    measure under each of them, and there is one; else `WARNED`.
    """
    facts, said = evidence.facts, evidence.results[index]
    [result] = [it for it in facts.results if it.entry == index]
    tests = set(_tests(evidence, result))
    failed = {name for name, under in tests if not under}
    protocol, about = result.protocol, result.protocol.deployment or result.subject
    version = said.version if isinstance(said, ImportedPredicate) else protocol.task_version
    configuration = [
        *([{"name": "plan", **_statement(result.plan.digest, view.entries[result.plan.entry])}] if result.plan else []),
        {
            "name": "samples",
            "uri": f"urn:interlock:task:{_part(f'{protocol.task}@{version}')}",
            "digest": {"sha256": protocol.samples_digest},
        },
        *({"name": name, "digest": {"sha256": digest}} for name, digest in said.files),
        {"name": "policy", **_policy(evidence.in_force(facts.checkpoint.time))},
    ]
    predicate = {
        "result": "WARNED" if tests and not failed else "FAILED",
        "configuration": configuration,
        "passedTests": [],
        "warnedTests": sorted({name for name, _ in tests} - failed),
        "failedTests": sorted(failed),
        EXTENSION: {
            **_place(view, index, result.digest, facts.checkpoint),
            "elicitation": protocol.elicitation,
            "counts": said.to_json()["counts"],
        },
    }
    return Statement(TEST_RESULT, ((_name(evidence, about), about),), predicate)


# -- what a result is tested against -----------------------------------------------------------------------------------


def _tests(evidence: Evidence, result: Result) -> Iterator[tuple[str, bool]]:
    """Each line at a gate that the result is of, and whether the result alone puts its measure under that: sound for a
    demand of the line, and its own bound under the level.
    """
    decider, at = Decider(evidence.versions, evidence.facts), evidence.facts.checkpoint.time
    offered = result.protocol.deployment
    for action in evidence.policy.gates:
        decision = decider.decide(subject=result.subject, action=action, at=at, deployment=offered)
        for cell in decision.cells:
            yield from _lines(cell.finding.tree, cell.finding.threshold, result.entry)
            for requirement in cell.requirements:
                yield from _lines(requirement.tree, requirement.name, result.entry)


def _lines(node: Node, owner: str, entry: int) -> Iterator[tuple[str, bool]]:
    mean = node.kind in {"measure", "measured"} and bool(node.parts)
    readings = [part.reading for part in (node.parts if mean else (node,)) if part.reading is not None]
    for reading in readings:
        for counted in reading.counted:
            if counted.entry == entry:
                # one of the measures that a mean is of does not put the mean under its level
                yield f"{owner}: {node.text}", not mean and _under(reading, counted)
    for part in () if mean else node.parts:
        yield from _lines(part, owner, entry)


def _under(reading: Reading, counted: Counted) -> bool:
    limit, tally = reading.scale.turn(reading.level) - reading.margin, counted.tally
    return counted.admissible and tally is not None and tally.puts_under(limit, counted.alpha)


# -- what they name ----------------------------------------------------------------------------------------------------


def _part(text: str) -> str:
    """Text as a part of a URN (RFC 8141)."""
    return quote(text, safe="/@")


def _statement(digest: str, entry: Entry) -> dict[str, Any]:
    """A statement of the ledger: named by its digest, with that of its envelope's exact bytes."""
    return {
        "uri": f"urn:interlock:statement:{digest}",
        "digest": {"sha256": hashlib.sha256(entry.data).hexdigest()},
    }


def _policy(version: Version) -> dict[str, Any]:
    named = _part(f"{version.policy.id}@{version.policy.version}")
    return {"uri": f"urn:interlock:policy:{named}", "digest": {"sha256": version.digest}}


def _resource(decision: Decision) -> str:
    """What was asked: the action, the subject, and the deployment if there is one."""
    asked: Sequence[str] = (decision.action, decision.subject, *([decision.deployment] if decision.deployment else []))
    return ":".join(["urn:interlock:action", *map(_part, asked)])


def _place(view: LedgerView, entry: int, digest: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """Where the statement stands that this was made of, and the state of the ledger that was read for it."""
    return {
        "ledger": view.origin,
        "entry": entry,
        "digest": digest,
        "checkpoint": {"size": checkpoint.size, "root": checkpoint.root, "time": timestamp(checkpoint.time)},
    }


def _name(evidence: Evidence, digest: str) -> str:
    """What people call it; a decision may have been asked about a deployment that the ledger has not."""
    facts = evidence.facts
    known = facts.deployments.get(digest) or facts.subjects.get(digest)
    return known.name if known else digest
