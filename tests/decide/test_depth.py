"""Whoever decides goes down every chain of a policy: none that loads is so long that Python's stack would end."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import pytest

from decide.cases import (
    AUDIT,
    AUDITOR,
    BOARD,
    DAY,
    EFFECTIVE,
    HALF_YEAR,
    HONEST,
    ask,
    known,
    line,
    named,
    quick,
    runs,
    simple,
    since,
    stated,
)
from interlock.decide.decision import to_json
from interlock.policy._structure.cycles import check_cycles
from interlock.policy._structure.parts import parts_of
from interlock.policy.model import (
    Amount,
    Approved,
    Assumption,
    At,
    AtLeast,
    Combined,
    ExceptionRule,
    Measured,
    Ref,
    RuledOut,
    Threshold,
    UnderReference,
    UnderScreen,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from interlock.policy.model import Expr, Policy, Requirement

T = TypeVar("T")
LEAF = At("a", Fraction("0.20"))
HUGE = Amount("training_compute", Fraction(10**30))
#: Calls that stand below a decision already: a server's, a test's, a notebook's.
CALLER = 300


def inside(expr: Expr, levels: int) -> Expr:
    """An expression, so many levels deep."""
    return expr if levels == 1 else AtLeast(1, (inside(expr, levels - 1),))


def assumptions(steps: int) -> dict[str, Assumption]:
    """Each is void at the threshold after the one that makes it."""
    made = (Assumption(f"a{at}", AUDITOR, HALF_YEAR, void_at=(f"t{at + 1}",)) for at in range(steps))
    return named(Assumption(HONEST, AUDITOR, HALF_YEAR), *made)


def referring(steps: int, levels: int = 1) -> list[Threshold]:
    """Thresholds over the next one."""
    return [
        *(line(f"t{at}", inside(Ref(f"t{at + 1}"), levels), rule_out=None) for at in range(steps)),
        line(f"t{steps}"),
    ]


def void(steps: int, levels: int = 1, **changes: object) -> Policy:
    """Thresholds that are not below unless the next one is."""
    expr = inside(LEAF, levels)
    lines = [line(f"t{at}", expr, rule_out=quick(assumes=(f"a{at}",)), **changes) for at in range(steps)]
    return simple(*lines, line(f"t{steps}"), assumptions=assumptions(steps))


def combining(steps: int, last: Requirement, *lines: Threshold, **changes: object) -> Policy:
    """A cell whose requirement combines another, and so on down to the last."""
    made = [Combined(f"c{at}", 1, (f"c{at + 1}",)) for at in range(steps - 1)]
    made.append(Combined(f"c{steps - 1}", 1, (last.name,)))
    over = line("over", HUGE, rule_out=None)
    requirements = named(AUDIT, *made, last)
    return simple(over, *lines, requires=["c0"], requirements=requirements, **changes)


def standing_in(steps: int) -> Policy:
    """What stands in for the last of a chain of combinations is another such chain."""
    half = steps // 2 + 1
    plain = combining(half, Approved("accepted", "it is", BOARD, "subject", HALF_YEAR))
    other = [Combined(f"d{at}", 1, (f"d{at + 1}",)) for at in range(half)]
    requirements = {**plain.requirements, **named(*other, RuledOut(f"d{half}", "t0"))}
    way = ExceptionRule("way", "interim", ("accepted",), ("d0",), (BOARD,), HALF_YEAR)
    lines = {**plain.thresholds, **named(line("t0"))}
    return simple(*lines.values(), gated=["over"], requires=["c0"], requirements=requirements, exceptions=named(way))


CHAINS: dict[str, Callable[[int], Policy]] = {
    "thresholds over thresholds": lambda steps: simple(*referring(steps)),
    "thresholds deep in thresholds": lambda steps: simple(*referring(steps, 7)),
    "higher levels": lambda steps: simple(
        line("t0"), *(line(f"t{at}", above=(f"t{at - 1}",)) for at in range(1, steps + 1))
    ),
    "screens": lambda steps: simple(
        *(line(f"t{at}", below_if=(UnderScreen(f"t{at + 1}"),)) for at in range(steps)), line(f"t{steps}")
    ),
    "assumptions": void,
    "assumptions of a measure two levels deep": lambda steps: void(steps, 2),
    "assumptions of a measure 31 levels deep": lambda steps: void(steps, 31),
    "assumptions of a subject that is named": lambda steps: void(
        steps, below_if=(UnderReference("foundation", ("a",), Fraction(0)),)
    ),
    "requirements": lambda steps: combining(steps, RuledOut("last", "t0"), line("t0")),
    "requirements, then thresholds": lambda steps: combining(
        steps // 2 + 1, RuledOut("last", "t0"), *referring(steps // 2)
    ),
    "requirements, then assumptions": lambda steps: combining(
        steps // 2 + 1,
        Measured("last", "a", Fraction("0.20"), quick(assumes=("a0",))),
        line("t0"),
        *void(steps // 2).thresholds.values(),
        assumptions={**assumptions(steps // 2), "a": Assumption("a", AUDITOR, HALF_YEAR, void_at=("t0",))},
    ),
    "what stands in for requirements": standing_in,
}


def longest(chain: Callable[[int], Policy]) -> Policy:
    """The longest of such a chain that loads."""
    steps = next(steps for steps in count(1) if any(check_cycles(parts_of(chain(steps)))))
    return chain(steps - 1)


def under(calls: int, function: Callable[[], T]) -> T:
    """What a function returns, with so many more calls below it."""
    return under(calls - 1, function) if calls else function()


WORDS = [*(stated(f"a{at}") for at in range(20)), stated("a")]
FACTS = {
    "nothing is known": known(honest=()),
    "words alone": known(attestations=WORDS),
    "results that permit": known(runs(), attestations=WORDS),
    "results that hold": known(runs(correct=190), attestations=WORDS),
}


@pytest.mark.parametrize("told", FACTS)
@pytest.mark.parametrize("chain", CHAINS)
def test_law_the_longest_chain_that_loads_is_decided_and_told_above_many_calls(chain, told):
    policy = longest(CHAINS[chain])
    for versions in ([since(policy)], [since(policy), since(replace(policy, version="1.1.0"), EFFECTIVE + DAY)]):
        decision = under(CALLER, partial(ask, FACTS[told], *versions))
        assert under(CALLER, lambda it=decision: json.dumps(to_json(it)))


def test_law_an_earlier_versions_chain_may_begin_where_the_longest_of_this_one_ends():
    now = longest(void)
    *others, last = now.thresholds
    below = [
        replace(it, name=f"u{at}", reached_when=Ref(f"u{at + 1}"), rule_out=None) for at, it in enumerate(referring(64))
    ]
    before = simple(*map(line, others), line(last, Ref("u0"), rule_out=None), *below[:63], line("u63"))
    assert not any(check_cycles(parts_of(before)))
    versions = [since(before), since(replace(now, version="1.1.0"), EFFECTIVE + DAY)]
    for told in FACTS.values():
        assert under(CALLER, partial(ask, told, *versions))
