"""What stands beside a threshold: words, approvals, measures, combinations, ways round, incidents (rules 29 to 34)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from decide.cases import (
    ACTIONS,
    AT,
    AUDIT,
    AUDITOR,
    BOARD,
    CHILD,
    DAY,
    FOUNDATION,
    GATEKEEPER,
    HALF_YEAR,
    MEASURES,
    MODEL,
    MONTH,
    OFFERED,
    PLANNED,
    QUARTER,
    REFERENCE,
    SECOND,
    SIBLING,
    STATED,
    TEAM,
    YEAR,
    amended,
    approved,
    aside,
    ask,
    attested,
    buffer,
    cell,
    facts,
    in_order,
    incident,
    judged,
    known,
    line,
    measure,
    met,
    named,
    one_gate,
    policy,
    quick,
    refresh,
    run,
    runs,
    saw,
    simple,
    since,
    stated,
    withdrawn,
)
from interlock.policy.model import (
    Amount,
    Approved,
    Attested,
    Combined,
    Defined,
    Demand,
    ExceptionRule,
    Hole,
    Judged,
    Mean,
    Measured,
    Never,
    RuledOut,
    Threshold,
)
from interlock.policy.time import Duration

SECURITY = attested("security-3", about=None)
MISUSE = attested("misuse-3")
#: A threshold that is reached, so that only requirements open its cell.
REACHED = Threshold("t", Amount("training_compute", Fraction(1)), None)


def needing(*requirements, requires=(), **changes):
    """A gate on what is reached, that asks for these."""
    asked = requires or [it.name for it in requirements]
    return simple(REACHED, requires=asked, requirements=named(*requirements, Never("never")), **changes)


def by_requirement(*made, **changes):
    """`scale` of the one-gate policy, asked with the developer's security attested and nothing else but `made`."""
    return ask(facts(*made, attestations=[SECURITY]), one_gate(), **changes)


# -- attested (29) -----------------------------------------------------------------------------------------------------


def test_security_lifts_codebook_use_but_not_the_hole_of_takeover():
    decision = ask(in_order(few_shot={"correct": 100}, attestations=[SECURITY]))
    assert decision.verdict == "hold"
    opens = {it.finding.threshold: (it.finding.state, it.opens) for it in decision.cells}
    assert opens == {"codebook-use": ("reached", True), "takeover": ("reached", False)}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_hole_and_never_hold_whatever_is_attested(action):
    every = [attested(name, about=about) for name in policy().requirements for about in (None, MODEL)]
    decision = ask(in_order(few_shot={"correct": 100}, attestations=every), action=action)
    held = {it.finding.threshold for it in decision.holding}
    assert decision.verdict == "hold"
    assert held == {"takeover", "codebook-use-open"} & set(policy().gates[action])


ATTESTED = {  # sentence: (the word, is it one?)
    "as demanded": (attested("audit"), True),
    "with more signers": (attested("audit", by=[AUDITOR, TEAM]), True),
    "by the wrong roles": (attested("audit", by=[TEAM, GATEKEEPER, BOARD]), False),
    "about the developer": (attested("audit", about=None), False),
    "about the parent": (attested("audit", about=FOUNDATION), False),
    "about the child": (attested("audit", about=CHILD), False),
    "about a deployment": (attested("audit", about=OFFERED), False),
    "expired this second": (attested("audit", at=datetime(2025, 12, 1, tzinfo=UTC)), False),
    "in its last second": (attested("audit", at=datetime(2025, 12, 1, 0, 0, 1, tzinfo=UTC)), True),
    "another requirement": (attested("other"), False),
    "stated as an assumption": (stated("audit"), False),
}


@pytest.mark.parametrize("sentence", ATTESTED)
def test_attested(sentence):
    word, stands = ATTESTED[sentence]
    assert met(ask(facts(attestations=[word]), needing(AUDIT))) == {"audit": stands}


ABOUT = {  # about: (the digest that serves, is a deployment asked for?, met?)
    "the subject": ("subject", MODEL, False, True),
    "the developer": ("developer", None, False, True),
    "the deployment": ("deployment", OFFERED, True, True),
    "the deployment, where none is asked about": ("deployment", OFFERED, False, False),
    "nothing, where a deployment is meant and none is asked about": ("deployment", None, False, False),
    "the subject, where a deployment is meant": ("deployment", MODEL, True, False),
}


