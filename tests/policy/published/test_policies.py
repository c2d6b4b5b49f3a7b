"""Every published policy that ships: it loads, its cases pass and try all of it, each clause says where it is from."""

from __future__ import annotations

import runpy
from dataclasses import fields
from pathlib import Path

import pytest

from interlock.policy import shipped
from interlock.policy.cases import coverage, draft, load, run, version
from interlock.policy.lint import lint
from interlock.policy.model import Never

ROOT = Path(__file__).parents[3]
CROSSWALK = runpy.run_path(str(ROOT / "scripts" / "write_crosswalk.py"))

#: Policy -> the errors that `policy check` finds. Each is a true finding about the text, not about its encoding.
_HOLE, _OPEN = "no-explicit-hole", "open-weights-left-open"
ERRORS: dict[str, set[str]] = {
    "amazon": {"no-gate-on-scale", _HOLE, _OPEN},
    "anthropic-rsp-3.4": {_HOLE, _OPEN},
    "deepmind-fsf-1.0": {_OPEN},
    "deepmind-fsf-3.1": {_HOLE},
    "magic": {"no-fine-tuning", _HOLE, _OPEN},  # elicitation is not spoken of
    "meta": {_HOLE},
    "microsoft": {_HOLE},
    "openai-pf-beta": {_HOLE},
    "xai-faif-2026": {_HOLE, _OPEN},
    "xai-rmf-2025": {"no-gate-on-scale", _HOLE, _OPEN},
}

each = pytest.mark.parametrize("name", shipped.published())


@pytest.fixture(scope="module")
def policies():
    return {name: draft(shipped.path(name)) for name in shipped.published()}


@pytest.fixture(scope="module")
def outcomes(policies):
    """Every policy's cases, run once."""
    found = {}
    for name, policy in policies.items():
        cases = load(shipped.path(name).with_suffix(".cases.yaml"), policy)
        found[name] = [run(case, [version(policy)]) for case in cases]
    return found


def test_there_are_published_policies():
    assert shipped.published()


@each
def test_its_cases_pass(outcomes, name):
    failed = [(it.case.name, it.case.where, it.failures) for it in outcomes[name] if not it.passed]
    assert outcomes[name]
    assert not failed


@each
def test_its_cases_exercise_all_of_it(policies, outcomes, name):
    found = coverage(policies[name], outcomes[name])
    places = {(it.name, place) for it in fields(found) for place in getattr(found, it.name)}
    assert places == set()


def sourced(policy):
    """(path, sources) of everything that must say where it is from."""
    sections = ("measures", "assumptions", "thresholds", "requirements", "exceptions", "duties")
    for section in sections:
        for it in getattr(policy, section).values():
            if not isinstance(it, Never):
                yield f"{section}.{it.name}", it.sources
    for name, answers in policy.on_hold.items():
        yield from ((f"on_hold.{name}.{at}", it.sources) for at, it in enumerate(answers))
    for section in ("standards", "reports"):
        yield from ((f"{section}.{it.name}", it.sources) for it in getattr(policy.context, section).values())
    for part in ("refresh", "permits", "amendments"):
        yield part, getattr(policy, part).sources


@each
def test_every_clause_says_where_it_is_from(policies, name):
    assert [path for path, sources in sourced(policies[name]) if not sources] == []


@each
def test_the_errors_of_policy_check_are_known_ones(policies, name):
    found = {it.check for it in lint(policies[name], at=policies[name].effective) if it.level == "error"}
    assert found == ERRORS.get(name, set())


def test_what_is_excused_is_of_a_policy_that_is_there():
    assert set(ERRORS) <= set(shipped.published())


# -- the crosswalk -----------------------------------------------------------------------------------------------------


def crosswalks():
    return sorted(CROSSWALK["FOLDER"].glob("*.yaml"))


def test_every_policy_has_a_crosswalk():
    assert {it.stem for it in crosswalks()} == {*shipped.published(), *CROSSWALK["OTHERS"]}


@pytest.mark.parametrize("file", crosswalks(), ids=lambda it: it.stem)
def test_every_row_is_carried_by_clauses_that_are_there_or_says_why_not(file):
    entries = CROSSWALK["read"](file)
    assert {it.row: gone for it in entries if (gone := CROSSWALK["missing"](it))} == {}


def test_the_crosswalk_page_is_current():
    page = CROSSWALK["page"]()
    assert CROSSWALK["PAGE"].read_text(encoding="utf-8") == page, "write it anew: python scripts/write_crosswalk.py"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1", "expected a list of rows"),
        ("- {row: a, says: b}", "expected either clauses"),
        ("- {row: a, says: b, carried_by: []}", "expected either clauses"),
        ("- {row: a, says: b, text_only: ' '}", "expected either clauses"),
        ("- {row: a, says: b, carried_by: [refresh], text_only: c, policy: example-lab}", "expected either clauses"),
        ("- {row: a, carried_by: [refresh]}", "expected `row` and `says`"),
        ("- {row: a, says: b, carried_by: refresh, policy: example-lab}", "a list of paths"),
        ("- {row: a, says: b, carried_by: [refresh], colour: red}", "expected a mapping with"),
        ("- {row: a, says: b, carried_by: [refresh], policy: no-such}", "no policy `no-such`"),
    ],
)
def test_a_row_of_another_form_is_refused(tmp_path, text, said):
    file = tmp_path / "example-lab.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        CROSSWALK["read"](file)


def test_a_path_that_is_not_there_is_found(tmp_path):
    file = tmp_path / "example-lab.yaml"
    paths = "thresholds.takeover, thresholds.gone, on_hold.codebook-use.2, on_hold.codebook-use.3"
    file.write_text(f"- {{row: a, says: b, carried_by: [{paths}]}}", encoding="utf-8")
    [entry] = CROSSWALK["read"](file)
    assert CROSSWALK["missing"](entry) == ["thresholds.gone", "on_hold.codebook-use.3"]
