"""The JSON schema of the written policy, for editors: draft 2020-12, made from the forms that read policies.

Whatever it refuses does not load either, but for quoted numbers, and names that YAML takes for fractions. Much that it
lets through does not load: whether a name is defined, which numbers are in range, and everything else between entries
is found by `load.py` only.
"""

from __future__ import annotations

from typing import Any

from interlock.policy._written.forms import PolicyForm

#: The schema's name. Nothing is fetched from there.
ID = "urn:interlock:policy:v1"


def schema() -> dict[str, Any]:
    """The schema, as JSON values. A number may stand as YAML's own or as the exact text that it stands for here."""
    made = _tidy(PolicyForm.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Interlock policy, policy/v1",
        **made,
    }


def _tidy(made: dict[str, Any]) -> dict[str, Any]:
    """The schema without what pydantic makes up, and with what every list and every section has in common.

    No value is ever null, since one that is not given is left out; no list is empty; a section has at least one entry,
    and only names for keys.
    """
    kept = {word: value for word, value in made.items() if word not in {"title", "default", "propertyNames"}}
    if kept.get("type") == "array":
        kept = {"minItems": 1, **kept}
    if "patternProperties" in kept:
        kept = {"minProperties": 1, "additionalProperties": False, **kept}
    if "propertyNames" in made and "patternProperties" not in kept:
        kept["propertyNames"] = made["propertyNames"]
    for word in ("properties", "patternProperties", "$defs"):
        if word in kept:
            kept[word] = {name: _tidy(inner) for name, inner in kept[word].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(kept.get(word), dict):
            kept[word] = _tidy(kept[word])
    if "anyOf" in kept:
        choices = [_tidy(choice) for choice in kept.pop("anyOf") if choice != {"type": "null"}]
        kept = {**choices[0], **kept} if len(choices) == 1 else {**kept, "anyOf": choices}
    return kept