@pytest.mark.parametrize("sentence", ABOUT)
def test_what_a_requirement_is_about(sentence):
    about, whom, asked, stands = ABOUT[sentence]
    decision = ask(
        facts(attestations=[attested("audit", about=whom)]),
        needing(replace(AUDIT, about=about)),
        deployment=OFFERED if asked else None,
    )
    assert met(decision) == {"audit": stands}


def test_a_word_that_was_taken_back_is_none():
    word = attested("audit")
    for by, stands in ((AUDITOR, False), (TEAM, True)):
        told = facts(attestations=[word], withdrawals=[withdrawn(word, by=[by])])
        assert met(ask(told, needing(AUDIT))) == {"audit": stands}


@pytest.mark.parametrize("about", [None, FOUNDATION, CHILD])
def test_what_is_attested_about_the_developer_or_kin_does_not_serve_the_subject(about):
    both = [SECURITY, attested("misuse-3", about=about)]
    under = one_gate(("security-3", "misuse-3"))
    assert ask(facts(run("few-shot"), attestations=both), under).verdict == "hold"
    assert ask(facts(run("few-shot"), attestations=[*both, MISUSE]), under).verdict == "permit"


def test_of_several_words_the_latest_counts():
    words = [attested("audit", at=STATED - DAY), attested("audit"), attested("audit", at=STATED - 2 * DAY)]
    found = ask(facts(attestations=words), needing(AUDIT)).cells[0].requirements[0]
    assert found.tree.expires == HALF_YEAR.after(STATED)


# -- overdue (28) ------------------------------------------------------------------------------------------------------

OVERDUE = {  # a security attestation opens this gate, and none of these lets it
    "nothing was evaluated": (),
    "the last evaluation is stale": (run("few-shot", planned_at=PLANNED - 90 * DAY),),
    "only an unplanned result is there": (run("few-shot", planned=False),),
    "only a child was evaluated": (run("few-shot", subject=CHILD),),
    "only an unplanned result is there, and it reaches the level": (run("few-shot", planned=False, correct=100),),
    "the last evaluation is stale, and it reaches the level": (
        run("few-shot", planned_at=PLANNED - 90 * DAY, correct=100),
    ),
    "only the parent was evaluated, and it reaches the level": (run("few-shot", subject=FOUNDATION, correct=100),),
}


@pytest.mark.parametrize("sentence", OVERDUE)
def test_overdue_holds_although_every_requirement_is_met(sentence):
    decision = by_requirement(*OVERDUE[sentence])
    assert decision.verdict == "hold"
    assert [it.met for it in decision.cells[0].requirements] == [True]
    assert decision.cells[0].finding.overdue


@pytest.mark.parametrize("bad", [50, 100])
def test_a_met_requirement_opens_what_is_evaluated(bad):
    assert by_requirement(run("few-shot", correct=bad)).verdict == "permit"


def test_an_empty_cell_and_an_empty_gate_open_nothing():
    assert ask(facts(run("few-shot", correct=50)), one_gate(())).verdict == "hold"
    for told in (facts(), in_order(attestations=[SECURITY, MISUSE])):
        assert ask(told, policy(gates={"scale": {}})).verdict == "hold"


# -- approved (30) -----------------------------------------------------------------------------------------------------

SIGNED = Approved("signed", "the board accepts the risk", BOARD, "subject", HALF_YEAR)
APPROVING = simple(line("t"), requires=["signed"], requirements=named(SIGNED))
OPEN = known(runs(correct=15))  # not ruled out, and evaluated


def approving(told, *findings, **changes):
    """Whether an approval of these findings is one."""
    signed = replace(told, approvals=(approved("signed", *findings, **changes),))
    return met(ask(signed, APPROVING))["signed"]


APPROVALS = {  # sentence: (what differs, does it count?)
    "by the board, of what stands now": ({}, True),
    "by the auditor": ({"by": [AUDITOR]}, False),
    "about the parent": ({"about": FOUNDATION}, False),
    "about the developer": ({"about": None}, False),
    "half a year old": ({"at": AT - 183 * DAY}, False),
}


@pytest.mark.parametrize("sentence", APPROVALS)
def test_approved(sentence):
    changes, counts = APPROVALS[sentence]
    assert approving(OPEN, saw(OPEN, "t", "not ruled out"), **changes) == counts


