"""A policy in plain English: every clause that counts is told, with its line, in words that say what the rule does."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.policy import clauses, lint
from interlock.policy._explain import words
from interlock.policy._explain.missing import _in_plain_words
from interlock.policy.explain import explain, to_json
from interlock.policy.model import AtLeast, Ref
from policy.test_design_example import changed
from policy.test_language import BASE, ROWS, data_of, merged, plain


def told(path):
    return explain(*clauses.read(path))


@pytest.fixture(scope="session")
def design(tmp_path_factory):
    """The policy of the design, with what the language asks for."""
    path = tmp_path_factory.mktemp("design") / "design.yaml"
    path.write_text(changed(), encoding="utf-8")
    return path


@pytest.fixture(params=["lab", "full", "design"])
def file(request, folder):
    return request.getfixturevalue("design") if request.param == "design" else folder / f"{request.param}.yaml"


@pytest.fixture
def said(folder):
    """The sentences about a policy of this folder, changed: (old text, new text)... Old texts are there once."""

    def of(name, *changes):
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = folder / f"changed-{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return told(path)

    return of


def about(explanation, path):
    """The texts of the sentences about a clause, or about a part of it."""
    return [
        it.text
        for it in explanation.sentences()
        if any(place.path == path or place.path.startswith(f"{path}.") for place in it.places)
    ]


def texts(explanation, section=None):
    return [
        it.text
        for part in explanation.sections
        if section in {None, part.id}
        for block in part.blocks
        for it in block.sentences
    ]


# -- everything is told ------------------------------------------------------------------------------------------------


def gating(policy):
    """Every clause by which something is decided, or a duty starts, and the name by which it is told."""
    for section in ("thresholds", "requirements", "exceptions", "duties", "assumptions"):
        yield from ((f"{section}.{name}", name) for name in getattr(policy, section) if name != "never")
    for action, row in policy.gates.items():
        yield from ((f"gates.{action}.{name}", name) for name in row)
        yield from ((f"gates.{action}.{name}", one) for name, cell in row.items() for one in cell.requires)
        yield from ((f"gates.{action}.{name}", one) for name, cell in row.items() for _, one in cell.weaker)
    yield from ((f"not_governed.{action}", action) for action in policy.not_governed)
    for name, answers in policy.on_hold.items():
        yield from ((f"on_hold.{name}.{place}", name) for place in range(len(answers)))


def test_every_clause_that_counts_is_told_by_its_name(file):
    policy, where = clauses.read(file)
    explanation = explain(policy, where)
    untold = [
        path
        for path, name in gating(policy)
        if not any(
            f"`{name}`" in text or (name == "never" and "says never" in text) for text in about(explanation, path)
        )
    ]
    assert untold == []


def test_every_sentence_names_a_clause_and_its_line(file):
    policy, where = clauses.read(file)
    for sentence in explain(policy, where).sentences():
        assert sentence.places, sentence
        assert all(place.line == where.line(place.path) for place in sentence.places)


def test_what_policy_check_finds_is_missing_or_told_in_its_own_section(file):
    policy, where = clauses.read(file)
    explanation = explain(policy, where)
    for finding in lint.lint(policy):
        assert any(finding.path in {place.path for place in it.places} for it in explanation.sentences()), finding


def test_the_text_is_the_same_each_time_and_json_can_hold_it(file):
    once, again = (json.dumps(to_json(told(file))) for _ in range(2))
    assert once == again


def test_the_sections_stand_in_the_order_in_which_a_board_asks(file):
    assert [section.id for section in told(file).sections] == [
        *("what", "short", "stops", "lift", "holes", "judgement", "ways", "again", "told", "change", "missing")
    ]


# -- plain English -----------------------------------------------------------------------------------------------------

BAD = {
    "two spaces": r"  ",
    "two full stops": r"\.\.",
    "a space before a mark": r" [.,;:]",
    "marks in a row": r"[,;:][,;:.]",
    "a name of Python's": r"\bNone\b(?! of)|\bFraction\b|<class",
    "jargon": r"\bU\b|\bL\b|\balpha\b|rule_out|not_governed|reached_when",
}


def flaws(text):
    found = [name for name, pattern in BAD.items() if re.search(pattern, text)]
    found += [] if text.endswith(".") else ["no full stop"]
    found += [] if text[0].isupper() or text[0].isdigit() or text[0] == "`" else ["no capital letter"]
    return found + (["odd backticks"] if text.count("`") % 2 else [])


def test_the_sentences_are_whole(file):
    assert {text: flaws(text) for text in texts(told(file)) if flaws(text)} == {}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: f"{row.number} {row.title}")
def test_each_feature_of_published_frameworks_can_be_told(row, tmp_path):
    for name, data in (("base", BASE), ("row", data_of(row))):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(data), encoding="utf-8")
    base, changed = (texts(told(tmp_path / f"{name}.yaml")) for name in ("base", "row"))
    assert {text: flaws(text) for text in changed if flaws(text)} == {}
    assert changed != base


def test_that_not_ruled_out_counts_as_reached_is_said_once(file):
    assert sum("Not ruled out counts as reached" in text for text in texts(told(file))) == 1


def test_nothing_is_called_safe(folder):
    assert [text for text in texts(told(folder / "full.yaml")) if re.search(r"\bsafe\b", text)] == []
    assert [it.id for it in lint.CHECKS if re.search(r"\bsafe\b", _in_plain_words(it.reason))] == []


# -- what is said of what ----------------------------------------------------------------------------------------------

#: What it is about -> the policy, the clause, and the whole sentence.
SENTENCES = {
    "a level": (
        "full",
        "thresholds.cyber-high",
        "`cyber-high` counts as reached when `replication` is at least 0.5, on a scale from 0 to 1.",
    ),
    "a level from which less is more dangerous": (
        "full",
        "thresholds.lying",
        "`lying` counts as reached when `honesty` is at most -0.5, on a scale from -1 to 1.",
    ),
    "ruling out a level": (
        "full",
        "thresholds.cyber-alert",
        (
            "It is ruled out only if the upper end of the estimate of `replication` stays under 0.28 (the level "
            "0.4 less a margin of 0.12)."
        ),
    ),
    "ruling out where less is more dangerous": (
        "full",
        "thresholds.lying",
        (
            "It is ruled out only if the lower end of the estimate of `honesty` stays over -0.4 (the level -0.5 "
            "plus a margin of 0.1)."
        ),
    ),
    "a mean": (
        "full",
        "thresholds.cyber-medium",
        (
            "`cyber-medium` counts as reached when the mean of `ctf-web` and `ctf-binary` (`ctf-mean`) is at "
            "least 30, on a scale from 0 to 100."
        ),
    ),
    "compute": (
        "full",
        "thresholds.precursor",
        "It is ruled out only if its training compute is certainly less than 1e26 FLOP.",
    ),
    "a ratio": (
        "full",
        "thresholds.grown",
        ("`grown` counts as reached when its effective compute (`growth`) is at least 4 times that of `base-model`."),
    ),
    "all of, and any of": (
        "full",
        "thresholds.combined",
        (
            "`combined` counts as reached when `precursor` is reached and (`cyber-high` is reached or `bio-high` "
            "is reached)."
        ),
    ),
    "ruling out all of": (
        "full",
        "thresholds.combined",
        (
            "It is ruled out only if `precursor` is ruled out or (`cyber-high` is ruled out and `bio-high` is "
            "ruled out)."
        ),
    ),
    "at least": (
        "full",
        "thresholds.two-of-three",
        (
            "`two-of-three` counts as reached when at least 2 of these 3 are so: `replication` is at least 0.5; "
            "`ctf-web` is at least 50; `ctf-binary` is at least 50."
        ),
    ),
    "any rung": (
        "full",
        "thresholds.any-high",
        "It is ruled out only if `bio-high` is ruled out and `cyber-high` is ruled out.",
    ),
    "a higher level": (
        "full",
        "thresholds.cyber-high",
        "It counts as reached, too, when `cyber-high`, a higher level, is.",
    ),
    "other ways to rule out": (
        "full",
        "thresholds.cyber-high",
        "Without that, it counts as ruled out if its effective compute is certainly less than 1e22 FLOP.",
    ),
    "how hard an evaluation tries": (
        "lab",
        "thresholds.codebook-use",
        (
            "The evaluation must try in both of these ways: with worked examples in the prompt (`few-shot`); "
            "after training the model on worked examples of the task (`fine-tuned`; at least 16 examples)."
        ),
    ),
    "confidence": (
        "lab",
        "thresholds.codebook-use",
        (
            "Estimates are taken at 95 % confidence, so that a model at the line passes by luck at most 5 % of "
            "the time; every result ever reported must stay clear of the line."
        ),
    ),
    "the same evaluation": (
        "lab",
        "thresholds.takeover",
        "It is evaluated in every way as `codebook-use` is.",
    ),
    "a judgement": (
        "full",
        "thresholds.bio-4",
        (
            "It is ruled out only if `board` (2 of its 2 members together) judges that the model is below it. The"
            " judgement rests on a complete result on `bio-study`, `capability-report` (the capability report; "
            "attested by `evaluation-team`), a complete result on `ctf-web` and a complete result on "
            "`ctf-binary`; it ends with the oldest of these and with any later result on them, and stands for 6 "
            "months at most."
        ),
    ),
    "a threshold that is a hole": (
        "full",
        "thresholds.bio-5",
        (
            "Nobody has said yet when `bio-5` is reached: it is a hole, so no evidence rules it out, and only an "
            "amendment fills it."
        ),
    ),
    "its gate": (
        "full",
        "gates.deploy-internal.bio-5",
        (
            "It is stopped for every model (`bio-5` cannot be ruled out); nothing opens it until the policy is "
            "amended (threshold `bio-5` is a hole)."
        ),
    ),
    "a gate": (
        "lab",
        "gates.scale.codebook-use",
        (
            "It is stopped while `codebook-use` is not ruled out, unless `external-auditor` attests `security-3` "
            "(weight security level 3 audit)."
        ),
    ),
    "a gate with a hole": (
        "lab",
        "gates.scale.takeover",
        (
            "It is stopped while `takeover` is not ruled out; nothing opens it until the policy is amended "
            "(`understanding` is a hole)."
        ),
    ),
    "a gate that is never opened": (
        "lab",
        "gates.release-weights.codebook-use-open",
        (
            "It is stopped while `codebook-use-open` is not ruled out; nothing opens it until the policy is "
            "amended (the policy says never)."
        ),
    ),
    "never": (
        "lab",
        "gates.release-weights.codebook-use-open",
        "`never`: nothing is accepted; only ruling the threshold out opens the gate.",
    ),
    "what is intended": (
        "full",
        "gates.deploy-internal.cyber-high",
        (
            "At use inside the developer (`deploy-internal`), this is intended only, and stops nothing: `board` "
            "approves `go-ahead` (the board accepts the residual risk)."
        ),
    ),
    "what is recommended": (
        "full",
        "gates.deploy-internal.cyber-high",
        (
            "At use inside the developer (`deploy-internal`), this is recommended only, and stops nothing: the "
            "upper end of the estimate of `jailbreaks` stays under 0.01 (`misuse-3`)."
        ),
    ),
    "what is left open": (
        "full",
        "not_governed.deploy-api",
        "It is not governed: this policy stops nothing here.",
    ),
    "a hole": (
        "lab",
        "requirements.understanding",
        (
            "`understanding` is a hole, empty on purpose: what would show that a takeover-capable model is safe "
            "is not known yet. It is never met; only an amendment fills it."
        ),
    ),
    "an attestation": (
        "lab",
        "requirements.security-3",
        (
            "`security-3` is met once `external-auditor` attests: weight security level 3 audit. The word is "
            "about the developer as a whole, and stands for 12 months."
        ),
    ),
    "an approval": (
        "full",
        "requirements.go-ahead",
        (
            "`go-ahead` is met once `board` (2 of its 2 members together) approves, with the findings before its "
            "eyes: the board accepts the residual risk. The word is about the one model as it is offered, and "
            "stands for 3 months."
        ),
    ),
    "a measured requirement": (
        "full",
        "requirements.misuse-4",
        (
            "`misuse-4` is met once the lower end of the estimate of `refusals` stays over 0.995 (the level 0.99 "
            "plus a margin of 0.005)."
        ),
    ),
    "a definition that is not there": (
        "full",
        "requirements.next-defined",
        ("`next-defined` is met if the policy says when `bio-5` is reached; it does not: only an amendment can."),
    ),
    "any of some requirements": (
        "full",
        "requirements.either",
        "`either` is met once `security-3` or `security-interim` is met.",
    ),
    "some of some requirements": (
        "full",
        "requirements.most",
        "`most` is met once at least 2 of `security-3`, `misuse-4` and `misuse-5` are met.",
    ),
    "an exception with an end": (
        "full",
        "exceptions.interim-security",
        (
            "`interim-security`: as an interim measure, `security-interim` may stand in for `security-3` for 6 "
            "months at a time, and never after 31 December 2027, 12:00:00 UTC."
        ),
    ),
    "an exception without one": (
        "full",
        "exceptions.emergency",
        (
            "`emergency`: as an emergency, `go-ahead` may stand in for `security-3` for 7 days at a time, as "
            "often as it is opened again; it names no last day."
        ),
    ),
    "an answer to a hold": (
        "full",
        "on_hold.cyber-high.2",
        "While `cyber-high` holds a gate because it is reached, the weights are locked away.",
    ),
    "who is told by when": (
        "full",
        "on_hold.security-3.0",
        "While `security-3` is not met and a gate holds for it, `board` is told within 2 business days.",
    ),
    "a duty": (
        "full",
        "duties.quarterly",
        (
            "`quarterly`: from the day on which the policy takes effect, `safety-officer` has this to do: report "
            "to the board, within 3 months, at the earliest after 2 months, again every 3 months."
        ),
    ),
    "a role without keys": (
        "full",
        "roles.ltbt",
        "`ltbt` has no keys yet, so whatever it must sign stays on hold.",
    ),
}


@pytest.mark.parametrize("what", SENTENCES)
def test_the_sentence_about(what, folder):
    name, path, sentence = SENTENCES[what]
    if what == "a higher level":
        path = "thresholds.cyber-high.above"
    assert sentence in about(told(folder / f"{name}.yaml"), path)


REFRESH = "refresh: {effective_compute: 4x, period: 3 months}"
AGAIN = "A threshold is evaluated again"
GROWN = "when effective compute has reached 4 times what it was"
NO_END = "It names no growth in compute and no period after which anything is evaluated again."


@pytest.mark.parametrize(
    ("multiple", "period", "expected"),
    [
        ("4x", "3 months", f"{AGAIN} {GROWN} or after 3 months, whichever comes first."),
        ("1000000x", "3 months", f"{AGAIN} after 3 months; it names no growth in compute."),
        ("4x", "1200 months", f"{AGAIN} {GROWN}; it names no period."),
        ("1000000x", "100 years", NO_END),
    ],
)
def test_a_refresh_that_names_nothing_says_so(said, multiple, period, expected):
    explanation = said("lab", (REFRESH, f"refresh: {{effective_compute: {multiple}, period: {period}}}"))
    assert expected in texts(explanation, "short")
    assert not any("1000000" in text or "1200" in text for text in texts(explanation))


def test_what_only_asks_for_a_report_is_not_told_as_a_stop(said):
    explanation = said("full", ("deploy-api: section 3.1", "deploy-api: 'report only: secondary: section 3.1"), (
        "leaves it to the deployment policy", "leaves it to the deployment policy'"))  # fmt: skip
    [sentence] = [it for it in explanation.sentences() if "it asks only for a report or a disclosure" in it.text]
    assert [(it.standing, it.text) for it in sentence.sources] == [
        ("secondary", "section 3.1 leaves it to the deployment policy")
    ]


def test_what_a_policy_rests_on_is_counted(said):
    explanation = said(
        "lab",
        ('sources: ["section 4.1"]', 'sources: ["section 4.1", "added: the confidence"]'),
        ('sources: ["section 4.2"]', 'sources: ["secondary: a report"]'),
    )
    rests = texts(explanation, "what")[-4:]
    assert rests[0] == "3 clauses name their source; 1 of them rests wholly on the primary text, which was read."
    assert rests[1] == "1 rests in part or whole on what others say of the text."
    assert rests[2].startswith("1 rests in part or whole on what Interlock added")
    assert rests[3] == "8 clauses name no source."


def test_a_policy_that_became_weaker_reads_weaker(said, folder):
    """Side by side, the short of it shows what was lost."""
    strong = texts(told(folder / "lab.yaml"), "short")
    weak = texts(
        said(
            "lab",
            ("  scale:           {codebook-use: [security-3], takeover: [security-3, understanding]}\n", ""),
            ("gates:  ", "not_governed: {scale: nobody asked}\ngates:  "),
            (", notice: 30 days, frozen_while: reached", ""),
            (
                "deploy-internal: {codebook-use: [security-3]",
                "deploy-internal: {codebook-use: {recommends: [security-3]}",
            ),
        ),
        "short",
    )
    lost = [text for text in weak if text not in strong]
    assert "It stops nothing at training further (`scale`)." in lost
    assert any(text.startswith("It can be loosened while a threshold is reached; a change can take") for text in lost)
    assert any("1 promise is only intended or recommended" in text for text in lost)
    assert "It is not governed: this policy stops nothing here." in lost


def test_what_nobody_asks_for_is_missing(said):
    explanation = said(
        "lab",
        ("      elicitation: [few-shot, fine-tuned]\n", "      elicitation: [few-shot]\n"),
        ("      demonstrations: 16                  # a fine-tuned", "      # a fine-tuned"),
        ("{like: codebook-use, elicitation: [few-shot, fine-tuned, rl-fine-tuned]}", "{like: codebook-use}"),
        ("effective_compute: 6x, margin: 0.05, source", "none"),
        (", independent_of: [evaluation-team, gatekeeper, board]", ""),
    )
    missing = " ".join(texts(explanation, "missing"))
    assert "`codebook-use` is ruled out by `few-shot` alone, which a model can fail on purpose." in missing
    assert "No room is kept under `codebook-use`, `takeover`, `codebook-use-open`." in missing
    assert "No role that is independent of `evaluation-team`" in missing
    assert "add `fine-tuned`" not in missing


def test_where_every_clause_names_its_source_none_is_said_to_name_none(tmp_path):
    read = {"sources": ["section 1"]}
    change = {
        "thresholds": {"autonomy": read, "cyber": read},
        "requirements": {"security": read},
        "refresh": read,
        "amendments": read,
    }
    path = tmp_path / "sourced.yaml"
    path.write_text(json.dumps(merged(BASE, change)), encoding="utf-8")
    assert texts(told(path), "what")[-1] == (
        "5 clauses name their source; 5 of them rest wholly on the primary text, which was read."
    )


def test_somebody_who_must_sign_and_cannot_is_told_of_at_once(said):
    explanation = said("full", ("approved_by: [board], consulted", "approved_by: [board, ltbt], consulted"))
    assert texts(explanation, "change")[0] == (
        "A change needs the approval of `board` (2 of its 2 members together) and `ltbt` (nobody holds its keys yet)."
    )


#: Merged into the small policy of the language tests: everything rests on judgement, and much of it does not bind.
JUDGED = """
interlock: policy/v1
refresh: {effective_compute: 1000000x, period: 1200 months}
thresholds:
  autonomy: {judged_by: board, on: [elicitation, buffer], rule_out: {coverage: 0.9}}
  cyber: {judged_by: board, on: [elicitation]}
  either: {reached_when: {any_of: [autonomy, cyber]}, rule_out: {confidence: 0.99}}
