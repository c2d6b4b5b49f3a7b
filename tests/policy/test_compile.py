"""A compiled policy has one byte string and one digest, and anything else than that is refused."""

import copy
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence.keys import KeyPair
from interlock.policy import (
    ASSUMED,
    ELICITATIONS,
    Assumption,
    Attested,
    Duration,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Role,
    RuleOut,
    Threshold,
    canonical,
    digest,
    from_json,
    to_json,
)

ACTIONS = ("scale", "deploy-internal", "deploy-api", "release-weights")


def key(seed):
    return str(KeyPair(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)).public)


names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True).filter(lambda name: name != "never")
texts = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda it: it.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001
durations = st.tuples(st.integers(0, 1200), st.integers(0, 10**9)).filter(any).map(lambda it: Duration(*it))
multiples = st.fractions(1, 1000, max_denominator=10**6)


def shares(low=0, high=1):
    return st.fractions(low, high, max_denominator=10**6)


@st.composite
def rules(draw, level):
    return RuleOut(
        confidence=draw(shares(Fraction(501, 1000), Fraction(999, 1000))),
        elicitation=tuple(draw(st.lists(st.sampled_from(ELICITATIONS), min_size=1, unique=True))),
        demonstrations=draw(st.integers(1, 10**9)),
        buffer=draw(multiples),
        margin=draw(shares(0, level)) * Fraction(99, 100),
        margin_source=draw(texts),
        coverage=draw(shares(Fraction(1, 100))),
        run_by="runs",
    )


@st.composite
def policies(draw):
    """Any valid policy."""
    measures = {name: Measure(name, "capability", "a/b", draw(st.integers(1, 99)), "c") for name in draw(some(names))}
    thresholds = {}
    for name in draw(some(names)):
        level = draw(shares(Fraction(1, 100)))
        measure, rule = draw(st.sampled_from(sorted(measures))), draw(rules(level))
        thresholds[name] = Threshold(name, measure, level, rule, draw(st.booleans()), tuple(draw(st.lists(texts))))
    requirements = {"never": Never("never")}
    for name in draw(some(names)):
        attested = st.builds(
            Attested, st.just(name), texts, st.just("says"), st.sampled_from(["subject", "developer"]), durations
        )
        requirements[name] = draw(attested | st.builds(Hole, st.just(name), texts, st.just("runs"), moments))
    cells = st.lists(st.sampled_from(sorted(requirements)), min_size=1, unique=True).map(tuple)
    return Policy(
        id=draw(names) + draw(st.sampled_from(["", "/rsp"])),
        version=draw(st.sampled_from(["1", "2.2", "1.0.0"])),
        title=draw(texts),
        effective=draw(moments),
        roles={
            "runs": Role("runs", (key(1), key(2)), draw(st.integers(1, 2)), ()),
            "says": Role("says", (key(3),), 1, draw(st.sampled_from([(), ("runs",)]))),
        },
        measures=measures,
        assumptions={name: Assumption(name, "says", draw(durations)) for names in ASSUMED.values() for name in names},
        thresholds=thresholds,
        requirements=requirements,
        gates={action: {name: draw(cells) for name in thresholds} for action in ACTIONS},
        refresh_multiple=draw(multiples),
        refresh_period=draw(durations),
        attacker_budget=draw(shares()),
        attacker_budget_source=draw(texts),
        permits=Permits(draw(durations), draw(durations), "says"),
        report_within=draw(durations),
        approved_by="runs",
    )


