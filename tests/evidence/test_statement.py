from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError
from interlock.evidence.statement import STATEMENT_TYPE, Statement

JCS = Path(__file__).parents[1] / "vectors/jcs-rfc8785"
DIGEST = "ab" * 32
KIND = "https://example.com/result/v1"

texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def made(**changes) -> dict:
    return {
        "_type": STATEMENT_TYPE,
        "predicateType": KIND,
        "subject": [{"name": "model", "digest": {"sha256": DIGEST}}],
        "predicate": {"scored": 3},
    } | changes


def canonical(**changes) -> bytes:
    return rfc8785.dumps(made(**changes))


@pytest.mark.parametrize("name", sorted(path.name for path in (JCS / "input").iterdir()))
def test_canonical_json_is_that_of_the_published_vectors(name):
    value = json.loads((JCS / "input" / name).read_bytes())
    assert rfc8785.dumps(value) == (JCS / "output" / name).read_bytes()


@given(st.dictionaries(texts, values, max_size=4))
def test_law_a_statement_is_read_back_and_has_one_spelling(predicate):
    statement = Statement(KIND, (("model", DIGEST),), predicate)
    data = statement.to_bytes()
    again = Statement.parse(data)
    assert again == statement
    assert again.predicate == predicate
    assert again.to_bytes() == data
    assert statement.digest == hashlib.sha256(data).hexdigest()


def test_the_bytes_are_an_in_toto_statement():
    assert json.loads(Statement(KIND, (("model", DIGEST),), {"scored": 3}).to_bytes()) == made()


def test_true_and_one_are_not_the_same_statement():
    one, true = (Statement(KIND, (("model", DIGEST),), {"x": value}) for value in (1, True))
    assert one != true


def test_a_statement_does_not_follow_what_it_was_made_from():
    predicate = {"list": [1]}
    statement = Statement(KIND, (("model", DIGEST),), predicate)
    predicate["list"].append(2)
    assert statement.predicate == {"list": [1]}


REFUSED = {
    "another type": canonical(_type="https://in-toto.io/Statement/v0.1"),
    "a type that is a list": canonical(_type=[]),
    "an unknown member": canonical(extra=1),
    "no predicate type": canonical(predicateType=""),
    "a predicate type that is a number": canonical(predicateType=1),
    "a predicate that is a list": canonical(predicate=[]),
    "no predicate": canonical(predicate=None),
    "no subject": canonical(subject=[]),
    "a subject that is an object": canonical(subject={}),
    "a subject with an address": canonical(subject=[{"name": "m", "digest": {"sha256": DIGEST}, "uri": "x"}]),
    "a subject without a name": canonical(subject=[{"name": "", "digest": {"sha256": DIGEST}}]),
    "a subject twice": canonical(subject=[{"name": "m", "digest": {"sha256": DIGEST}}] * 2),
    "an uppercase digest": canonical(subject=[{"name": "m", "digest": {"sha256": DIGEST.upper()}}]),
    "a short digest": canonical(subject=[{"name": "m", "digest": {"sha256": DIGEST[:-1]}}]),
    "a digest with a newline": canonical(subject=[{"name": "m", "digest": {"sha256": DIGEST + "\n"}}]),
    "a digest that is a number": canonical(subject=[{"name": "m", "digest": {"sha256": 1}}]),
    "a digest of another kind": canonical(subject=[{"name": "m", "digest": {"sha1": DIGEST}}]),
    "a second digest": canonical(subject=[{"name": "m", "digest": {"sha256": DIGEST, "sha1": "ab"}}]),
    "a float": canonical(predicate={"score": 0.5}),
    "a whole number written as a float": canonical().replace(b'"scored":3', b'"scored":3.0'),
    "an exponent": canonical().replace(b'"scored":3', b'"scored":3e0'),
    "minus zero": canonical().replace(b'"scored":3', b'"scored":-0'),
    "NaN": canonical().replace(b'"scored":3', b'"scored":NaN'),
    "infinity": canonical().replace(b'"scored":3', b'"scored":-Infinity'),
    "2^53": canonical().replace(b'"scored":3', b'"scored":9007199254740992'),
    "a member twice": canonical().replace(b'"scored":3', b'"scored":3,"scored":4'),
    "members out of order": json.dumps(made(), separators=(",", ":")).encode(),
    "white space": canonical().replace(b'"scored":3', b'"scored": 3'),
    "an escape that is not needed": canonical().replace(b"model", rb"mode\u006c"),
    "a lone surrogate": canonical().replace(b"scored", rb"\ud800"),
    "a trailing newline": canonical() + b"\n",
    "nesting beyond the limit": canonical().replace(b'"scored":3', b'"scored":' + b"[" * 40 + b"]" * 40),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_statement_is_refused_that_has(case):
    with pytest.raises(EvidenceError, match=r"got .*, expected "):
        Statement.parse(REFUSED[case])


def test_the_good_statement_beside_them_is_read():
    assert Statement.parse(canonical()).subjects == (("model", DIGEST),)


@pytest.mark.parametrize("value", [0.5, float("nan"), 2**53, -(2**53), b"x", {1: 2}, {"a"}, "\ud800", {"\ud800": 1}])
def test_no_statement_is_made_with_a_value_that_json_does_not_keep(value):
    with pytest.raises(EvidenceError):
        Statement(KIND, (("model", DIGEST),), {"x": value})


def test_a_statement_about_nothing_is_refused():
    with pytest.raises(EvidenceError, match="one or more"):
        Statement(KIND, (), {})
