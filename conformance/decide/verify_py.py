"""Answers the cases of the core of the language with `verify.py`; says of the others that they are outside of it.

Reads and writes what README.md says: `check.py -- python conformance/decide/verify_py.py`.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from graphlib import TopologicalSorter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from verify import UNREADABLE, Outside, Reader, Rule, moment  # no package: a file two folders above

_BY_DIGEST = {"subjects", "deployments"}
_EXACT = {"training_compute", "ec_low", "ec_high", "compute"}
_TIMES = {"at", "time", "report_by"}


def value(said: Any, name: str = "") -> Any:
    """What a question says, as verify.py has it: with exact numbers, moments and sets."""
    if name == "check":  # verify.py reads none, and the `at` in it is no time
        return said
    if isinstance(said, dict):
        made = {inner: value(one, inner) for inner, one in said.items()}
        return made if name in _BY_DIGEST else SimpleNamespace(**made)
    if isinstance(said, list):
        return set(said) if name == "signers" else [value(one) for one in said]
    if name in _EXACT:
        return Fraction(said)
    return moment(said) if name in _TIMES else said


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """The answer of verify.py, which reads ledgers: a fact that none of those that it reads can have is outside.

    Raises:
        Outside: it has none.
    """
    asked, (version, *others) = value({**question, "versions": []}), question["versions"]
    facts, policy = asked.facts, {**version["policy"], "effective": version["since"]}
    if others or facts.incidents or (facts.amendments and policy["exceptions"]):
        raise Outside("several versions, incidents, or an exception that is open")
    for result in facts.results:
        if result.total is not None:  # a sum of scores: who asks how many were right gets no answer
            del result.correct
    if any(not 0 <= it.ec_low <= it.ec_high or it.training_compute < 0 for it in facts.subjects.values()):
        raise Outside("a subject whose numbers cannot be")
    if any(step.parent not in facts.subjects for it in facts.subjects.values() for step in it.steps):
        raise Outside("a subject whose parents are not known")
    facts.kinds = ["approval"] if facts.approvals else []
    parents = {digest: [step.parent for step in it.steps] for digest, it in facts.subjects.items()}
    order = TopologicalSorter(parents).static_order()  # a ledger has parents before what is made of them
    facts.subjects = {digest: facts.subjects[digest] for digest in order if digest in facts.subjects}
    known, budget, sums = facts.subjects, Fraction(policy["attacker_budget"]), Reader(None, []).sums
    for digest, it in known.items():  # what a reader of a ledger makes of a subject
        run = [step for step in it.steps if step.kind == "continued"]
        most = {step.parent: budget * known[step.parent].training_compute for step in it.steps}
        near = [step for step in it.steps if step in run or step.compute <= most[step.parent]]
        it.line = {digest}.union(*(known[step.parent].line for step in it.steps))
        it.near = {digest}.union(*(known[step.parent].near for step in near))
        it.before = set[str]().union(*(known[step.parent].near for step in run))
        it.ways, it.run = sums(near, known) or {digest: (0, 0)}, sums(run, known)
        it.added = max((step.compute for step in it.steps), default=it.training_compute)
    try:
        return Rule(asked, policy, moment(version["entered"]), facts).answer()
    except UNREADABLE as error:
        raise Outside(f"what cannot be read: {error!r:.80}") from error


def main() -> None:
    """Answer one question a line."""
    for line in sys.stdin:
        case = json.loads(line)
        try:
            said = {"answer": answered(case["question"])}
        except Outside as error:
            said = {"outside": str(error)}
        print(json.dumps({"id": case["id"], **said}), flush=True)


if __name__ == "__main__":
    main()
