"""The schema of compiled policies takes what is compiled, and refuses what no compiled policy has."""

import copy

import jsonschema
import pytest

from interlock.errors import EvidenceError
from interlock.policy import compile as compiled
from interlock.policy.compiled_schema import schema

MADE, DEFINITIONS = schema()
WHOLE = {**MADE, "$defs": DEFINITIONS}
VALIDATOR = jsonschema.Draft202012Validator(WHOLE)


def test_it_is_a_schema_of_its_draft():
    jsonschema.Draft202012Validator.check_schema(WHOLE)


@pytest.mark.parametrize("name", ["policy", "full"])
def test_what_is_compiled_is_valid(name, request):
    value = compiled.to_json(request.getfixturevalue(name))
    assert [error.message for error in VALIDATOR.iter_errors(value)] == []


WRONG = {
    "another format": (("interlock",), "policy/v2"),
    "an unknown section": (("colours",), {}),
    "an unknown field of a role": (("roles", "board", "colour"), "red"),
    "keys that are no list": (("roles", "board", "keys"), "one"),
    "a quorum that is a fraction": (("roles", "board", "quorum"), 1.5),
    "a time in words": (("effective",), "tomorrow"),
    "an unknown field of a length of time": (("permits", "lease", "weeks"), 1),
    "a field that is null": (("permits", "lease"), None),
    "a kind that is not known": (("measures", "replication", "is"), "guess"),
}


@pytest.mark.parametrize("case", WRONG)
def test_schema_and_reader_refuse(full, case):
    path, value = WRONG[case]
    made = copy.deepcopy(compiled.to_json(full))
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert not VALIDATOR.is_valid(made)
    with pytest.raises(EvidenceError):
        compiled.from_json(made)


def test_every_section_is_a_record_or_open_to_names_only(full):
    for name in [name for name in compiled.to_json(full) if name in MADE["required"]]:
        made = {other: value for other, value in compiled.to_json(full).items() if other != name}
        assert not VALIDATOR.is_valid(made)
        with pytest.raises(EvidenceError):
            compiled.from_json(made)