def test_an_approval_binds_what_it_saw():
    now = saw(OPEN, "t", "not ruled out")
    assert approving(OPEN, now, "something else")
    assert not approving(OPEN, saw(OPEN, "u", "not ruled out"))
    assert not approving(OPEN, saw(OPEN, "t", "below"))
    assert not approving(OPEN, saw(OPEN, "t", "not ruled out", under="another policy"))
    assert not approving(OPEN)


ELSEWHERE = runs(subject=REFERENCE)
MORE = {  # sentence: (what else the ledger learns, is the approval still good?)
    "another result of the subject": (known(runs(correct=15), runs(correct=15, seed=1)), False),
    "a result on another task": (known(runs(correct=15), runs("c")), False),
    "a result of the parent": (known(runs(correct=15), runs(subject=FOUNDATION)), False),
    "a result of a dear child": (known(runs(correct=15), runs(subject=CHILD)), False),
    "a result of a dear sibling": (known(runs(correct=15), runs(subject=SIBLING)), True),
    "a result of another family": (known(runs(correct=15), runs(subject=REFERENCE)), True),
    "an incident": (known(runs(correct=15), incidents=[incident()]), False),
    "an incident of another family": (known(runs(correct=15), incidents=[incident(subject=REFERENCE)]), True),
    "a judgement of the threshold": (known(runs(correct=15), judgements=[judged("t", "reached")]), False),
    "a judgement of another threshold": (known(runs(correct=15), judgements=[judged("u", "reached")]), True),
    "a judgement of another family": (
        known(runs(correct=15), judgements=[judged("t", "reached", subject=REFERENCE)]),
        True,
    ),
    "another word": (known(runs(correct=15), attestations=[attested("audit")]), True),
    "what another family set aside": (known(runs(correct=15), ELSEWHERE, set_asides=[aside(ELSEWHERE.result)]), True),
    "what another family took back": (
        known(runs(correct=15), ELSEWHERE, withdrawals=[withdrawn(ELSEWHERE.result)]),
        True,
    ),
}


@pytest.mark.parametrize("sentence", MORE)
def test_an_approval_has_seen_everything_about_the_kin(sentence):
    told, still = MORE[sentence]
    assert approving(told, saw(OPEN, "t", "not ruled out")) == still
    assert approving(told, saw(told, "t", "not ruled out"))


def test_an_approval_of_what_is_not_ruled_out_ends_when_it_may_be_reached():
    """The parent was reached, and the subject's own answer to that ends before its evaluation."""
    bad = {"subject": FOUNDATION, "correct": 100, "elicitation": "fine-tuned", "demonstrations": 100}
    answer = {**bad, "subject": MODEL, "correct": 15, "signers": [AUDITOR], "plan_signers": [AUDITOR]}
    later = PLANNED + 3 * DAY
    told = known(runs(correct=15, planned_at=PLANNED + 20 * DAY), runs(**bad), runs(**answer, planned_at=later))
    under = replace(APPROVING, permits=replace(APPROVING.permits, lease=QUARTER))
    ends = {}
    for seen in ("not ruled out", "reached"):
        signed = replace(told, approvals=(approved("signed", saw(told, "t", seen)),))
        decision = ask(signed, under, action="deploy-internal")
        assert (decision.verdict, cell(decision).finding.state) == ("permit", "not ruled out")
        ends[seen] = decision.bounds.not_after
    assert ends["not ruled out"] == QUARTER.after(later)
    assert ends["not ruled out"] < ends["reached"]


def test_who_approved_the_worse_approved_this():
    assert approving(OPEN, saw(OPEN, "t", "reached"))
    reached = known(runs(correct=100))
    assert approving(reached, saw(reached, "t", "reached"))
    assert not approving(reached, saw(reached, "t", "not ruled out"))


def test_an_approval_of_the_worse_is_none_of_what_is_ruled_out():
    ruled_out = known(runs())
    assert not approving(ruled_out, saw(ruled_out, "t", "reached"))
    assert approving(ruled_out, saw(ruled_out, "t", "below"))


APPROVED_ABOUT = {  # sentence: (what it is to be about, what it is about, is a deployment asked for?, met?)
    "the subject": ("subject", MODEL, False, True),
    "the developer": ("developer", None, False, True),
    "the developer, where the subject is meant": ("subject", None, False, False),
    "the deployment": ("deployment", OFFERED, True, True),
    "nothing, where a deployment is meant and none is asked about": ("deployment", None, False, False),
}