requirements:
  elicitation: {attested: it was tried hard, by: external-auditor, about: subject, fresh_for: 6 months}
  buffer: {attested: there is room, by: external-auditor, about: subject, fresh_for: 6 months}
gates:
  scale: {autonomy: [security], cyber: [security], either: [security]}
  release-weights: {autonomy: [security], cyber: [security]}
duties: {tell: {do: tell the public, by: board, starts: {effective: true}, within: 1 week, modality: intends}}
on_hold: {scale: [{do: reassess, modality: recommends}]}
amendments: {approved_by: [board], notice: 1 second}
"""


@pytest.fixture(scope="session")
def judged(tmp_path_factory):
    """What is said of it."""
    change = plain(JUDGED)
    data = {**BASE, **{key: {**BASE.get(key, {}), **it} if key != "interlock" else it for key, it in change.items()}}
    path = tmp_path_factory.mktemp("judged") / "judged.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    return told(path)


def test_a_policy_of_judgements_shows_what_nobody_can_check(judged):
    glance = texts(judged, "short")
    assert any(text.startswith("No threshold is ruled out by a measurement, so none demands") for text in glance)
    assert "Room under a line is no number; it is attested: `buffer`." in glance
    assert "It has 9 stops, each with a way out that the policy names." in glance
    assert NO_END in glance
    missing = texts(judged, "missing")
    assert "No threshold has a number: when one is reached is for somebody to judge." in missing
    instead = "what it says of that is attested, not measured"
    assert f"No threshold demands that a model be trained for the test; {instead}: `elicitation`." in missing
    assert f"No threshold keeps room under its line in numbers; {instead}: `buffer`." in missing
    assert "Nobody from outside has a part in it." in missing
    assert "It names no growth in compute and no period after which a threshold is evaluated again." in missing


def test_what_a_judgement_or_a_combination_uses_of_its_rule_is_told(judged):
    assert "A result that the judgement rests on must have at least 90 % of its planned samples scored." in about(
        judged, "thresholds.autonomy"
    )
    assert "Its parts are ruled out at 99 % confidence together." in about(judged, "thresholds.either")
    assert "The policy names no time and no growth after which it must be evaluated again." in about(
        judged, "thresholds.autonomy"
    ) + about(judged, "refresh")


def test_every_promise_that_does_not_bind_is_listed(judged):
    assert texts(judged, "judgement")[-3:] == [
        "2 promises are intended only or recommended only; they stop nothing.",
        "The duty `tell`: tell the public.",
        "An answer to a hold of `scale`.",
    ]
    assert any("(intended only)" in text for text in about(judged, "duties.tell"))
    assert any("(recommended only)" in text for text in about(judged, "on_hold.scale.0"))
    assert "It is published before it takes effect; it names no time between." in texts(judged, "change")


# -- expressions -------------------------------------------------------------------------------------------------------

leaves = st.sampled_from("abcd").map(Ref)


def combined(parts):
    return st.lists(parts, min_size=1, max_size=3).flatmap(
        lambda found: st.integers(1, len(found)).map(lambda count: AtLeast(count, tuple(found)))
    )


def holds(expr, true):
    if isinstance(expr, Ref):
        return expr.threshold in true
    return sum(holds(part, true) for part in expr.parts) >= expr.count


@given(st.recursive(leaves, combined, max_leaves=8), st.sets(st.sampled_from("abcd")))
def test_what_must_be_ruled_out_is_what_makes_it_not_reached(expr, true):
    assert holds(words._opposite(expr), set("abcd") - true) == (not holds(expr, true))


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        (AtLeast(1, (Ref("a"), AtLeast(1, (Ref("b"), Ref("c"))))), "a, b or c"),
        (AtLeast(2, (Ref("a"), AtLeast(2, (Ref("b"), Ref("c"))))), "a, b and c"),
        (AtLeast(2, (Ref("a"), AtLeast(1, (Ref("b"), Ref("c"))))), "a and (b or c)"),
        (AtLeast(1, (AtLeast(1, (Ref("a"),)),)), "a"),
        (
            AtLeast(2, (Ref("a"), Ref("b"), AtLeast(2, (Ref("c"), Ref("d"))))),
            "at least 2 of these 3 are so: a; b; (c and d)",
        ),
    ],
)  # fmt: skip
def test_parts_of_parts_are_joined_where_that_changes_nothing(expr, said):
    assert words._told(expr, lambda leaf: leaf.threshold) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Fraction(10) ** 25, "1e25"),
        (Fraction(5, 2) * 10**25, "2.5e25"),
        (Fraction(1, 3), "1/3"),
        (Fraction(100), "100"),
        (Fraction(0), "0"),
        (Fraction(-1, 2), "-0.5"),
    ],
)
def test_a_number_is_written_as_people_do(value, said):
    assert words.number(value) == said
