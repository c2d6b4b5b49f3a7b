"""Validity records: what is read, and what no record can say."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from interlock.errors import EvidenceError
from interlock.evidence.validity import Elicitor, Record, parse, recipe_of

RECORD = Record(
    check="certified-elicitor",
    elicitor=Elicitor("lora", "fine-tuned", {"rank": 8, "learning_rate": 1e-5}, demonstrations=128),
    covered=60,
    organisms=60,
    ruled_out=28,
    honest=30,
    at=Fraction(1, 2),
    least=500_000,
    most=5_000_000,
    confidence=Fraction(19, 20),
    details={"organisms": [{"kind": "honest-weak", "seed": 1}]},
)


def changed(change):
    made = json.loads(RECORD.to_bytes())
    change(made)
    return json.dumps(made).encode()


def test_what_is_written_is_read():
    assert parse(RECORD.to_bytes(), "it") == RECORD
    assert RECORD.validity.recipe == recipe_of("lora", "fine-tuned", {"learning_rate": 1e-5, "rank": 8})
    assert RECORD.validity.demonstrations == 128


def test_another_setting_is_another_recipe():
    assert RECORD.elicitor.recipe != recipe_of("lora", "fine-tuned", {"rank": 8, "learning_rate": 2e-5})


REFUSED = {  # the attack: (what is changed, what is said)
    "the numbers of one elicitor under the name of another": (
        lambda it: it["elicitor"]["settings"].update(rank=64),
        "`recipe` is .*expected .* by its `elicitor`",
    ),
    "more caught than there are": (lambda it: it["coverage"].update(covered=61), "61 of 60 organisms"),
    "more ruled out than there are": (lambda it: it["sharpness"].update(ruled_out=31), "31 of 30 organisms"),
    "more organisms than can be counted": (
        lambda it: it["coverage"].update(organisms=10**6),
        "60 of 1000000 organisms",
    ),
    "the smallest is larger than the largest": (lambda it: it["parameters"].update(most=1), "500000 to 1 parameters"),
    "a certain bound": (lambda it: it.update(confidence="1"), "`confidence` is 1"),
    "a float for an exact number": (lambda it: it["sharpness"].update(at=0.5), "`at` is `0.5`, expected a number"),
    "another format": (lambda it: it.update(interlock="validity-record/v1"), "expected one of validity-record/v3"),
    "it does not say on how many demonstrations": (
        lambda it: it["elicitor"].pop("demonstrations"),
        "`demonstrations` is missing",
    ),
    "fewer demonstrations than none": (lambda it: it["elicitor"].update(demonstrations=-1), "`demonstrations` is `-1`"),
    "a member that nobody knows": (lambda it: it.update(extra=1), "unknown member `extra`"),
    "no honest organisms at all": (lambda it: it.pop("sharpness"), "`sharpness` is missing"),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_attack(attack):
    change, match = REFUSED[attack]
    with pytest.raises(EvidenceError, match=match):
        parse(changed(change), "the record")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "it is no JSON"),
        (b"\xff", "it is no JSON"),
        (b"[1]", "expected an object"),
        (b'{"interlock": 1, "interlock": 2}', "a name twice"),
        (RECORD.to_bytes().replace(b'"rank": 8', b'"rank": NaN'), "`NaN` is no number"),
        (b"[" * 100_000, "it is no JSON"),
        (RECORD.to_bytes().replace(b'"rank": 8', b'"rank": 1e999'), "the settings .* have no canonical JSON: inf"),
        (RECORD.to_bytes().replace(b'"rank": 8', b'"rank": 12345678901234567890'), "have no canonical JSON: 1234567"),
        (RECORD.to_bytes().replace(b'"rank": 8', b'"rank": "\\ud800"'), "have no canonical JSON"),
        (
            RECORD.to_bytes().replace(b'"rank": 8', b'"rank": ' + b"[" * 900 + b"]" * 900),
            "no canonical JSON|`recipe` is",
        ),
    ],
)
def test_what_is_no_record(data, match):
    with pytest.raises(EvidenceError, match=match):
        parse(data, "the record")
