"""A compiled policy has one byte string and one digest, and anything else than that is refused."""

import copy
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.policy import (
    Amount,
    At,
    AtLeast,
    Cell,
    Clock,
    Demand,
    Duration,
    Duty,
    Hole,
    Ref,
    Response,
    Scope,
    Start,
    Threshold,
    UnderQuantity,
    canonical,
    digest,
    duty,
    exact,
    from_json,
    model,
    to_json,
)
from policy.samples import (
    NEVER,
    SOURCES,
    attested,
    buffer,
    full_policy,
    measure,
    named,
    refresh,
    rule,
    small_policy,
    threshold,
)

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True).filter(lambda name: name != "never")
texts = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda it: it.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001
durations = st.tuples(st.integers(0, 1200), st.integers(0, 10**9)).filter(any).map(lambda it: Duration(*it))
multiples = st.fractions(1, 1000, max_denominator=10**6)
amounts = st.fractions(1, 10**30, max_denominator=10**6)
sources = st.lists(texts, max_size=2).map(tuple)


def shares(low=0, high=1):
    return st.fractions(low, high, max_denominator=10**6)


demands = st.builds(
    Demand,
    st.sampled_from(["prompted", "few-shot", "scaffolded", "fine-tuned", "rl-fine-tuned"]),
    demonstrations=st.integers(1, 10**9),
    flop=st.integers(0, 10**60),
    attempts=st.integers(1, 2**53 - 1),
    tools=st.booleans(),
    safety_ablated=st.booleans(),
    refusals=shares(),
)
clocks = st.builds(Clock, durations) | st.builds(
    Clock,
    business_days=st.integers(1, 300),
    zone=st.sampled_from(["UTC", "Europe/Brussels", "Etc/GMT+1"]),
    holidays=st.lists(st.dates(), max_size=2).map(tuple),
)


def expressions(below):
    """Expressions over a measure, quantities, and the thresholds `below`."""
    measured = st.builds(At, st.just("skill"), shares(Fraction(1, 10)))
    signed = st.builds(Amount, st.sampled_from(["training_compute", "effective_compute"]), amounts)
    others = st.builds(Ref, st.sampled_from(below)) if below else st.nothing()
    return st.recursive(measured | signed | others, combined, max_leaves=4)


def combined(parts):
    some = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return some.flatmap(lambda of: st.builds(AtLeast, st.integers(1, len(of)), st.just(of)))


@st.composite
def thresholds(draw, name, below):
    expr = draw(expressions(below))
    items = draw(st.dictionaries(names, shares(0, Fraction(1, 100)), max_size=3))
    plain = Threshold(name, expr, None)
    given_rule = rule(
        *draw(st.lists(demands, min_size=1, max_size=3, unique=True)),
        buffer=buffer(multiple=draw(multiples), margin=sum(items.values(), Fraction(0)), items=items),
        confidence=draw(shares(Fraction(501, 1000), Fraction(999, 1000))),
        coverage=draw(shares(Fraction(1, 100))),
        refresh=refresh(period=draw(durations), events=tuple(draw(st.lists(names, max_size=2)))),
    )
    return replace(
        plain,
        rule_out=given_rule if plain.measures else None,
        below_if=tuple(draw(st.lists(st.builds(UnderQuantity, st.just("effective_compute"), amounts), max_size=2))),
        takeover_potential=draw(st.booleans()),
        rung=draw(st.just("") | names),
        sources=draw(sources),
    )


def some(of):
    return st.lists(of, min_size=1, max_size=3, unique=True)


@st.composite
def policies(draw):
    """Many kinds of valid policies."""
    levels = {}
    for name in draw(some(names)):
        levels[name] = draw(thresholds(name, sorted(levels)))
    needed = {}
    for name in draw(some(names)):
        plain = attested(name, what=draw(texts), fresh_for=draw(durations), sources=draw(sources))
        needed[name] = draw(st.just(plain) | st.builds(Hole, st.just(name), texts, st.just("runs"), moments))
    lists = st.lists(st.sampled_from([*sorted(needed), "never"]), min_size=1, unique=True).map(tuple)
    cells = st.builds(Cell, lists, modality=st.sampled_from(["must", "will"]), sources=sources)
    effective = draw(moments)
    duties = [Duty(name, draw(texts), "says", Start("effective"), draw(clocks)) for name in draw(some(names))]
    return small_policy(
        id=draw(names) + draw(st.sampled_from(["", "/rsp"])),
        version=draw(st.sampled_from(["1", "2.2", "1.0.0"])),
        title=draw(texts),
        effective=effective,
        scope=draw(st.builds(Scope, st.none() | st.builds(Amount, st.just("training_compute"), amounts), texts)),
        measures=named(measure(task_version=draw(st.integers(1, 99)), high=draw(st.fractions(1, 9)))),
        thresholds=levels,
        requirements=needed | {"never": NEVER},
        gates={action: {name: draw(cells) for name in levels} for action in model.STANDARD_ACTIONS},
        attacker_budget=draw(shares()),
        duties=named(*duties),
        on_hold={draw(st.sampled_from(sorted(levels))): tuple(draw(st.lists(st.builds(Response, st.just("recall")))))},
        sources=draw(sources),
    )


