"""Draw the cases again: `python conformance/decide/export.py [COUNT]` writes `cases.jsonl.xz` and `about.json`."""

from __future__ import annotations

import base64
import json
import lzma
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, given, seed, settings

from interlock.decide.exchange import Question, answer, question_from_json, question_to_json
from interlock.errors import EvidenceError
from interlock.policy import digest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from decide import reference, strategies  # noqa: E402  # the tests are not installed

#: Texts that a policy must have and that the strategies leave empty, since nothing decides by them.
_TEXTS = {"source", "what", "title", "metric", "attacker_budget_source"}


def _key(name: str) -> str:
    secret = Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())
    return "ed25519:" + base64.b64encode(secret.public_key().public_bytes_raw()).decode()


def _whole(value: Any) -> Any:
    """The same value with a text wherever a policy must have one."""
    if is_dataclass(value) and not isinstance(value, type):
        old = {field.name: getattr(value, field.name) for field in fields(value)}
        new = {name: "text" if name in _TEXTS and it == "" else _whole(it) for name, it in old.items()}
        return replace(value, **{name: it for name, it in new.items() if it is not old[name]})
    if isinstance(value, Mapping):
        return {name: _whole(item) for name, item in value.items()}
    return tuple(map(_whole, value)) if isinstance(value, tuple) else value


def question(case: strategies.Case) -> Question:
    """The case as it would stand in a ledger: real keys, real digests."""
    versions = []
    for version in case.versions:
        policy = _whole(version.policy)
        roles = {
            name: replace(role, keys=tuple(_key(f"{name} {place}") for place, _ in enumerate(role.keys)))
            for name, role in policy.roles.items()
        }
        policy = replace(policy, roles=roles)
        versions.append(replace(version, policy=policy, digest=digest(policy)))
    return Question(tuple(versions), case.facts, case.subject, case.action, case.at, case.deployment)


def referred(asked: Question) -> dict[str, Any]:
    """What the reference evaluator says, in the same words."""
    said = reference.answer(
        asked.versions,
        asked.facts,
        subject=asked.subject,
        deployment=asked.deployment,
        action=asked.action,
        at=asked.at,
    )
    most, until = said.most_effective_compute, said.not_after
    return {
        "verdict": said.verdict,
        "most_effective_compute": None if most is None else str(most),
        "not_after": None if until is None else until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "policies": {
            name: {
                "governs": ruling.governs,
                "verdict": ruling.verdict,
                "cells": {
                    threshold: {"state": cell[0], "overdue": cell[1], "opens": cell[2], "met": dict(cell[3])}
                    for threshold, cell in ruling.cells.items()
                },
            }
            for name, ruling in said.policies.items()
        },
    }


def main() -> None:
    """Draw, answer twice, write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    lines: dict[str, str] = {}
    about: Counter[str] = Counter()

    @seed(20261123)
    @settings(
        max_examples=2 * count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.cases())
    def draw(case: strategies.Case) -> None:
        if len(lines) >= count:
            return
        asked = question(case)
        try:
            question_from_json(json.loads(json.dumps(question_to_json(asked))))
        except EvidenceError:  # a version that no reader would load, such as a threshold that it has at no gate
            return
        said = answer(asked)
        if said != (other := referred(asked)):
            (HERE / "differs.json").write_text(json.dumps([question_to_json(asked), said, other], indent=1))
            raise SystemExit("the two disagree: see differs.json")
        text = json.dumps(question_to_json(asked), sort_keys=True, separators=(",", ":"))
        if text not in lines:
            lines[text] = json.dumps(said, sort_keys=True, separators=(",", ":"))
            about.update(_seen(asked, said))
            if sys.stderr.isatty():
                print(f"\r{len(lines)} of {count}", end="", file=sys.stderr, flush=True)

    draw()
    with lzma.open(HERE / "cases.jsonl.xz", "wt", encoding="utf-8", preset=9) as file:
        for number, (text, said) in enumerate(lines.items()):
            file.write(f'{{"answer":{said},"id":{number},"question":{text}}}\n')
    (HERE / "about.json").write_text(json.dumps({"cases": len(lines), **dict(sorted(about.items()))}, indent=2) + "\n")
    print(f"{len(lines)} cases, {about['permits']} permits")


def _seen(asked: Question, said: dict[str, Any]) -> list[str]:
    facts = {
        f"with {field.name}"
        for field in fields(asked.facts)
        if field.name != "checkpoint" and getattr(asked.facts, field.name)
    }
    policies = Counter(version.policy.id for version in asked.versions)
    several = ["with several versions"] if max(policies.values()) > 1 else []
    return [*facts, *several, *(["with several policies"] if len(policies) > 1 else []), f"{said['verdict']}s"]


if __name__ == "__main__":
    main()
