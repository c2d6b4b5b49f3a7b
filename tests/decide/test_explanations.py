"""The explanation of a decision: what every part of it says on some of the exported cases.

`python tests/decide/test_explanations.py` writes the explanations again, after a change that was meant.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.decide.decision import to_json
from interlock.decide.exchange import decided, question_from_json
from interlock.duties.account import Begun
from interlock.duties.starts import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.decide.decision import Decision, Node, Reason

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "conformance" / "decide"))

from check import cases  # noqa: E402  # the folder is no package

WRITTEN = Path(__file__).with_name("explanations.jsonl.xz")
ROW = re.compile(r"^\| (`[a-z`, -]+`) \| [0-9, -]+ \| .* \| (.*) \|$", re.MULTILINE)
PAGE = {  # code: whether the ledger can lift it
    code: not way.startswith(("none", "-"))
    for codes, way in ROW.findall((ROOT / "docs/semantics.md").read_text(encoding="utf-8"))
    for code in re.findall(r"[a-z-]+", codes)
}
#: What shows that a requirement is met, by its kind.
SHOWN = {"attested", "approved", "measured", "defined", "ruled-out"}
#: Parts of a finding, which are in a state, and what else a part can be.
IN_A_STATE = {"threshold", "measure", "at-least", "ref", "quantity", "below-if", "judgement", "version", "versions"}
KINDS = IN_A_STATE | SHOWN | {"hole", "never", "combined", "either", "exception"}


@cache
def decisions() -> tuple[Decision, ...]:
    return tuple(decided(question_from_json(case["question"])) for case in cases(every=20))


def parts() -> Iterator[Node]:
    for cell in (cell for decision in decisions() for cell in decision.cells):
        yield from cell.finding.tree.walk()
        for requirement in cell.requirements:
            yield from requirement.tree.walk()


def told() -> Iterator[Reason]:
    for decision in decisions():
        yield from decision.all_reasons
    for part in parts():
        yield from part.reasons


def test_they_are_as_they_were():
    with lzma.open(WRITTEN, "rt", encoding="utf-8") as lines:
        for was, decision in zip(map(json.loads, lines), decisions(), strict=True):
            assert to_json(decision) == was


def test_a_part_holds_if_nothing_speaks_against_it_and_enough_of_its_parts_hold():
    for part in parts():
        against = () if part.kind in SHOWN and part.holds else part.reasons
        enough = sum(it.holds is True for it in part.parts) >= part.need
        assert part.holds is (not against and enough), part


def test_a_part_that_does_not_hold_says_why_or_which_of_its_parts_does_not():
    for part in parts():
        assert part.holds or part.reasons or sum(it.holds for it in part.parts) < part.need, part


def test_what_is_met_by_itself_says_so():
    for part in parts():
        if part.kind in SHOWN and part.holds:
            assert [it.code for it in part.reasons] == [part.kind]


def test_a_part_is_in_a_state_exactly_if_it_is_one_of_a_finding():
    for part in parts():
        assert part.kind in KINDS
        if part.kind in {"threshold", "at-least", "ref", "quantity", "judgement"}:
            assert part.state in {"below", "reached", "not ruled out"}
        if part.state is not None:
            assert part.kind in IN_A_STATE
            assert part.holds is (part.state == "below")


def test_every_reason_is_one_of_the_page_and_names_a_way_out_where_the_page_does():
    for reason in told():
        if reason.code != "overdue":  # nothing in the ledger lifts it from a hole
            assert (reason.resume is not None) is PAGE[reason.code], reason


def test_every_sentence_is_whole():
    sentences = [text for it in told() for text in (it.text, it.resume or "a way out")] + [it.text for it in parts()]
    assert all(isinstance(it, str) and it and "None" not in it for it in sentences)


def test_a_ledger_finds_every_duty_that_a_decision_names_in_its_policy():
    """Else it would refuse an honest decision."""
    named = 0
    for case, decision in zip(cases(every=20), decisions(), strict=True):
        policies = {it.digest: it.policy for it in question_from_json(case["question"]).versions}
        for ruling in to_json(decision)["rulings"]:
            policy = policies[ruling["digest"]]
            for told in ruling["duties"]:
                since, due = (told[it] and datetime.fromisoformat(told[it]) for it in ("since", "first_due"))
                begun = Begun(
                    told["duty"], told["what"], told["about"], ruling["digest"], since, due, tuple(told["when"])
                )
                assert begun.duty in policy.duties or answers(policy, begun), begun
                named += 1
    assert named > 100


if __name__ == "__main__":
    with lzma.open(WRITTEN, "wt", encoding="utf-8", preset=9) as lines:
        lines.writelines(json.dumps(to_json(decision), sort_keys=True) + "\n" for decision in decisions())