@settings(max_examples=60)
@given(policy=policies())
def test_compiling_and_reading_back_is_the_identity(policy):
    compiled = to_json(policy)
    assert from_json(compiled) == policy
    assert to_json(from_json(compiled)) == compiled
    assert from_json(json.loads(canonical(policy))) == policy


def test_a_policy_that_uses_everything_comes_back():
    assert from_json(json.loads(canonical(full_policy()))) == full_policy()


def inside(value):
    """The dataclasses in a value, however deep."""
    if is_dataclass(value):
        yield value
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ():
        yield from inside(inner)


def test_the_policy_that_uses_everything_does():
    left = {
        (kind.__name__, field.name)
        for kind in {**vars(model), **vars(duty)}.values()
        if isinstance(kind, type) and is_dataclass(kind) and kind not in {duty.Dues, duty.Schedule}  # worked out
        for field in fields(kind)
    }
    for value in inside(full_policy()):
        for field in fields(value):
            if getattr(value, field.name) not in (field.default, None, "", ()):
                left.discard((type(value).__name__, field.name))
    assert not left


def test_what_comes_back_cannot_be_changed():
    policy = from_json(to_json(full_policy()))
    for mapping in (policy.roles, policy.gates["scale"], policy.context.actors, policy.measures["both"].weights):
        assert isinstance(mapping, MappingProxyType)


TOLD = {
    "the most digits that a decimal may have": (Fraction(10**4300 - 1, 10**4300), "0." + "9" * 4300),
    "a decimal of more places": (Fraction(1, 2**4301), f"1/{2**4301}"),
    "a decimal of more digits": (Fraction(60 * 2**4900 + 1, 2**4900), f"{60 * 2**4900 + 1}/{2**4900}"),
    "a number of more digits": (Fraction(-(10**4300)), f"-{10**4300:#x}/0x1"),
    "a fraction of such numbers": (Fraction(1, 10**4300 + 3), f"0x1/{10**4300 + 3:#x}"),
}


@pytest.mark.parametrize("case", TOLD)
def test_every_number_can_be_told(case):
    """Python turns no int of more than 4300 digits into text."""
    number, text = TOLD[case]
    assert exact(number) == text


def test_numbers_and_times_have_one_exact_text():
    compiled = to_json(full_policy())
    rules = compiled["thresholds"]["high"]["rule_out"]
    assert (rules["confidence"], rules["buffer"]["margin"], rules["buffer"]["multiple"]) == ("0.95", "0.15", "6")
    assert compiled["measures"]["both"]["weights"] == {"skill": "1/3", "other": "2/3"}
    assert compiled["effective"] == "2026-01-01T00:00:00Z"
    assert compiled["permits"]["lease"] == {"months": 1, "seconds": 0}
    assert compiled["duties"]["incident"]["within"]["holidays"] == ["2026-12-25"]


def test_a_part_says_which_of_several_kinds_it_is():
    compiled = to_json(full_policy())
    assert compiled["thresholds"]["high"]["below_if"][1] == {"is": "under-screen", "threshold": "screen"}
    assert compiled["requirements"]["never"] == {"is": "never"}
    assert compiled["measures"]["growth"] == {"is": "compute-ratio", "subject": "Base Model 1", "sources": [*SOURCES]}


def test_what_equals_its_default_is_left_out():
    compiled = to_json(small_policy())
    assert compiled["scope"] == {}
    assert compiled["thresholds"]["high"].keys() == {"reached_when", "rule_out"}
    assert compiled["thresholds"]["high"]["rule_out"]["elicitation"] == [{"elicitation": "prompted"}]