@pytest.mark.parametrize("sentence", APPROVED_ABOUT)
def test_what_an_approval_is_about(sentence):
    about, whom, asked, stands = APPROVED_ABOUT[sentence]
    signed = replace(OPEN, approvals=(approved("signed", saw(OPEN, "t", "not ruled out"), about=whom),))
    under = replace(APPROVING, requirements=named(replace(SIGNED, about=about)))
    decision = ask(signed, under, deployment=OFFERED if asked else None)
    assert met(decision) == {"signed": stands}


def test_an_approval_counts_from_when_the_policy_asks_for_it_to_the_checkpoint():
    begun = STATED + DAY
    asking = (since(simple(line("t"))), since(APPROVING, begun))
    for at, stands in ((begun - SECOND, False), (begun, True), (AT, True), (AT + SECOND, False)):
        told = replace(OPEN, approvals=(approved("signed", saw(OPEN, "t", "not ruled out"), at=at),))
        assert met(ask(told, *asking)) == {"signed": stands}


# -- measured, defined, ruled out, combined (31, 32) -------------------------------------------------------------------

SAFE = Measured("safe", "b", Fraction("0.20"), quick())
ASSUMING = policy().assumptions
MEASURED = {  # sentence: (ledger, met?)
    "under the level by the margin": (known(runs("b", 8)), True),
    "not under it": (known(runs("b", 9)), False),
    "nothing was run": (known(), False),
    "nobody vouches for it": (facts(runs("b")), False),
    "a plan is due": (known(runs("b"), runs("b", seed=1, reported=False)), False),
    "a bad result beside a good one": (known(runs("b"), runs("b", 100, seed=1, planned=False)), False),
    "a bad result of the parent": (known(runs("b"), runs("b", 100, subject=FOUNDATION)), True),
}


@pytest.mark.parametrize("sentence", MEASURED)
def test_measured(sentence):
    told, stands = MEASURED[sentence]
    assert met(ask(told, needing(SAFE))) == {"safe": stands}


def test_measured_on_the_deployment_that_is_asked_for():
    under = needing(SAFE, measures={**MEASURES, **named(measure("b", kind="safeguard", on="deployment"))})
    there = known(runs("b", deployment=OFFERED))
    assert met(ask(there, under, deployment=OFFERED)) == {"safe": True}
    assert met(ask(there, under)) == {"safe": False}
    assert met(ask(known(runs("b")), under, deployment=OFFERED)) == {"safe": False}


def test_measured_where_less_is_dangerous():
    catches = replace(SAFE, level=Fraction("0.80"))
    under = needing(catches, measures={**MEASURES, **named(measure("b", danger="lower"))})
    for good, stands in ((92, True), (91, False)):
        assert met(ask(known(runs("b", good)), under)) == {"safe": stands}


def test_measured_by_a_mean():
    both = {**MEASURES, "mean": Mean("mean", {"b": Fraction(1, 2), "c": Fraction(1, 2)})}
    under = needing(replace(SAFE, measure="mean", rule_out=quick(buffer=buffer(margin=Fraction(0)))), measures=both)
    assert met(ask(known(runs("b"), runs("c", 20)), under)) == {"safe": True}
    assert met(ask(known(runs("b"), runs("c", 40)), under)) == {"safe": False}
    assert met(ask(known(runs("b")), under)) == {"safe": False}


MEAN = {**MEASURES, "mean": Mean("mean", {"b": Fraction(1, 2), "c": Fraction(1, 2)})}


def test_measured_by_a_mean_of_which_every_part_is_soundly_evaluated():
    under = needing(replace(SAFE, measure="mean"), measures=MEAN)
    for unsound in "bc":
        told = known(*(runs(name, planned=name != unsound) for name in "bc"))
        assert met(ask(told, under)) == {"safe": False}
    assert met(ask(known(runs("b"), runs("c")), under)) == {"safe": True}


def test_what_two_parts_of_a_mean_lack_is_told_once():
    decision = ask(facts(runs("b"), runs("c")), needing(replace(SAFE, measure="mean"), measures=MEAN))
    (requirement,) = decision.cells[0].requirements
    assert [reason.code for reason in requirement.tree.reasons] == ["assumption"]


