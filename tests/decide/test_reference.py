"""The reference evaluator on plain cases, each worked out by hand from docs/semantics.md."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from decide.reference import OPEN, answer, binomial, exp_is_less, finding_digest, lower, upper
from interlock.decide.facts import (
    Amendment,
    Approval,
    Attestation,
    Check,
    Checkpoint,
    Deployment,
    Facts,
    Incident,
    Judgement,
    Plan,
    Protocol,
    Result,
    SetAside,
    Step,
    Subject,
    Version,
    Withdrawal,
)
from interlock.policy import model
from interlock.policy.time import Duration

START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR, QUARTER = Duration(12, 0), Duration(3, 0)


def day(number):
    return START + timedelta(days=number)


NOW, SOON = day(20), day(3)

MEASURE = model.Measure(
    "m", "capability", "model", "higher", Fraction(0), Fraction(1), task="t", task_version=1, metric="a"
)
RULE = model.RuleOut(
    confidence=Fraction(19, 20),
    elicitation=(model.Demand("prompted"),),
    buffer=model.Buffer(Fraction(4), Fraction(1, 10), "", {}),
    coverage=Fraction(9, 10),
    run_by="auditor",
    refresh=model.Refresh(Fraction(4), QUARTER),
)
THRESHOLD = model.Threshold("T", model.At("m", Fraction(1, 2)), RULE)
AUDIT = model.Attested("audit", "", "auditor", "developer", YEAR)


def policy(**changes):
    values = {
        "id": "lab",
        "version": "1",
        "title": "",
        "effective": START,
        "expires": None,
        "supersedes": "",
        "imposed_by": "",
        "scope": model.Scope(),
        "roles": {},
        "measures": {"m": MEASURE},
        "assumptions": {"no-evaluation-gaming": model.Assumption("no-evaluation-gaming", "other", YEAR)},
        "thresholds": {"T": THRESHOLD},
        "requirements": {"audit": AUDIT},
        "exceptions": {},
        "gates": {"scale": {"T": model.Cell(("audit",))}, "release-weights": {"T": model.Cell(("audit",))}},
        "not_governed": {},
        "actions": {},
        "refresh": model.Refresh(Fraction(4), QUARTER),
        "attacker_budget": Fraction(1, 100),
        "attacker_budget_source": "",
        "permits": model.Permits(Duration(1, 0), Duration(0, 3600), "issuer"),
        "report_within": Duration(0, 21 * 86400),
        "independent": "other",
        "on_hold": {},
        "duties": {},
        "amendments": model.Amendments(()),
        "context": None,
        "sources": (),
    }
    return model.Policy(**{**values, **changes})


def protocol(**changes):
    return Protocol(**{
        "task": "t",
        "task_version": 1,
        "metric": "a",
        "samples": 100,
        "samples_digest": "",
        "elicitation": "prompted",
        "shots": 0,
        "demonstrations": 0,
        "seed": 0,
        **changes,
    })  # fmt: skip


def planned(at, *, subject="s", entry=1, **changes):
    return Plan(
        entry, f"plan-{entry}", subject, protocol(**changes), frozenset({"auditor"}), at, at + timedelta(days=10)
    )


def result(announced, *, correct=5, **changes):
    values = {
        "entry": announced.entry + 100,
        "digest": f"result-{announced.entry}",
        "subject": announced.subject,
        "protocol": announced.protocol,
        "completed": announced.protocol.samples,
        "scored": announced.protocol.samples,
        "correct": correct,
        "refused_scores": 0,
        "refused_at_most": 0,
        "flop": 0,
        "signers": frozenset({"auditor"}),
        "plan": announced,
        "at": announced.at + timedelta(days=1),
    }
    return Result(**{**values, **changes})


def attested(name, *, about="s", by="other", at=SOON, is_assumption=True, entry=500):
    return Attestation(entry, name, is_assumption, about, frozenset({by}), at, digest=f"{name}-{about}-{by}")


PLAN = planned(day(1))
GOOD = result(PLAN)
HONEST = attested("no-evaluation-gaming")
SUBJECT = Subject("s", "s", 1000, 1000, 1100, ())


def facts(*results, subjects=(SUBJECT,), **changes):
    plans = tuple(dict.fromkeys(r.plan for r in results if r.plan))
    values = {"plans": plans, "results": results, "attestations": (HONEST,)}
    return Facts(Checkpoint(9, "", NOW), {s.digest: s for s in subjects}, **{**values, **changes})


def asked(known, *policies, action="scale", at=NOW, deployment=None):
    versions = [Version(p, "", START) if isinstance(p, model.Policy) else p for p in policies or (policy(),)]
    return answer(versions, known, subject="s", deployment=deployment, action=action, at=at)


def cell(found, threshold="T"):
    return found.policies["lab"].cells[threshold]


# The numbers.


def test_binomial_is_that_of_the_textbook():
    assert binomial(3, 0, 1, Fraction(1, 2)) == Fraction(1, 2)
    assert binomial(20, 0, 20, Fraction(1, 3)) == 1


@pytest.mark.parametrize("x", [Fraction(1, 1000), Fraction(1), Fraction(3), Fraction(37, 4), Fraction(250)])
def test_exponential_is_on_the_side_that_floats_say(x):
    near = Fraction(math.exp(-x))
    assert exp_is_less(x, near * Fraction(100001, 100000))
    assert not exp_is_less(x, near * Fraction(99999, 100000))
    assert not exp_is_less(x, Fraction(0))


def test_clopper_and_pearson_for_none_and_all_of_ten():
    none, every = result(planned(day(1), samples=10), correct=0), result(planned(day(1), samples=10), correct=10)
    # 1 - alpha ** (1 / 10) and alpha ** (1 / 10): 0.25886 and 0.74113
    assert upper(none, MEASURE, Fraction(1, 20)) == Fraction(2589, 10000)
    assert lower(none, MEASURE, Fraction(1, 20)) == 0
    assert lower(every, MEASURE, Fraction(1, 20)) == Fraction(7411, 10000)
    assert upper(every, MEASURE, Fraction(1, 20)) == 1


def test_hoeffding_on_a_wider_range_and_turned():
    wide = dataclasses.replace(MEASURE, low=Fraction(-1), high=Fraction(3), danger="lower")
    one = result(planned(day(1)), correct=0, total=Fraction(250))  # mean 2.5, turned -0.5
    slack = 4 * math.sqrt(math.log(20) / 200)  # 0.4895
    assert abs(upper(one, wide, Fraction(1, 20)) - (Fraction(-1, 2) + Fraction(slack))) < Fraction(1, 1000)
    assert lower(one, wide, Fraction(1, 20)) == Fraction(-9896, 10000)  # -0.5 - slack = -0.98955, in steps of 0.0004


# One threshold at one gate.


def test_permits_a_subject_that_is_below_and_says_how_far():
    found = asked(facts(GOOD))
    assert found.verdict == "permit"
    assert cell(found) == ("below", False, True, {"audit": False})
    assert found.most_effective_compute == 4000
    assert found.not_after == datetime(2026, 2, 21, tzinfo=UTC)  # the lease


BAD = planned(day(2), entry=2)
UNPLANNED = result(BAD, plan=None, correct=60, signers=frozenset())
HOLDS = {
    "nothing is known": facts(attestations=()),
    "the assumption is not discharged": facts(GOOD, attestations=()),
    "the runner discharged its own assumption": facts(
        GOOD, attestations=(dataclasses.replace(HONEST, signers=frozenset({"other", "auditor"})),)
    ),
    "a second, unplanned result is dangerous": facts(GOOD, UNPLANNED),
    "too few samples were scored": facts(result(PLAN, scored=80)),
    "the result is withdrawn": facts(
        GOOD, withdrawals=(Withdrawal(9, "w", GOOD.digest, frozenset({"auditor"}), day(5)),)
    ),
    "a due plan has not reported": facts(GOOD, plans=(PLAN, BAD)),
    "an incident names the threshold": facts(
        GOOD,
        incidents=(Incident(9, "i", "x", None, frozenset("T"), frozenset(), frozenset(), frozenset(), day(5), {}),),
    ),
    "a cheap derivative is dangerous": facts(
        GOOD,
        result(planned(day(2), subject="d", entry=2), correct=90),
        subjects=(SUBJECT, Subject("d", "d", 10, 10, 10, (Step("s", "fine-tuned", 10),))),
    ),
    "the effective compute is too uncertain": facts(GOOD, subjects=(dataclasses.replace(SUBJECT, ec_high=4001),)),
    "an ancestor is unknown": facts(
        GOOD, subjects=(dataclasses.replace(SUBJECT, steps=(Step("a", "continued", 1),)),)
    ),
    "the checkpoint is from the future": dataclasses.replace(
        facts(GOOD), checkpoint=Checkpoint(9, "", NOW + timedelta(1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("known", HOLDS.values(), ids=HOLDS)
def test_holds_where(known):
    found = asked(known)
    assert (found.verdict, found.most_effective_compute, found.not_after) == ("hold", None, None)


def test_a_dangerous_derivative_that_was_not_cheap_says_nothing():
    derived = Subject("d", "d", 11, 11, 11, (Step("s", "fine-tuned", 11),))
    bad = result(planned(day(2), subject="d", entry=2), correct=90)
    assert asked(facts(GOOD, bad, subjects=(SUBJECT, derived))).verdict == "permit"


def test_only_the_independent_role_sets_a_dangerous_result_aside():
    bad = result(BAD, correct=90)
    for role, verdict in (("other", "permit"), ("auditor", "hold")):
        aside = SetAside(9, "a", bad.digest, "", frozenset({role}), day(5))
        assert asked(facts(GOOD, bad, set_asides=(aside,))).verdict == verdict


def test_an_open_plan_holds_a_release_at_once_and_ends_a_permit_to_scale():
    later = planned(day(15), entry=2)
    known = facts(GOOD, plans=(PLAN, later))
    assert asked(known, action="release-weights").verdict == "hold"
    assert asked(known).not_after == day(25)


def test_a_met_requirement_opens_a_gate_that_is_not_overdue():
    audit = attested("audit", about=None, by="auditor", is_assumption=False)
    bad = result(PLAN, correct=60)
    assert cell(asked(facts(bad, attestations=(audit,)))) == ("reached", False, True, {"audit": True})
    assert asked(facts(bad, attestations=(audit,))).verdict == "permit"
    assert cell(asked(facts(attestations=(audit,)))) == ("not ruled out", True, False, {"audit": True})


def test_an_incident_against_a_requirement_asks_for_a_later_word():
    audit = attested("audit", about=None, by="auditor", is_assumption=False, at=day(5))
    for number, met in ((4, True), (5, False)):
        against = Incident(
            9, "i", "x", "s", frozenset(), frozenset({"audit"}), frozenset(), frozenset(), day(number), {}
        )
        found = asked(facts(GOOD, attestations=(HONEST, audit), incidents=(against,)))
        assert cell(found)[3] == {"audit": met}


def test_an_approval_binds_the_finding_that_it_saw():
    approved = policy(requirements={"audit": model.Approved("audit", "", "other", "subject", YEAR)})
    known = facts(result(PLAN, correct=60))
    for state, met in (("reached", True), ("not ruled out", False)):
        seen = finding_digest(known, "lab", "T", "s", state, {"s"})
        approval = Approval(9, "a", "audit", "s", frozenset({seen}), frozenset({"other"}), day(5))
        assert cell(asked(dataclasses.replace(known, approvals=(approval,)), approved))[3] == {"audit": met}


def test_an_exception_stands_in_unless_the_cell_lists_a_hole():
    rule = model.ExceptionRule("way", "interim", ("audit",), ("other",), ("board",), YEAR)
    hole = model.Hole("hole", "", "board", NOW)
    more = {"audit": AUDIT, "other": dataclasses.replace(AUDIT, name="other"), "hole": hole}
    opened = Amendment(9, "a", "way", None, "https://example.org", frozenset({"board"}), day(5))
    other = attested("other", about=None, by="auditor", is_assumption=False)
    known = facts(GOOD, attestations=(HONEST, other), amendments=(opened,))
    for names in (("audit",), ("audit", "hole")):
        gates = {"scale": {"T": model.Cell(names)}}
        found = asked(known, policy(requirements=more, exceptions={"way": rule}, gates=gates))
        assert cell(found)[3] == dict.fromkeys(names, False) | {"audit": len(names) == 1}


# Lineage.


def test_an_ancestors_result_stands_in_at_scale_only():
    parent = Subject("a", "a", 900, 900, 900, ())
    child = dataclasses.replace(SUBJECT, steps=(Step("a", "continued", 100),))
    plan = planned(day(1), subject="a")
    known = facts(result(plan), subjects=(parent, child), attestations=(attested("no-evaluation-gaming", about="a"),))
    assert asked(known).most_effective_compute == 3600
    assert asked(known, action="release-weights").verdict == "hold"


def test_a_reached_ancestor_is_repeated_by_the_independent_role():
    parent = Subject("a", "a", 900, 900, 900, ())
    child = dataclasses.replace(SUBJECT, steps=(Step("a", "fine-tuned", 100),))
    bad = result(planned(day(1), subject="a", entry=2), correct=90)
    again = dataclasses.replace(planned(day(4), entry=3, elicitation="fine-tuned", demonstrations=1))
    again = dataclasses.replace(again, signers=frozenset({"other"}))
    subjects = (parent, child)
    assert cell(asked(facts(GOOD, bad, subjects=subjects)))[0] == "reached"
    independent = result(again, signers=frozenset({"auditor", "other"}))
    assert cell(asked(facts(GOOD, bad, independent, subjects=subjects)))[0] == "below"
    short = result(again, signers=frozenset({"auditor", "other"}), scored=80)
    assert cell(asked(facts(GOOD, bad, short, subjects=subjects)))[0] == "reached"


# Several thresholds, versions and policies.


def with_expression(expr, **changes):
    return policy(thresholds={"T": dataclasses.replace(THRESHOLD, reached_when=expr, **changes)})


def test_all_of_two_divides_alpha_and_is_below_by_one_part():
    both = model.AtLeast(2, (model.At("m", Fraction(1, 2)), model.Amount("effective_compute", Fraction(10**6))))
    assert cell(asked(facts(), with_expression(both)))[0] == "below"
    unknown = model.AtLeast(2, (model.At("m", Fraction(1, 2)), model.Amount("effective_compute", Fraction(1050))))
    # P(X <= 31 | 100, 0.4) = 0.0398: under alpha, not under alpha / 2
    known = facts(result(PLAN, correct=31))
    assert cell(asked(known))[0] == "below"
    assert cell(asked(known, with_expression(unknown)))[:2] == ("not ruled out", False)


def test_an_amount_caps_the_permit():
    amount = with_expression(model.Amount("training_compute", Fraction(2000)))
    assert asked(facts(), amount).most_effective_compute == 1999


def test_a_judgement_shows_below_until_a_later_result():
    judged = policy(thresholds={"T": model.Threshold("T", None, None, model.Judged("board", ("m",)))})
    board = frozenset({"board"})
    said = Judgement(9, "j", "T", "s", "below", frozenset({GOOD.digest}), board, board, day(5))
    assert cell(asked(facts(GOOD, judgements=(said,)), judged))[0] == "below"
    after = result(planned(day(6), entry=2), correct=0)
    assert cell(asked(facts(GOOD, after, judgements=(said,)), judged))[:2] == ("not ruled out", False)
    doubt = Judgement(10, "k", "T", "s", "reached", frozenset(), frozenset(), board, day(4))
    assert cell(asked(facts(GOOD, judgements=(doubt, said)), judged))[0] == "reached"


def test_a_reference_that_is_below_and_more_capable_shows_below():
    other = Subject("r", "reference", 1000, 1000, 1000, ())
    theirs = result(planned(day(1), subject="r", entry=2), correct=50)
    words = (HONEST, attested("no-evaluation-gaming", about="r"))
    board = frozenset({"board"})
    said = Judgement(9, "j", "U", "r", "below", frozenset({theirs.digest}), board, board, day(5))
    known = facts(result(PLAN, correct=3), theirs, subjects=(SUBJECT, other), attestations=words)
    # Nobody judged U of s, so that its expression is not below. At 0.025, U of 3 in 100 is 0.09, L of 50 is 0.40.
    expression = model.AtLeast(1, (model.At("m", Fraction(9, 10)), model.Ref("U")))
    judged = model.Threshold("U", None, None, model.Judged("board", ("m",)))
    for margin, judgements, state in (("1/4", (said,), "below"), ("1/3", (said,), OPEN), ("1/4", (), OPEN)):
        way = model.UnderReference("reference", ("m",), Fraction(margin))
        threshold = dataclasses.replace(THRESHOLD, reached_when=expression, below_if=(way,))
        found = asked(
            dataclasses.replace(known, judgements=judgements), policy(thresholds={"T": threshold, "U": judged})
        )
        assert cell(found)[0] == state


def test_a_looser_version_helps_only_later_evidence():
    strict = policy(thresholds={"T": dataclasses.replace(THRESHOLD, reached_when=model.At("m", Fraction(1, 5)))})
    versions = (Version(strict, "", START), Version(policy(), "", day(10)))
    old, new = result(PLAN, correct=30), result(planned(day(11), entry=2), correct=30)
    late = attested("no-evaluation-gaming", at=day(12))
    assert asked(facts(old), policy()).verdict == "permit"
    assert asked(facts(old), *versions).verdict == "hold"
    assert asked(facts(new, attestations=(late,)), *versions).verdict == "permit"
    assert asked(facts(new), *versions).verdict == "hold"  # the word on the assumption is older than the looser version
    assert asked(facts(old, new, attestations=(late,)), *versions).verdict == "hold"


def test_every_policy_that_governs_must_permit():
    baseline = policy(id="state", gates={"scale": {"T": model.Cell(("audit",))}}, measures={"m": MEASURE})
    silent = dataclasses.replace(baseline, gates={})
    aside = dataclasses.replace(silent, not_governed={"scale": "section 1"})
    small = dataclasses.replace(silent, scope=model.Scope(model.Amount("training_compute", Fraction(10**6))))
    verdicts = [asked(facts(GOOD), policy(), other).verdict for other in (baseline, silent, aside, small)]
    assert verdicts == ["permit", "hold", "permit", "permit"]
    assert asked(facts(GOOD), aside).verdict == "hold"


def test_a_later_version_ends_the_permit():
    later = Version(policy(id="other"), "", day(21))
    assert asked(facts(GOOD), policy(), later).not_after == day(21)


def test_a_deployment_must_be_one_of_the_subject():
    known = facts(GOOD, deployments={"d": Deployment("d", "d", "s"), "e": Deployment("e", "e", "x")})
    assert [asked(known, deployment=name).verdict for name in ("d", "e", "f")] == ["permit", "hold", "hold"]


# What the page says since its second reading.


def test_what_is_older_than_the_first_version_counts_for_nothing():
    versions = [Version(policy(), "", START, entered=day(2))]
    assert asked(facts(GOOD), *versions).verdict == "hold"
    assert asked(facts(result(planned(day(2)))), *versions).verdict == "permit"


def test_a_check_that_failed_later_takes_the_word_back_whoever_says_so():
    assumption = model.Assumption("no-evaluation-gaming", "other", YEAR, checked="c", coverage=Fraction(1, 2))
    versions = [policy(assumptions={"no-evaluation-gaming": assumption})]
    good = dataclasses.replace(HONEST, entry=5, check=Check("c", passed=True, caught=19, organisms=20))
    for number, entry, caught, verdict in (
        (2, 4, 1, "permit"),
        (2, 5, 1, "hold"),
        (2, 6, 1, "hold"),
        (3, 4, 1, "hold"),
        (9, 4, 1, "hold"),
        (9, 6, 20, "permit"),
    ):
        other = Check("c", passed=True, caught=caught, organisms=20)
        word = dataclasses.replace(HONEST, entry=entry, digest="x", at=day(number), signers=frozenset(), check=other)
        assert asked(facts(GOOD, attestations=(good, word)), *versions).verdict == verdict


def test_near_misses_on_the_way_of_continued_steps_count_when_nothing_stands_in():
    parent = Subject("a", "a", 900, 900, 900, ())
    child = dataclasses.replace(SUBJECT, ec_high=3900, steps=(Step("a", "continued", 100),))
    near = result(planned(day(2), subject="a", entry=2), correct=45)
    known = facts(GOOD, near, subjects=(parent, child))
    assert asked(known).verdict == "hold"
    assert asked(known, action="release-weights").verdict == "permit"


def test_a_permit_ends_with_the_repetition_that_it_needs():
    parent = Subject("a", "a", 900, 900, 900, ())
    child = dataclasses.replace(SUBJECT, steps=(Step("a", "fine-tuned", 100),))
    bad = result(planned(day(-60), subject="a", entry=2), correct=90)
    again = planned(day(-50), entry=3, elicitation="fine-tuned", demonstrations=1)
    again = result(dataclasses.replace(again, signers=frozenset({"other"})), signers=frozenset({"other"}))
    long = policy(permits=model.Permits(YEAR, YEAR, "issuer"))
    known = facts(GOOD, bad, again, subjects=(parent, child))
    assert asked(known, long).not_after == datetime(2026, 2, 12, tzinfo=UTC)
    assert cell(asked(known, long, at=datetime(2026, 2, 12, tzinfo=UTC)))[0] == "reached"


def test_a_hold_is_told_with_everything_and_a_permit_from_the_latest_version():
    strict = policy(thresholds={"T": dataclasses.replace(THRESHOLD, reached_when=model.At("m", Fraction(1, 5)))})
    versions = (Version(strict, "", START), Version(policy(), "", day(10)))
    audit = attested("audit", about=None, by="auditor", is_assumption=False, at=day(5))
    new, late = result(planned(day(11), entry=2)), attested("no-evaluation-gaming", at=day(12))
    found = asked(facts(attestations=(late, audit)), *versions)
    assert (found.verdict, cell(found)) == ("hold", (OPEN, True, False, {"audit": True}))
    found = asked(facts(new, attestations=(late, audit)), *versions)
    assert (found.verdict, cell(found)) == ("permit", ("below", False, True, {"audit": False}))


def test_an_incident_against_a_whole_is_against_its_parts_and_against_what_stands_in_for_it():
    requirements = {
        "audit": AUDIT,
        "other": dataclasses.replace(AUDIT, name="other"),
        "part": dataclasses.replace(AUDIT, name="part"),
        "case": model.Combined("case", 1, ("part",)),
    }
    rule = model.ExceptionRule("way", "interim", ("case", "audit"), ("other",), ("board",), YEAR)
    gates = {"scale": {"T": model.Cell(("case", "audit"))}}
    argued = policy(requirements=requirements, exceptions={"way": rule}, gates=gates)

    def met(against, *, opened=7, **words):
        said = [
            attested(name, about=None, by="auditor", is_assumption=False, at=day(when)) for name, when in words.items()
        ]
        incident = Incident(9, "i", "x", "s", frozenset(), frozenset({against}), frozenset(), frozenset(), day(6), {})
        amendment = Amendment(9, "a", "way", None, "https://example.org", frozenset({"board"}), day(opened))
        known = facts(GOOD, attestations=(HONEST, *said), incidents=(incident,), amendments=(amendment,))
        return cell(asked(known, argued))[3]

    # Against the whole: its parts, and what an exception puts in its place, must be later.
    assert met("case", part=5) == {"case": False, "audit": False}
    assert met("case", part=7) == {"case": True, "audit": False}
    assert met("case", other=5) == {"case": False, "audit": False}
    assert met("case", other=7) == {"case": True, "audit": True}
    assert met("case", other=7, opened=5) == {"case": False, "audit": True}
    # Against the part: the exception in the whole's place is untouched.
    assert met("part", part=5) == {"case": False, "audit": False}
    assert met("part", other=5) == {"case": True, "audit": True}
    # Against what stands in: not against that for which it does.
    assert met("other", audit=5) == {"case": False, "audit": True}
    assert met("other", other=5) == {"case": False, "audit": False}


def test_an_earlier_versions_expression_counts_where_a_measure_contributes():
    amount, leaf = model.Amount("training_compute", Fraction(500)), model.At("m", Fraction(1, 5))
    known = facts(GOOD, result(planned(day(2), entry=2), correct=30))
    for parts, state in (((amount,), "below"), ((amount, leaf), "reached")):
        for count in {1, len(parts)}:
            old = Version(with_expression(model.AtLeast(count, parts)), "", START)
            new = Version(with_expression(model.At("m", Fraction(1, 2))), "", day(3))
            assert cell(asked(known, old, new))[0] == state


def test_the_least_that_the_reference_showed_is_what_counts():
    other = Subject("r", "reference", 1000, 1000, 1000, ())
    high, low = (result(planned(day(1), subject="r", entry=n), correct=n) for n in (50, 10))
    board = frozenset({"board"})
    said = Judgement(9, "j", "U", "r", "below", frozenset({high.digest}), board, board, day(5))
    way = model.UnderReference("reference", ("m",), Fraction(1, 4))
    expression = model.AtLeast(1, (model.At("m", Fraction(9, 10)), model.Ref("U")))
    threshold = dataclasses.replace(THRESHOLD, reached_when=expression, below_if=(way,))
    judged = model.Threshold("U", None, None, model.Judged("board", ("m",)))
    words = (HONEST, attested("no-evaluation-gaming", about="r"))
    for theirs, state in (((high,), "below"), ((high, low), OPEN)):
        known = facts(result(PLAN, correct=3), *theirs, subjects=(SUBJECT, other), attestations=words)
        found = asked(dataclasses.replace(known, judgements=(said,)), policy(thresholds={"T": threshold, "U": judged}))
        assert cell(found)[0] == state


def test_what_is_dated_after_the_checkpoint_counts_for_nothing():
    for late in (result(PLAN, at=day(21)), result(dataclasses.replace(PLAN, at=day(21)), at=day(19))):
        assert asked(facts(late)).verdict == "hold"
    assert asked(facts(GOOD, attestations=(dataclasses.replace(HONEST, at=day(21)),))).verdict == "hold"


def test_a_policy_that_does_not_govern_is_told_of_without_cells():
    assert asked(facts(GOOD), policy(not_governed={"scale": "section 1"})).policies["lab"].cells == {}


def test_a_ledger_as_old_as_may_be_is_too_old():
    assert [asked(facts(GOOD), at=NOW + timedelta(seconds=s)).verdict for s in (3599, 3600)] == ["permit", "hold"]