def some(of):
    return st.lists(of, min_size=1, max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(policy=policies())
def test_compiling_and_reading_back_is_the_identity(policy):
    compiled = to_json(policy)
    assert from_json(compiled) == policy
    assert to_json(from_json(compiled)) == compiled
    assert from_json(json.loads(canonical(policy))) == policy


def test_the_example_comes_back(policy):
    assert from_json(json.loads(canonical(policy))) == policy


def test_numbers_and_times_have_one_exact_text(policy):
    compiled = to_json(policy)
    rule = compiled["thresholds"]["codebook-use"]["rule_out"]
    assert (rule["confidence"], rule["buffer"]["margin"], rule["buffer"]["effective_compute"]) == ("0.95", "0.05", "6")
    assert compiled["thresholds"]["codebook-use"]["level"] == "0.2"
    assert compiled["effective"] == "2026-01-01T00:00:00Z"
    assert compiled["permits"]["lease"] == {"months": 0, "seconds": 2592000}


def test_the_order_of_fields_in_memory_does_not_matter(policy):
    compiled = to_json(policy)
    backwards = {name: compiled[name] for name in reversed(compiled)}
    assert digest(from_json(backwards)) == digest(policy)


def test_the_bytes_stay_the_same():
    # A change here changes the digest of every policy in every ledger.
    day = Duration(0, 86400)
    rule = RuleOut(Fraction(19, 20), ("prompted",), 0, Fraction(3, 2), Fraction(1, 30), "a source", Fraction(1), "runs")
    policy = Policy(
        id="lab/rsp",
        version="1.0.0",
        title="a title",
        effective=datetime(2026, 1, 1, tzinfo=UTC),
        roles={"runs": Role("runs", (key(1),), 1, ()), "says": Role("says", (key(2),), 1, ("runs",))},
        measures={"m": Measure("m", "capability", "t", 1, "accuracy")},
        assumptions={"no-evaluation-gaming": Assumption("no-evaluation-gaming", "says", day)},
        thresholds={"t": Threshold("t", "m", Fraction(1, 3), rule, True, ())},  # noqa: FBT003
        requirements={"never": Never("never")},
        gates={action: {"t": ("never",)} for action in ACTIONS},
        refresh_multiple=Fraction(4),
        refresh_period=Duration(3, 0),
        attacker_budget=Fraction(1, 100),
        attacker_budget_source="default",
        permits=Permits(day, day, "says"),
        report_within=day,
        approved_by="says",
    )
    assert digest(from_json(to_json(policy))) == "02dbc9a5ddb7cb5e942da581bb909ef36ef91c7c32c8957124a4ec4d9987eed8"


def put(*path_and_value):
    """A change that sets the value at a path."""
    *path, last, value = path_and_value

    def change(compiled):
        for step in path:
            compiled = compiled[step]
        compiled[last] = value

    return change


def drop(*path):
    """A change that takes the field at a path away."""
    *path, last = path

    def change(compiled):
        for step in path:
            compiled = compiled[step]
        del compiled[last]

    return change


RULE = ("thresholds", "takeover", "rule_out")
WEAK_KEY = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

# sentence -> change of the compiled example, and the words of the refusal
TAMPERED = {
    "another format": (put("interlock", "policy/v2"), "interlock: expected `policy/v1`"),
    "a field too many": (put("override", "yes"), "no other fields"),
    "a field too many inside": (put(*RULE, "unless", "yes"), "no other fields"),
    "a field too few": (drop(*RULE, "coverage"), "rule_out.coverage: expected this field"),
    "no gates": (put("gates", {}), "stands at no gate"),
    "a standard action without a gate": (drop("gates", "deploy-internal"), "a gate for `deploy-internal`"),
    "an empty gate": (put("gates", "scale", {}), "at least one threshold at gate `scale`"),
    "an empty cell": (put("gates", "scale", "takeover", []), "gates.scale.takeover: expected at least one requirement"),
    "a requirement twice in a cell": (put("gates", "scale", "takeover", ["security-3"] * 2), "listed twice"),
    "a cell with an undefined requirement": (put("gates", "scale", "takeover", ["none"]), "`none` is not defined"),
    "a gate with an undefined threshold": (put("gates", "scale", "none", ["never"]), "`none` is not defined"),
    "a threshold at no gate": (
        lambda compiled: [cells.pop("codebook-use", None) for cells in compiled["gates"].values()],
        "stands at no gate",
    ),
    "an undefined measure": (put("thresholds", "takeover", "measure", "none"), "measure `none` is not defined"),
    "no measures": (put("measures", {}), "measure `codebook` is not defined"),
    "an undefined role": (put(*RULE, "run_by", "none"), "role `none` is not defined"),
    "an undefined signer": (put("permits", "issued_by", "none"), "role `none` is not defined"),
    "an assumption that is not stated": (drop("assumptions", "no-gradient-hacking"), "takes `no-gradient-hacking`"),
    "the runner vouches for itself": (
        put("assumptions", "no-gradient-hacking", "stated_by", "evaluation-team"),
        "shares no key with `evaluation-team`",
    ),
    "a requirement that opens always": (put("requirements", "never", "kind", "always"), "expected one of `attested`"),
    "a word that was never": (
        lambda compiled: compiled["requirements"].update(never=compiled["requirements"]["security-3"]),
        "`never` is built in",
    ),
    "another word for never": (put("requirements", "nope", {"kind": "never"}), "`never` is built in"),
    "a quorum of nobody": (put("roles", "board", "quorum", 0), "at least 1, got `0`"),
    "a quorum of true": (put("roles", "board", "quorum", True), "at least 1, got `True`"),  # noqa: FBT003
    "a quorum of 2.0": (put("roles", "board", "quorum", 2.0), "at least 1, got `2.0`"),
    "a quorum too large": (put("roles", "board", "quorum", 4), "the number of keys, 3, got `4`"),
    "a quorum without end": (put("roles", "board", "quorum", 10**5000), "got a huge number"),
    "no keys": (put("roles", "board", "keys", []), "expected a quorum from 1"),
    "a key with which anyone signs": (put("roles", "board", "keys", 0, WEAK_KEY), "roles.board.keys.0: public key"),
    "a key that is not a text": (put("roles", "board", "keys", 0, 7), "expected a text, got `7`"),
    "independent roles that share a key": (
        lambda compiled: compiled["roles"]["board"].update(
            keys=compiled["roles"]["external-auditor"]["keys"], quorum=1
        ),
        "shares a key with it",
    ),
    "a level beyond one": (put("thresholds", "takeover", "level", "1.5"), "between 0 and 1, got `1.5`"),
    "a level that is a float": (put("thresholds", "takeover", "level", 0.5), "expected a number"),
    "a level in a second spelling": (put("thresholds", "takeover", "level", "0.50"), "one exact text"),
    "a level as a fraction that has a decimal": (put("thresholds", "takeover", "level", "1/2"), "one exact text"),
    "a level that is no number": (put("thresholds", "takeover", "level", "NaN"), "expected a number"),
    "a confidence of a coin": (put(*RULE, "confidence", "0.5"), "above 0.5"),
    "a coverage of nothing": (put(*RULE, "coverage", "0"), "above 0"),
    "a margin beyond the level": (put(*RULE, "buffer", "margin", "0.5"), "could never be ruled out"),
    "a multiple below one": (put(*RULE, "buffer", "effective_compute", "0.9"), "at least 1, got `0.9`"),
    "no elicitation": (put(*RULE, "elicitation", []), "at least one elicitation"),
    "an unknown elicitation": (put(*RULE, "elicitation", ["asked-nicely"]), "expected one of `prompted`"),
    "fine-tuned on nothing": (put(*RULE, "demonstrations", 0), "needs `demonstrations`"),
    "takeover potential that is a text": (put("thresholds", "takeover", "takeover_potential", "no"), "true or false"),
    "a lease without end": (put("permits", "lease", "months", 10**6), "at most 100 years"),
    "a lease of nothing": (put("permits", "lease", "seconds", 0), "above nothing"),
    "a time without a zone": (put("effective", "2026-01-01T00:00:00"), "a time with its zone"),
    "a time in a second spelling": (put("effective", "2026-01-01T01:00:00+01:00"), "one exact text"),
    "a name that is no name": (put("measures", "A B", {}), "expected a name"),
    "an escape for the terminal": (put("title", "\x1b[2J"), "title: expected a text"),
    "half a character": (put("title", "\ud800"), "title: expected a text"),
}


@pytest.mark.parametrize("sentence", TAMPERED)
def test_a_tampered_policy_is_refused(sentence, policy):
    change, words = TAMPERED[sentence]
    compiled = copy.deepcopy(to_json(policy))
    change(compiled)
    with pytest.raises(EvidenceError) as caught:
        from_json(compiled)
    assert words in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_is_accepted_compiles_to_itself(data, policy):
    compiled = copy.deepcopy(to_json(policy))
    inner = compiled
    while isinstance(inner, (dict, list)) and inner:
        at, here = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))), inner
        inner = inner[at]
    here[at] = data.draw(json_values)
    assert accepted(compiled) in (None, compiled)


def accepted(compiled):
    try:
        return to_json(from_json(compiled))
    except EvidenceError:
        return None


@given(value=json_values)
def test_anything_else_is_refused(value):
    with pytest.raises(EvidenceError):
        from_json(value)


def test_a_time_without_a_zone_or_finer_than_a_second_does_not_compile(policy):
    from dataclasses import replace

    for time in (datetime(2026, 1, 1), policy.effective + timedelta(microseconds=1)):  # noqa: DTZ001
        with pytest.raises(ValueError, match="whole seconds"):
            to_json(replace(policy, effective=time))


def test_reading_a_compiled_policy_needs_neither_pydantic_nor_yaml():
    code = "import sys, interlock.policy; print(sorted({'pydantic', 'ruamel', 'ruamel.yaml'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