@pytest.mark.parametrize("lie", "bc")
def test_measured_by_a_mean_as_far_as_each_part_reaches(lie):
    """Training compute keeps what is assumed of the one that is no lie from being void, up to 2 x 10^24 FLOP."""
    bounded = replace(ASSUMING["no-evaluation-gaming"], void_at=("small",))
    under = needing(
        replace(SAFE, measure="mean"),
        measures={**MEAN, **named(measure(lie, kind="propensity"))},
        assumptions=named(bounded, replace(bounded, name="no-test-awareness", void_at=())),
    )
    small = Threshold("small", Amount("training_compute", Fraction(2 * 10**24)), None)
    under = replace(under, thresholds={**under.thresholds, "small": small})
    told = known(runs("b"), runs("c"), attestations=[stated("no-test-awareness")])
    assert ask(told, under).bounds.most_effective_compute == 2 * 10**24 - 1


def test_defined_and_ruled_out():
    under = needing(
        Defined("there", "u"), Defined("empty", "hole"), Defined("missing", "nothing"), RuledOut("out", "u")
    )
    lines = {**under.thresholds, "u": line("u"), "hole": Threshold("hole", None, None, Judged(BOARD, ()))}
    under = replace(under, thresholds=lines)
    assert met(ask(known(runs()), under)) == {"there": True, "empty": False, "missing": False, "out": True}
    assert met(ask(known(runs(correct=15)), under))["out"] is False


COUNTS = {1: "any of", 2: "at least 2 of", 3: "all of"}


@pytest.mark.parametrize("count", COUNTS)
def test_a_combination_says_how_many_it_needs(count):
    under = needing(Combined("some", count, ("x", "y", "z")), *(replace(AUDIT, name=name) for name in "xyz"))
    assert cell(ask(facts(), under)).requirements[0].tree.text == f"{COUNTS[count]} x, y, z"


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 3)])
def test_combined(count, needed):
    parts = [Attested(f"n{place}", "", AUDITOR, "developer", YEAR) for place in range(3)]
    under = needing(*parts, Combined("all", count, tuple(it.name for it in parts)), requires=["all"])
    for said in range(4):
        told = facts(attestations=[attested(f"n{place}", about=None) for place in range(said)])
        assert met(ask(told, under)) == {"all": said >= needed}


def test_an_empty_combination_is_met_by_nothing():
    for count in (0, 1):
        assert met(ask(facts(), needing(Combined("all", count, ())))) == {"all": False}


# -- exceptions (33) ---------------------------------------------------------------------------------------------------

INTERIM = Attested("interim", "a stopgap", AUDITOR, "subject", YEAR)
HOLE = Hole("hole", "not known yet", BOARD, AT)
WAY = ExceptionRule("way", "interim", ("audit",), ("interim",), (BOARD, AUDITOR), MONTH)
OPENED = amended("way", by=[BOARD, AUDITOR])


def with_a_way(*requirements, rule=WAY, requires=("audit",)):
    return needing(AUDIT, INTERIM, *requirements, requires=requires, exceptions=named(rule))


WAYS = {  # sentence: (the opening, the way, does it open?)
    "approved by all, published": (OPENED, WAY, True),
    "for this subject": (replace(OPENED, subject=MODEL), WAY, True),
    "for another subject": (replace(OPENED, subject=CHILD), WAY, False),
    "approved by one of two": (replace(OPENED, signers=frozenset([BOARD])), WAY, False),
    "not published": (replace(OPENED, published=" "), WAY, False),
    "of another exception": (replace(OPENED, exception="other"), WAY, False),
    "over this second": (replace(OPENED, at=datetime(2026, 5, 1, tzinfo=UTC)), WAY, False),
    "in its last second": (replace(OPENED, at=datetime(2026, 5, 1, 0, 0, 1, tzinfo=UTC)), WAY, True),
    "the policy ended it": (OPENED, replace(WAY, until=AT), False),
    "the policy will end it": (OPENED, replace(WAY, until=AT + SECOND), True),
    "it needs nobody's approval": (OPENED, replace(WAY, approved_by=()), False),
    "it asks for nothing": (OPENED, replace(WAY, requires=()), False),
    "it is instead of something else": (OPENED, replace(WAY, instead_of=("interim",)), False),
}