@pytest.mark.parametrize(
    ("flop", "written"),
    [(2**53 - 1, 2**53 - 1), (2**53, "9007199254740992"), (10**26, "1" + "0" * 26), (10**256, "1" + "0" * 256)],
)
def test_compute_past_2_to_53_is_a_text(flop, written):
    policy = small_policy(thresholds=named(threshold(rule_out=rule(Demand("prompted", flop=flop)))))
    compiled = json.loads(canonical(policy))
    assert compiled["thresholds"]["high"]["rule_out"]["elicitation"][0]["flop"] == written
    assert from_json(compiled) == policy


def test_the_order_of_fields_in_memory_does_not_matter():
    compiled = to_json(full_policy())
    backwards = {name: compiled[name] for name in reversed(compiled)}
    assert digest(from_json(backwards)) == digest(full_policy())


def test_the_bytes_stay_the_same():
    # A change here changes the digest of every policy in every ledger.
    assert digest(small_policy()) == "39acbd7ec81c44a4e5511dcecd8e06357fa7bc86c2abc74495dff3b51f70bada"
    assert digest(full_policy()) == "b570d96fc110c9720a2161be4c981f174bce7946282e9125b5d80883b3829f87"


def nested(levels):
    """An expression of so many levels, as JSON."""
    expr = {"is": "amount", "quantity": "training_compute", "level": "1"}
    for _ in range(levels - 1):
        expr = {"is": "at-least", "count": 1, "parts": [expr]}
    return expr


def test_an_expression_may_be_32_levels_deep():
    compiled = to_json(small_policy(thresholds=named(Threshold("high", Amount("training_compute", Fraction(1)), None))))
    compiled["thresholds"]["high"]["reached_when"] = nested(32)
    assert to_json(from_json(compiled)) == compiled
    compiled["thresholds"]["high"]["reached_when"] = nested(33)
    with pytest.raises(EvidenceError, match="at most 32 levels"):
        from_json(compiled)


@pytest.mark.parametrize("depth", [50, 100_000])
def test_nesting_without_end_is_refused(depth):
    compiled = to_json(small_policy())
    compiled["thresholds"]["high"]["reached_when"] = nested(depth)
    with pytest.raises(EvidenceError, match="levels of nesting, got more"):
        from_json(compiled)


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


RULE = ("thresholds", "high", "rule_out")
DEMAND = (*RULE, "elicitation", 1)
INCIDENT = ("duties", "incident")
WEAK_KEY = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

