"""The statement about somebody else's log: read strictly, and never more than a reason to hold."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence.imported import Counts, ImportedPredicate
from interlock.evidence.predicates import MOST_SAMPLES, UNKNOWN, statement
from interlock.evidence.statement import Statement
from interlock.policy import exact

WHOLE = ImportedPredicate(
    kind="inspect",
    run="run",
    status="success",
    edit_of=None,
    updates=0,
    edited=None,
    task="a/task",
    version="1",
    metric="accuracy",
    scorer="match",
    samples="1" * 64,
    files=(("logs/imported/x/log.eval", "2" * 64),),
    outcomes="3" * 64,
    counts=Counts(8, 8, 7, 2, None, 0, 8, 0, 1),
    model="model",
    model_args={"path": "latest"},
    adapter=UNKNOWN,
    template=UNKNOWN,
    environment={"inspect_ai": "0.3.285"},
)


@st.composite
def _predicates(draw):
    ordered = sorted(draw(st.lists(st.integers(0, MOST_SAMPLES), min_size=4, max_size=4)))
    correct, scored, completed, planned = ordered
    total = draw(st.none() | st.fractions())
    some = st.none() | st.integers(0, 2**53 - 1)
    planned, correct = max(planned, 1), correct if total is None else 0
    at_most = draw(st.integers(0, planned))
    refused = draw(st.integers(0, min(scored, at_most))), at_most
    counts = Counts(planned, completed, scored, correct, total, *refused, draw(some), draw(some))
    return replace(
        WHOLE, counts=counts, updates=draw(some), edit_of=draw(st.sampled_from([None, "a" * 64])), version=draw(_texts)
    )


_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(_predicates())
def test_what_is_written_is_read_back_from_the_signed_bytes(predicate):
    made = statement("result", name="subject", digest="0" * 64, predicate=predicate.to_json())
    read = ImportedPredicate.from_json(Statement.parse(made.to_bytes()).predicate, "here")
    assert read == predicate


@given(_predicates())
def test_nothing_that_it_can_say_makes_its_elicitation_known(predicate):
    assert predicate.protocol.elicitation == UNKNOWN
    assert predicate.protocol.task_version == (int(predicate.version) if predicate.version in _POLICYS else 0)


_POLICYS = {str(n) for n in range(1, 10_000)}


@pytest.mark.parametrize("version", ["0", "01", "-1", "1.0", "1e9", "unknown", "²", "1" * 10, " 1", "1\n"])
def test_a_version_that_is_no_policys_is_none(version):
    assert replace(WHOLE, version=version).protocol.task_version == 0


def _with(section, name, value):
    whole = WHOLE.to_json()
    return whole | {section: (whole[section] | {name: value} if name else value)}


@pytest.mark.parametrize(
    ("predicate", "said"),
    [
        (_with("counts", "correct", 8), "counts must grow from correct to planned, got correct 8, scored 7"),
        (_with("counts", "scored", 9), "counts must grow"),
        (_with("counts", "completed", 9), "counts must grow"),
        (_with("counts", "planned", 0), "counts must grow"),
        (_with("counts", "planned", 1_000_001), "`planned` is `1000001`, expected at most 1000000 samples"),
        (_with("counts", "refused_scores", -1), "`refused_scores` is `-1`"),
        (_with("counts", "refused_at_most", "unknown"), "`refused_at_most` is `unknown`"),
        (_with("counts", "refused_at_most", 99), "expected refused_scores <= scored, and <= refused_at_most"),
        (_with("total", None, "1/2"), "counts must grow"),  # a sum beside a number of right answers
        (_with("total", None, "2/4"), "`total` is `2/4`, expected `none` or a fraction in lowest terms"),
        (_with("total", None, "1/0"), "`total` is `1/0`"),
        (_with("total", None, "1/-2"), "`total` is `1/-2`"),
        (_with("total", None, "0.5"), r"`total` is `0\.5`"),
        (_with("total", None, "9" * 651 + "/1"), "`total` is `999"),
        (_with("total", None, f"{60 * 2**4900 + 1}/{2**4900}"), "`total` is `668"),  # whose decimal cannot be printed
        (_with("imported", "kind", "spreadsheet"), "expected one of inspect, lm-evaluation-harness"),
        (_with("imported", "edit_of", "yes"), "`edit_of` is `yes`, expected a SHA-256"),
        (_with("imported", "plan", "0" * 64), "unknown member `plan`"),
        (_with("plan", None, "0" * 64), "unknown member `plan`"),
        (_with("task", "elicitation", "fine-tuned"), "unknown member `elicitation`"),
        (_with("log", "files", []), "names no log"),
        (_with("log", "files", [{"name": "x", "sha256": "0"}]), "`sha256` is `0`"),
        (_with("model", "args", {"a": 1}), "`args` must map names to strings"),
        (_with("environment", None, []), "`environment` must map names to strings"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_anything_unexpected_is_refused(predicate, said):
    with pytest.raises(EvidenceError, match=said):
        ImportedPredicate.from_json(predicate, "here")


def test_every_member_must_be_there():
    whole = WHOLE.to_json()
    for section in whole:
        with pytest.raises(EvidenceError, match=f"`{section}` is missing"):
            ImportedPredicate.from_json({k: v for k, v in whole.items() if k != section}, "here")
    for section in ("imported", "task", "log", "counts", "model"):
        for name in whole[section]:
            cut = whole | {section: {k: v for k, v in whole[section].items() if k != name}}
            with pytest.raises(EvidenceError, match=f"`{name}` is missing"):
                ImportedPredicate.from_json(cut, "here")


@pytest.mark.parametrize("least", [2**1074, 3**691, 5**472, 10**329], ids=["floats", "threes", "fives", "tens"])
@pytest.mark.parametrize("greatest", [1, 10**650 - 1, 1 - 10**650], ids=["one", "many", "few"])
def test_no_sum_that_is_taken_is_too_long_to_be_told(least, greatest):
    total = Fraction(greatest, least)
    predicate = replace(WHOLE, counts=Counts(10**6, 1, 1, 0, total, 0, 10**6, None, None))
    taken = ImportedPredicate.from_json(predicate.to_json(), "here").counts.total
    for number in (taken, taken / 10**6, 1 - taken):  # as a sum, a mean, and turned
        assert len(exact(number)) < 2000


def test_a_million_of_the_largest_and_the_smallest_floats_can_be_recorded():
    total = 10**6 * Fraction(sys.float_info.max) + Fraction(5e-324)
    predicate = replace(WHOLE, counts=Counts(10**6, 10**6, 10**6, 0, total, 0, 10**6, None, None))
    assert ImportedPredicate.from_json(predicate.to_json(), "here") == predicate


def test_a_sum_is_kept_exactly():
    predicate = replace(WHOLE, counts=Counts(3, 3, 3, 0, Fraction(0.1) + Fraction(5e-324), 0, 3, None, None))
    assert ImportedPredicate.from_json(predicate.to_json(), "here") == predicate