@pytest.mark.parametrize("kind", ["interim", "marginal-risk", "emergency"])
@pytest.mark.parametrize("sentence", WAYS)
def test_an_exception_stands_in(sentence, kind):
    opened, rule, opens = WAYS[sentence]
    told = facts(attestations=[attested("interim")], amendments=[opened])
    assert met(ask(told, with_a_way(rule=replace(rule, kind=kind)))) == {"audit": opens}


def test_what_an_exception_asks_for_is_met_by_itself():
    """Not by another exception."""
    assert met(ask(facts(amendments=[OPENED]), with_a_way())) == {"audit": False}
    second = ExceptionRule("second", "interim", ("interim",), ("other",), (BOARD,), MONTH)
    other = Attested("other", "", AUDITOR, "subject", YEAR)
    under = replace(with_a_way(other), exceptions=named(WAY, second))
    told = facts(attestations=[attested("other")], amendments=[OPENED, amended("second")])
    assert met(ask(told, under)) == {"audit": False}


def test_an_opening_that_was_taken_back_is_none():
    told = facts(attestations=[attested("interim")], amendments=[OPENED], withdrawals=[withdrawn(OPENED, by=[BOARD])])
    assert met(ask(told, with_a_way())) == {"audit": False}


@pytest.mark.parametrize("empty", ["hole", "never", "deep"])
def test_no_exception_in_a_cell_with_a_hole(empty):
    deep = Combined("deep", 2, ("interim", "hole"))
    told = facts(attestations=[attested("interim")], amendments=[OPENED])
    under = with_a_way(HOLE, deep, requires=("audit", empty))
    assert met(ask(told, under)) == {"audit": False, empty: False}


def test_a_part_of_a_combination_may_have_a_way_round():
    both = Combined("both", 2, ("audit", "interim"))
    told = facts(attestations=[attested("interim")], amendments=[OPENED])
    assert met(ask(told, with_a_way(both, requires=("both",)))) == {"both": True}


def test_an_opening_counts_from_when_the_policy_has_its_exception():
    """It still does when a later version has it, too."""
    without = replace(with_a_way(), exceptions={})
    for versions, stands in (((without, with_a_way()), False), ((with_a_way(), with_a_way()), True)):
        asking = [since(versions[0]), since(versions[1], STATED + DAY)]
        decision = ask(facts(attestations=[attested("interim")], amendments=[OPENED]), *asking)
        assert met(decision) == {"audit": stands}


def test_an_exception_does_not_end_overdue():
    told = known(attestations=[attested("interim")], amendments=[OPENED])
    under = simple(line("t"), requirements=named(AUDIT, INTERIM), exceptions=named(WAY))
    decision = ask(told, under)
    assert (met(decision), decision.verdict, cell(decision).opens) == ({"audit": True}, "hold", False)


def test_the_first_thing_to_say_about_a_requirement_is_what_meets_it_or_why_nothing_does():
    both = Combined("both", 1, ("audit", "interim"))
    under = replace(with_a_way(both, requires=("both",)), exceptions={})
    found = ask(facts(attestations=[attested("interim")]), under).cells[0].requirements[0]
    assert (found.met, found.reason.code) == (True, "attested")
    assert "`interim`" in found.reason.text
    missing = ask(facts(), under).cells[0].requirements[0]
    assert (missing.met, "`audit`" in missing.reason.text) == (False, True)


TWICE, THRICE = (
    Measured(name, of, Fraction("0.20"), quick(refresh=refresh(multiple=Fraction(multiple))))
    for name, of, multiple in (("twice", "b", 2), ("thrice", "c", 3))
)
WORD = Attested("word", "a word", AUDITOR, "subject", QUARTER)
TOLD = known(
    runs("b"), runs("c"), attestations=[attested("word", at=PLANNED)], amendments=[replace(OPENED, at=PLANNED)]
)  # everything ends a quarter after PLANNED
REACH = {"twice": 2 * 10**24, "thrice": 3 * 10**24, "word": 4 * 10**24}


def reaches(*more, asked, **changes):
    """How far a permit reaches that opens by what is asked for."""
    under = needing(TWICE, THRICE, WORD, *more, requires=[asked], **changes)
    return ask(TOLD, under).bounds.most_effective_compute