# sentence -> change of the policy that uses everything, and the words of the refusal
TAMPERED = {
    "another format": (put("interlock", "policy/v2"), "interlock: expected `policy/v1`"),
    "no format": (drop("interlock"), "interlock: expected `policy/v1`, got nothing"),
    "a field too many": (put("override", "yes"), "unknown field `override`"),
    "a field too many inside": (put(*RULE, "unless", "yes"), "thresholds.high.rule_out: unknown field `unless`"),
    "a field too few": (drop(*RULE, "coverage"), "rule_out.coverage: expected this field"),
    "a name beside its key": (put("roles", "board", "name", "board"), "roles.board: unknown field `name`"),
    "a default spelled out": (put(*DEMAND, "tools", False), "left out where it has its default"),  # noqa: FBT003
    "an empty text spelled out": (put("thresholds", "high", "alert_for", ""), "alert_for: expected a name"),
    "an empty list spelled out": (put("thresholds", "screen", "above", []), "left out where it has its default"),
    "a part of an unknown kind": (put("requirements", "secure", "is", "always"), "is: expected one of `attested`"),
    "a part of no kind": (drop("requirements", "secure", "is"), "is: expected one of `attested`"),
    "a part that is a text": (put("thresholds", "high", "reached_when", "x"), "reached_when: expected an object"),
    "a section that is a list": (put("roles", []), "roles: expected an object, got an empty list"),
    "a list that is an object": (put("sources", {}), "sources: expected a list, got an empty mapping"),
    "a pair of three": (put("gates", "scale", "high", "weaker", 0, ["intends", "agreed", "x"]), "expected a list of 2"),
    "no gates": (put("gates", {}), "action `scale` under `gates`"),
    "a standard action without a gate": (drop("gates", "deploy-internal"), "action `deploy-internal` under `gates`"),
    "an empty gate": (put("gates", "scale", {}), "at least one threshold at gate `scale`"),
    "an empty cell": (put("gates", "scale", "mixed", "requires", []), "gates.scale.mixed: expected at least one"),
    "an undefined role": (put(*RULE, "run_by", "none"), "role `none` is not defined"),
    "a word that was never": (
        lambda compiled: compiled["requirements"].update(never=compiled["requirements"]["secure"]),
        "`never` is built in",
    ),
    "another word for never": (put("requirements", "nope", {"is": "never"}), "`never` is built in"),
    "a quorum of nobody": (put("roles", "board", "quorum", 0), "at least 1, got `0`"),
    "a quorum of nobody, without keys": (put("roles", "trust", "quorum", 0), "at least 1, got `0`"),
    "a quorum of true": (put("roles", "board", "quorum", True), "at least 1, got `True`"),  # noqa: FBT003
    "a quorum of 2.0": (put("roles", "board", "quorum", 2.0), "at least 1, got `2.0`"),
    "a quorum that is a text": (put("roles", "board", "quorum", "2"), "one exact text"),
    "a quorum too large": (put("roles", "board", "quorum", 4), "the number of keys, 2, got `4`"),
    "a quorum without end": (put("roles", "board", "quorum", 10**5000), "got a huge number"),
    "a quorum past 2^53": (put("roles", "trust", "quorum", str(2**53)), "at least 1, got"),
    "compute as a number past 2^53": (put(*DEMAND, "flop", 10**18), "at least 0, got `1000000000000000000`"),
    "compute with a leading zero": (put(*DEMAND, "flop", "01"), "at least 0, got `01`"),
    "compute below 2^53 as a text": (put(*DEMAND, "flop", "17"), "one exact text"),
    "compute without end": (put(*DEMAND, "flop", "9" * 5000), "a whole number of at least 0"),
    "compute in other digits": (put(*DEMAND, "flop", "\u0661"), "a whole number of at least 0"),
    "negative compute": (put(*DEMAND, "flop", -1), "at least 0, got `-1`"),
    "a key with which anyone signs": (put("roles", "board", "keys", 0, WEAK_KEY), "roles.board.keys.0: public key"),
    "a key that is not a text": (put("roles", "board", "keys", 0, 7), "expected a text, got `7`"),
    "a level that is a float": (put("thresholds", "high", "reached_when", "level", 0.5), "expected a number"),
    "a level in a second spelling": (put("thresholds", "high", "reached_when", "level", "0.50"), "one exact text"),
    "a level as a fraction that has a decimal": (
        put("thresholds", "high", "reached_when", "level", "1/2"),
        "one exact text",
    ),
    "a level that is no number": (put("thresholds", "high", "reached_when", "level", "NaN"), "expected a number"),
    "a level that is a list": (put("thresholds", "high", "reached_when", "level", ["0.5"]), "expected a number"),
    "a confidence of a coin": (put(*RULE, "confidence", "0.5"), "above 0.5"),
    "a coverage of nothing": (put(*RULE, "coverage", "0"), "above 0"),
    "a negative margin": (put(*RULE, "buffer", "margin", "-0.1"), "at least 0"),
    "a margin beyond the level": (put("thresholds", "screen", "rule_out", "buffer", "margin", "0.5"), "never be ruled"),
    "a multiple below one": (put(*RULE, "buffer", "multiple", "0.9"), "at least 1, got `0.9`"),
    "a refresh below one": (put("refresh", "multiple", "0.9"), "at least 1, got `0.9`"),
    "an attacker with everything": (put("attacker_budget", "1.1"), "between 0 and 1"),
    "a tolerated risk above one": (put("context", "threat_models", "crime", "probability", "2"), "between 0 and 1"),
    "more refusals than samples": (put(*DEMAND, "refusals", "1.5"), "between 0 and 1"),
    "no attempts": (put(*DEMAND, "attempts", 0), "at least 1, got `0`"),
    "an unknown elicitation": (put(*DEMAND, "elicitation", "asked-nicely"), "expected one of `prompted`"),
    "takeover potential that is a text": (put("thresholds", "high", "takeover_potential", "no"), "true or false"),
    "takeover potential that is 1": (put("thresholds", "high", "takeover_potential", 1), "true or false, got `1`"),
    "a weight of nothing": (put("measures", "both", "weights", "skill", "0"), "above 0"),
    "weights that are a list": (put("measures", "both", "weights", []), "expected an object"),
    "samples that are no digest": (put("measures", "skill", "samples_digest", "0F" * 32), "64 lower-case hexadecimal"),
    "no samples at the least": (put("measures", "skill", "least_samples", 0), "at least 1, got `0`"),
    "a task with a version in it": (put("measures", "skill", "task", "lab/skill@2"), "expected a task"),
    "a task of version 0": (put("measures", "skill", "task_version", 0), "at least 1, got `0`"),
    "a quantity that is no name": (
        put("thresholds", "high", "below_if", 0, "quantity", "Training_Compute"),
        "expected a name",
    ),
    "a quantity that is a list": (put("thresholds", "high", "below_if", 0, "quantity", []), "expected a name"),
    "a lease without end": (put("permits", "lease", "months", 10**6), "at most 100 years"),
    "a lease of nothing": (put("permits", "lease", "months", 0), "above nothing"),
    "a lease in days": (put("permits", "lease", {"days": 1}), "an object with `months` and `seconds`"),
    "a lease in floats": (put("permits", "lease", "months", 1.0), "a whole number of at least 0, got `1.0`"),
    "a time without a zone": (put("effective", "2026-01-01T00:00:00"), "a time with its zone"),
    "a time in a second spelling": (put("effective", "2026-01-01T01:00:00+01:00"), "one exact text"),
    "a holiday that is no date": (put(*INCIDENT, "within", "holidays", 0, "2026-02-30"), "expected a date"),
    "a holiday in a second spelling": (put(*INCIDENT, "within", "holidays", 0, "20261225"), "expected a date"),
    "business days without end": (put(*INCIDENT, "within", "business_days", 10**9), "at least 1, got"),
    "a zone that is a path": (put(*INCIDENT, "within", "zone", "../etc/passwd"), "expected a time zone"),
    "a zone nobody knows": (put(*INCIDENT, "within", "zone", "Mars/Base"), "within.zone: expected a time zone"),
    "a zone that each machine sets": (put(*INCIDENT, "within", "zone", "localtime"), "got `localtime`"),
    "a zone that counts leap seconds": (put(*INCIDENT, "within", "zone", "right/UTC"), "got `right/UTC`"),
    "a subject with a letter without width": (
        put("measures", "growth", "subject", "base\u200bmodel"),
        "measures.growth.subject: expected a text",
    ),
    "a subject with a space that is none": (
        put("thresholds", "high", "below_if", 2, "subject", "base\xa0model"),
        "below_if.2.subject: expected printable text on one line",
    ),
    "a stop that does not exist": (
        put("on_hold", "high", 0, "do", "look-away"),
        "do: expected one of `pause-training`",
    ),
    "a state that does not exist": (put("on_hold", "high", 1, "when", ["sunny"]), "`unmet:REQUIREMENT`, got `sunny`"),
    "a name that is no name": (put("measures", "A B", {}), "measures: expected a name"),
    "an id that is no id": (put("id", "a/b/c"), "id: expected an id"),
    "a version that is no version": (put("version", "one"), "expected a version"),
    "an authority that is a number": (put("imposed_by", 7), "imposed_by: expected a text"),
    "an escape for the terminal": (put("title", "\x1b[2J"), "title: expected a text"),
    "half a character": (put("title", "\ud800"), "title: expected a text"),
}


@pytest.mark.parametrize("sentence", TAMPERED)
def test_a_tampered_policy_is_refused(sentence):
    change, words = TAMPERED[sentence]
    compiled = copy.deepcopy(to_json(full_policy()))
    change(compiled)
    with pytest.raises(EvidenceError) as caught:
        from_json(compiled)
    assert words in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_accepted_compiles_to_itself(data):
    compiled = to_json(full_policy())
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


def test_what_is_no_object_is_no_policy():
    with pytest.raises(EvidenceError, match="expected an object, got a list"):
        from_json([to_json(small_policy())])


@given(value=json_values)
def test_anything_else_is_refused(value):
    with pytest.raises(EvidenceError):
        from_json(value)


def test_a_time_without_a_zone_or_finer_than_a_second_does_not_compile():
    policy = small_policy()
    for time in (datetime(2026, 1, 1), policy.effective + timedelta(microseconds=1)):  # noqa: DTZ001
        with pytest.raises(ValueError, match="whole seconds"):
            to_json(replace(policy, effective=time))


def test_reading_a_compiled_policy_needs_neither_pydantic_nor_yaml():
    code = "import sys, interlock.policy; print(sorted({'pydantic', 'ruamel', 'ruamel.yaml'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
