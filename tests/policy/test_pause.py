"""Pauses in plain English: what is understood, what is refused, and that none of them lets through what it names."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.decide.decision import timestamp
from interlock.errors import UsageError
from interlock.policy import cases, paused
from interlock.policy.draft import draft
from interlock.policy.pause import GRAMMAR, LEAST, ends, parse

DAY = datetime(2026, 12, 1, tzinfo=UTC)
WIDE = ("deploy-internal", "deploy-api", "release-weights")

UNDERSTOOD = {
    "no training above 1e26 FLOP for six months": (("scale",), "training_compute", 10**26, "2027-06-01"),
    "No training runs over 10^26 for 6 months.": (("scale",), "training_compute", 10**26, "2027-06-01"),
    "pause training beyond 2.5e25 FLOPs": (("scale",), "training_compute", 25 * 10**24, None),
    "halt training past 1e26 of effective compute for a year": (("scale",), "effective_compute", 10**26, "2027-12-01"),
    "no training of more than 1e26 FLOP": (("scale",), "training_compute", 10**26, None),
    "stop training above 1e26 FLOP of training compute until 2027-03-15": (
        ("scale",), "training_compute", 10**26, "2027-03-15",
    ),
    "no internal use above 1e25 for at least 90 days": (("deploy-internal",), "training_compute", 10**25, "2027-03-01"),
    "no deployment above 1e25 FLOP": (WIDE, "training_compute", 10**25, None),
    "no external deployment above 1e25 FLOP": (("deploy-api", "release-weights"), "training_compute", 10**25, None),
    "no internal deployment, API access or release of weights above 1e25": (WIDE, "training_compute", 10**25, None),
    "no open weights above 1e24 FLOP": (("release-weights",), "training_compute", 10**24, None),
    "no API or training above 1e24 FLOP": (("scale", "deploy-api"), "training_compute", 10**24, None),
}  # fmt: skip


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_what_is_understood(text):
    actions, quantity, level, end = UNDERSTOOD[text]
    read = parse(text)
    assert (read.actions, read.quantity, read.level) == (actions, quantity, level)
    over = ends(read, DAY)
    assert (over and f"{over:%Y-%m-%d}") == end


REFUSED = {
    "": "expected `no`, got nothing",
    "training above 1e26 FLOP": "expected `no`, got `training above 1e26 FLOP`",
    "no": "expected an action after `no`, got nothing",
    "no research above 1e26 FLOP": "got `research above 1e26 FLOP`",
    "no release above 1e26 FLOP": "got `release above 1e26 FLOP`",
    "no training": "expected `above` and an amount after `no training`, got nothing",
    "no training for six months": "got `for six months`",
    "no training at 1e26 FLOP": "got `at 1e26 FLOP`",
    "no training below 1e26 FLOP": "got `below 1e26 FLOP`",
    "no training or research above 1e26 FLOP": "after `no training or`, got `research above 1e26 FLOP`",
    "no training of large models above 1e26 FLOP": "got `of large models above 1e26 FLOP`",
    "no training above FLOP": "an amount of FLOP after `no training above`, got `FLOP`",
    "no training above 1.5 FLOP": "an amount such as `1e26 FLOP`",
    "no training above 0 FLOP": "an amount such as `1e26 FLOP`",
    "no training above 1e-26 FLOP": "expected an amount",
    "no training above 1e999 FLOP": "an amount such as `1e26 FLOP`",
    "no training above 1,000,000 FLOP": "got `1,000,000 FLOP`",
    "no training above 1e26 FLOPS": "got `FLOPS`",  # a speed
    "no training above 1e26 FLOP/s": "got `FLOP/s`",
    "no training above 1e26 parameters": "got `parameters`",
    "no training above 1e26 FLOP of inference": "got `of inference`",
    "no training above 1e26 FLOP for six": "got `for six`",
    "no training above 1e26 FLOP for six moons": "got `for six moons`",
    "no training above 1e26 FLOP for 0 months": "got `for 0 months`",
    "no training above 1e26 FLOP for 999 years": "got `for 999 years`",
    "no training above 1e26 FLOP for at most six months": "got `for at most six months`",
    "no training above 1e26 FLOP for several months": "got `for several months`",
    "no training above 1e26 FLOP until June": "got `until June`",
    "no training above 1e26 FLOP until 2027-02-30": "got `until 2027-02-30`",
    "no training above 1e26 FLOP until 2027-06-01 for six months": "got `for six months`",
    "no training above 1e26 FLOP unless a rival does it": "got `unless a rival does it`",
    "no training above 1e26 FLOP except for safety research": "got `except for safety research`",
    "no training above 1e26 FLOP\x07": "got ",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_refused_and_named(text):
    with pytest.raises(UsageError) as refused:
        parse(text)
    said, _, grammar = str(refused.value).partition("; what is understood:\n")
    assert REFUSED[text] in said
    assert grammar == GRAMMAR


def test_every_way_to_name_an_action_that_the_grammar_lists_is_understood():
    named = " ".join(GRAMMAR.split("ACTION   ")[1].split("AMOUNT")[0].split())
    for way in named.replace("(API and weights)", "").replace("(internal use, API and weights)", "").split(","):
        assert parse(f"no {way.strip()} above 1e26 FLOP").actions


def test_the_page_tells_the_same_grammar():
    page = (Path(__file__).parents[2] / "docs" / "init.md").read_text(encoding="utf-8")
    assert f"\n{GRAMMAR.splitlines()[0]}\n" in page


def test_a_pause_that_ends_before_it_begins_is_refused():
    read = parse("no training above 1e26 FLOP until 2026-12-01")
    with pytest.raises(UsageError, match="ends on 2026-12-01, expected a day after 2026-12-01"):
        ends(read, DAY)


# -- as a policy -------------------------------------------------------------------------------------------------------

named = st.sampled_from(["training", "internal use", "API access", "release of weights", "deployment"])
texts = st.builds(
    "no {} above {} FLOP{}{}".format,
    st.lists(named, min_size=1, max_size=3, unique=True).map(" or ".join),
    st.integers(LEAST, 10**27) | st.sampled_from(["1e26", "10^25", "2.5e25"]),
    st.sampled_from(["", " of effective compute"]),
    st.sampled_from(["", " for six months", " for a day", " until 2026-12-02"]),
)
conditions = st.lists(st.sampled_from(["an audit finds level 3", "a: b, {c} # d", 'says "no"', "null"]), max_size=3)


def asked(text, resume, facts):
    """What the policy of a pause decides on each action for facts told to it, and the policy."""
    read = parse(text)
    made = paused.written(read, developer="Acme", effective=DAY, resume=resume)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_text(made.policy, encoding="utf-8")
        policy = draft(file)
        own = file.with_name("policy.cases.yaml")
        own.write_text(made.cases, encoding="utf-8")
        told = file.with_name("told.yaml")
        told.write_text(facts, encoding="utf-8")
        outcomes = [cases.run(case, [cases.version(policy)]) for case in cases.load(own, policy)]
        (case,) = cases.load(told, policy)
        return policy, outcomes, cases.run(case, [cases.version(policy)]).decisions


@settings(max_examples=40)
@given(texts, conditions, st.integers(1, 10**6), st.booleans())
def test_no_pause_permits_above_its_line_without_evidence(text, resume, times, certain):
    level = parse(text).level
    reach = level * times if certain or "effective" not in text else f"[1, {level * times}]"
    late = timestamp(DAY + timedelta(days=400))  # whatever its length, it is over
    facts = f"- {{name: a, at: {late}, subjects: {{m: {{effective_compute: {reach}}}}}, expect: {{scale: hold}}}}"
    policy, outcomes, decisions = asked(text, resume, facts)
    assert {it.verdict for it in decisions.values()} == {"hold"}
    assert decisions.keys() >= set(parse(text).actions)
    assert [it.failures for it in outcomes if not it.passed] == []
    assert cases.coverage(policy, outcomes) == cases.Coverage((), (), (), (), (), ())


def test_one_condition_of_two_or_no_end_lifts_nothing():
    text, at = "no training above 1e26 FLOP for six months", "2027-07-01T00:00:00Z"
    for attested in (["resume-1", "resume-2"], ["pause-over", "resume-1"], ["pause-over", "resume-2"], []):
        said = ", ".join(
            f"{{attestation: {{requirement: {it}, by: external-auditor, at: 2027-06-30T00:00:00Z}}}}" for it in attested
        )
        model = "subjects: {m: {effective_compute: 1e26}}"
        facts = f"- {{name: a, at: {at}, {model}, facts: [{said}], expect: {{scale: hold}}}}"
        _, _, decisions = asked(text, ["one", "two"], facts)
        assert decisions["scale"].verdict == "hold"


def test_a_pause_with_nothing_that_lifts_it_is_labelled_a_stop():
    made = paused.written(
        parse("no training above 1e26 FLOP for six months"), developer="Acme", effective=DAY, resume=()
    )
    label = "a stop, not a pause: nothing in it says what would lift it"
    lines = made.policy.splitlines()
    assert [line[:6] for line in lines if label in line] == ["# This", "title:", "  scal"]
    assert "  scale: {above-pause: [never]}" in made.policy
    other = paused.written(parse("no training above 1e26 FLOP"), developer="Acme", effective=DAY, resume=["an audit"])
    assert "stop" not in other.policy


@pytest.mark.parametrize("resume", ["", " ", "a\x07b"])
def test_a_condition_that_says_nothing_is_refused(resume):
    with pytest.raises(UsageError, match="a resume condition: expected a text"):
        paused.written(parse("no training above 1e26 FLOP"), developer="Acme", effective=DAY, resume=[resume])