@pytest.mark.parametrize("parts", [("twice", "word"), ("word", "twice"), ("thrice", "twice"), ("twice", "thrice")])
def test_a_combination_reaches_as_far_as_the_least_of_what_meets_it(parts):
    assert reaches(Combined("both", 2, parts), asked="both") == REACH["twice"]


@pytest.mark.parametrize("parts", [("twice", "word"), ("word", "twice"), ("thrice", "twice"), ("twice", "thrice")])
def test_an_exception_reaches_as_far_as_the_least_that_it_asks_for(parts):
    way = replace(WAY, requires=parts, lasts=YEAR)
    assert reaches(AUDIT, asked="audit", exceptions=named(way)) == REACH["twice"]


@pytest.mark.parametrize("own", REACH)
@pytest.mark.parametrize("other", REACH)
def test_of_two_ways_that_last_as_long_the_one_that_reaches_further_counts(own, other):
    way = replace(WAY, instead_of=(own,), requires=(other,), lasts=YEAR)
    assert reaches(asked=own, exceptions=named(way)) == max(REACH[own], REACH[other])


def test_the_way_that_lasts_longest_counts_although_it_reaches_less_far():
    way = replace(WAY, instead_of=("word",), requires=("twice",), lasts=YEAR)
    word = replace(WORD, fresh_for=Duration(2, 0))
    under = needing(TWICE, word, requires=["word"], exceptions=named(way))
    decision = ask(TOLD, under)
    assert cell(decision).requirements[0].tree.expires == QUARTER.after(PLANNED)
    assert decision.bounds.most_effective_compute == REACH["twice"]


# -- incidents against requirements (34) -------------------------------------------------------------------------------

AGAINST = {  # sentence: (the incident, does the attestation of STATED still stand?)
    "before it": (incident(requirements=["audit"], at=STATED - SECOND), True),
    "in the same second": (incident(requirements=["audit"], at=STATED), False),
    "after it": (incident(requirements=["audit"], at=STATED + SECOND), False),
    "against another requirement": (incident(requirements=["other"], at=AT), True),
    "to another family": (incident(requirements=["audit"], subject=REFERENCE, at=AT), True),
    "to the parent": (incident(requirements=["audit"], subject=FOUNDATION, at=AT), False),
    "to a dear child": (incident(requirements=["audit"], subject=CHILD, at=AT), False),
}


@pytest.mark.parametrize("sentence", AGAINST)
def test_an_incident_unmeets_a_requirement_until_it_is_shown_again(sentence):
    happened, stands = AGAINST[sentence]
    told = facts(attestations=[attested("audit")], incidents=[happened])
    assert met(ask(told, needing(AUDIT))) == {"audit": stands}
    out = facts(attestations=[attested("audit")], incidents=[happened], set_asides=[aside(happened)])
    assert met(ask(out, needing(AUDIT))) == {"audit": stands}, "an incident against a requirement is not set aside"
    again = facts(attestations=[attested("audit", at=AT + DAY)], incidents=[happened], seen_at=AT + DAY)
    assert met(ask(again, needing(AUDIT), at=AT + DAY)) == {"audit": True}


def test_of_several_incidents_the_last_one_counts():
    happened = [incident(requirements=["audit"], at=STATED + days * DAY) for days in (-1, 1, -2)]
    assert met(ask(facts(attestations=[attested("audit")], incidents=happened), needing(AUDIT))) == {"audit": False}
    assert met(ask(facts(attestations=[attested("audit")], incidents=happened[::2]), needing(AUDIT))) == {"audit": True}


def test_an_unmet_requirement_says_since_which_incident():
    told = facts(attestations=[attested("audit")], incidents=[incident(requirements=["audit"], at=STATED)])
    (requirement,) = cell(ask(told, needing(AUDIT))).requirements
    assert requirement.reason.text.endswith(" since the incident of 2026-05-02T00:00:00Z")


def test_an_incident_asks_for_a_later_plan():
    happened = incident(requirements=["safe"], at=PLANNED)
    late = runs("b", seed=1, planned_at=PLANNED + SECOND)
    assert met(ask(known(runs("b"), incidents=[happened]), needing(SAFE))) == {"safe": False}
    assert met(ask(known(runs("b"), late, incidents=[happened]), needing(SAFE))) == {"safe": True}


