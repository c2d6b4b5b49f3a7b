"""Editors know the same language as the loader: what loads is valid, and common mistakes are not."""

import json
import re

import pytest

from interlock.cli.policies import schema as print_schema
from interlock.policy._written import yaml as _yaml
from interlock.policy.schema import schema

jsonschema = pytest.importorskip("jsonschema")


def as_editors_read(node):
    """The tree with YAML's own numbers and truths (YAML 1.2, core schema)."""
    if isinstance(node, dict):
        return {key: as_editors_read(value) for key, value in node.items()}
    if isinstance(node, list):
        return [as_editors_read(value) for value in node]
    if node in {"true", "false", None}:
        return None if node is None else node == "true"
    if re.fullmatch(r"-?[0-9]+", node):
        return int(node)
    return float(node) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", node) else node


def faults(text):
    plain = as_editors_read(_yaml.plain(_yaml.Composer().compose(text)))
    return [error.message for error in jsonschema.Draft202012Validator(schema()).iter_errors(plain)]


def test_it_is_a_schema_of_its_draft():
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", ["text", "full_text"])
def test_what_loads_is_valid(name, request):
    assert faults(request.getfixturevalue(name)) == []


WRONG = {
    "an unknown field": ("quorum: 2}", "quorum: 2, color: red}"),
    "a missing field": ("confidence: 0.95\n", "\n"),
    "a missing section": ("\nthresholds:", "\nlevels:"),
    "a missing block": ("\nplans:   {report_within: 21 days}\n", "\n"),
    "a wrong unit": ("30 days", "30 moons"),
    "a wrong word": ("kind: capability", "kind: ability"),
    "a multiple without its x": ("effective_compute: 6x", "effective_compute: 6"),
    "a number that is none": ("confidence: 0.95", "confidence: high"),
    "an empty list": ("events: [new-elicitation, leak]", "events: []"),
    "a section of nothing": ('{cyber: {title: Cyber offence, sources: ["2.1"]}}', "{}"),
    "a null": ("takeover_potential: false", "takeover_potential: ~"),
    "a name with capitals for a key": ("  cyber-high:\n    reached", "  CyberHigh:\n    reached"),
    "a mistake deep in a combination": ("{any_of: [cyber-high, bio-high]}", "{any_off: [cyber-high, bio-high]}"),
    "a threshold of nothing": ("{reached_when: growth >= 4}", "{rung: low}"),
    "a threshold that is judged on nothing": ("judged_by: board, on: unspecified", "judged_by: board"),
    "two elicitations in one": ("- rl-fine-tuned: {demonstrations: 4}", "- {prompted: {}, scaffolded: {}}"),
    "a duty that two things start": ("{alert: [cyber-alert]}", "{alert: [cyber-alert], hold: [scale]}"),
    "a stop that nobody knows": ("do: pause-training", "do: pause"),
    "a list for a cell with words": ("{will: [security-3],", "{wil: [security-3],"),
    "a requirement of no kind": ("{hole: what", "{gap: what"),
    "business days where no clock stands": ("lease: 30 days", "lease: 30 business days"),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_a_mistake_is_not_valid(sentence, full_text):
    old, new = WRONG[sentence]
    assert old in full_text
    assert faults(full_text.replace(old, new, 1))


def test_nothing_pydantic_made_up_is_left():
    """No titles, no defaults; everything says what it is; nothing unknown is let through."""
    made = schema()
    left = [("", made)]
    while left:
        path, it = left.pop()
        assert not (it.keys() & {"default"}), path
        assert path == "" or "title" not in it, path
        if it.get("type") == "object":
            assert it["additionalProperties"] is False or "propertyNames" in it, path
        for word in ("properties", "patternProperties", "$defs"):
            left.extend((f"{path}/{name}", inner) for name, inner in it.get(word, {}).items())
        left.extend((f"{path}/{at}", inner) for at, inner in enumerate(it.get("anyOf", [])))
    assert all("description" in form for form in made["$defs"].values())


def test_the_command_prints_it(capsys):
    print_schema()
    assert json.loads(capsys.readouterr().out) == schema()
