"""A result under an e-process says where it ended and at what it looked; reader and schema take nothing else."""

from __future__ import annotations

import copy
from dataclasses import replace

import jsonschema
import pytest

from interlock.decide.facts import Protocol
from interlock.errors import EvidenceError
from interlock.evidence.predicates import Fields, ResultPredicate, Stopped, protocol_from_json, protocol_to_json
from interlock.evidence.schema import schema
from interlock.policy.model import ELICITATIONS

FIXED = Protocol("lab/skill", 1, "accuracy", 120, "5a" * 32, "prompted", 0, 0, 0)
EARLY = replace(FIXED, stopping="e-process", order_seed=7)
RESULT = ResultPredicate(
    "1f" * 32, EARLY, "2e" * 32, "logs/1.eval", "3d" * 32, 30, 30, 2, 0, 30, 0, 0, 900, 10**12, {},
    Stopped(30, ((10, 0), (20, 2), (30, 2))),
)  # fmt: skip
PREDICATE = jsonschema.Draft202012Validator(schema("result")["properties"]["predicate"])


def read(value):
    return ResultPredicate.from_json(value, "the result", ELICITATIONS)


@pytest.mark.parametrize("protocol", [FIXED, EARLY, replace(FIXED, attempts=16)])
def test_a_protocol_is_read_as_it_was_written(protocol):
    assert protocol_from_json(Fields(protocol_to_json(protocol), "it"), ELICITATIONS) == protocol
    assert ("stopping" in protocol_to_json(protocol)) == (protocol is EARLY)
    assert protocol_to_json(protocol)["elicitation"].get("attempts", 1) == protocol.attempts


def test_a_result_is_read_as_it_was_written():
    assert read(RESULT.to_json()) == RESULT
    assert PREDICATE.is_valid(RESULT.to_json())


def looks(*pairs):
    return lambda it: it["stopped"].update(looks=[{"n": n, "dangerous": k} for n, k in pairs])


REFUSED = {  # the attack: (what is changed, what is said)
    "it keeps silent about where it ended": (lambda it: it.pop("stopped"), "exactly under an e-process, got without"),
    "a fixed plan ends early": (
        lambda it: it.update(protocol=protocol_to_json(FIXED)),
        "exactly under an e-process, got with",
    ),
    "more was scored than was asked": (lambda it: it["counts"].update(completed=31), "grow from correct to planned"),
    "more may have been refused than was asked": (
        lambda it: it["counts"].update(refused_at_most=31),
        "refused_at_most <= planned",
    ),
    "more was cut off than was asked": (lambda it: it["counts"].update(limited=31), "30 samples were asked"),
    "it ended after the last sample": (lambda it: it["stopped"].update(stopped_at=121), "looks must grow up to 121"),
    "a last look that is not told": (looks((10, 0), (20, 2)), "looks must grow up to 30 samples, got .* 2 of 20"),
    "a look that goes back": (looks((20, 1), (10, 0), (30, 2)), "looks must grow"),
    "fewer dangerous ones than before": (looks((20, 3), (30, 2)), "looks must grow"),
    "more dangerous ones than samples": (looks((20, 1), (30, 12)), "looks must grow"),
    "no look at all": (looks(), "looks must grow up to 30 samples, got none"),
    "another stopping rule": (
        lambda it: it["protocol"]["stopping"].update(kind="when it looks good"),
        "expected one of e-process",
    ),
    "one attempt that is told as several": (
        lambda it: it["protocol"]["elicitation"].update(attempts=1),
        "`attempts` is `1`, expected an integer of two or more",
    ),
    "more samples planned than bounds can be had of": (
        lambda it: (it["protocol"].update(samples=1_000_001), it["counts"].update(planned=1_000_001)),
        "`planned` is `1000001`, expected at most 1000000 samples",
    ),
    "more of them in the protocol alone": (
        lambda it: it["protocol"].update(samples=1_000_001),
        "`samples` is `1000001`, expected at most 1000000 samples",
    ),
    "an order that nobody committed to": (
        lambda it: it["protocol"]["stopping"].pop("order_seed"),
        "`order_seed` is missing",
    ),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_attack(attack):
    change, match = REFUSED[attack]
    value = copy.deepcopy(RESULT.to_json())
    change(value)
    with pytest.raises(EvidenceError, match=match):
        read(value)