def test_an_incident_against_a_whole_is_against_its_parts_and_its_ways_round():
    both = Combined("both", 1, ("audit", "interim"))
    under = with_a_way(both, requires=("both",))
    words = [attested("audit"), attested("interim")]
    happened = incident(requirements=["both"], at=AT - DAY)
    assert met(ask(facts(attestations=words), under)) == {"both": True}
    assert met(ask(facts(attestations=words, incidents=[happened], amendments=[OPENED]), under)) == {"both": False}
    against_audit = incident(requirements=["audit"], at=AT - DAY)
    told = facts(attestations=[attested("interim")], amendments=[OPENED], incidents=[against_audit])
    assert met(ask(told, with_a_way())) == {"audit": False}
    late = facts(
        attestations=[attested("interim", at=AT)], amendments=[replace(OPENED, at=AT)], incidents=[against_audit]
    )
    assert met(ask(late, with_a_way())) == {"audit": True}


def test_an_opening_and_what_it_asks_for_are_both_later_than_the_incident():
    happened = incident(requirements=["audit"], at=AT - DAY)
    for said, opened, stands in ((AT, AT, True), (AT, AT - DAY, False), (AT - DAY, AT, False)):
        told = facts(
            attestations=[attested("interim", at=said)],
            amendments=[replace(OPENED, at=opened)],
            incidents=[happened],
        )
        assert met(ask(told, with_a_way())) == {"audit": stands}


def test_an_incident_against_a_part_is_against_that_part_and_not_against_others_or_the_whole():
    """An incident against another whole is against nothing of this one."""
    over, both = Combined("over", 1, ("both",)), Combined("both", 1, ("audit",))
    under = needing(AUDIT, INTERIM, both, over, Combined("other", 1, ("interim",)), requires=("audit", "interim"))
    for against, expected in (
        ("audit", {"audit": False, "interim": True}),
        ("both", {"audit": False, "interim": True}),
        ("over", {"audit": False, "interim": True}),
        ("other", {"audit": True, "interim": False}),
    ):
        words = [attested("audit"), attested("interim")]
        told = facts(attestations=words, incidents=[incident(requirements=[against], at=AT - DAY)])
        assert met(ask(told, under)) == expected


def test_an_incident_against_a_whole_is_against_its_parts_wherever_they_stand():
    both = Combined("both", 2, ("audit", "interim"))
    under = replace(with_a_way(both), exceptions={})
    told = facts(attestations=[attested("audit")], incidents=[incident(requirements=["both"], at=AT - DAY)])
    assert met(ask(told, under)) == {"audit": False}


@pytest.mark.parametrize("need", [Defined("n", "u"), RuledOut("n", "u")], ids=["defined", "ruled out"])
def test_what_is_known_without_a_word_is_unmet_for_good(need):
    under = replace(needing(need), thresholds={"t": REACHED, "u": line("u")})
    assert met(ask(known(runs()), under)) == {"n": True}
    decision = ask(known(runs(), incidents=[incident(requirements=["n"], at=PLANNED)]), under)
    (requirement,) = cell(decision).requirements
    node = requirement.tree
    assert (node.kind, node.text, node.holds) == ("defined" if isinstance(need, Defined) else "ruled-out", "n", False)
    assert [(it.code, it.text, it.resume) for it in node.reasons] == [
        ("incident-against", f"an incident is against `n` since the incident of {PLANNED:%Y-%m-%dT%H:%M:%SZ}", None)
    ]


def test_an_approval_is_later_than_the_incident():
    happened = incident(requirements=["signed"], at=STATED)
    told = replace(OPEN, incidents=(happened,))
    now = saw(told, "t", "not ruled out")
    assert not approving(told, now)
    assert approving(told, now, at=STATED + SECOND)


def test_a_requirement_over_a_propensity_takes_no_trained_result():
    demand = Demand("fine-tuned", demonstrations=1)
    lies = {**MEASURES, **named(measure("b", kind="propensity"))}
    need = replace(SAFE, rule_out=quick(elicitation=(demand,)))
    told = known(runs("b", elicitation="fine-tuned"), attestations=[stated("no-test-awareness")])
    under = needing(need, measures=lies)
    under = replace(
        under, assumptions={**under.assumptions, "no-test-awareness": under.assumptions["good-demonstrations"]}
    )
    assert met(ask(told, under)) == {"safe": False}
