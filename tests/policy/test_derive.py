"""A developer's own policy from one that ships: what the answers say, what the cases keep, what is refused."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime

import pytest

from interlock.errors import UsageError
from interlock.policy import cases, shipped
from interlock.policy.derive import NO_RELEASE, Answers, derive, slug
from interlock.policy.draft import draft

#: One of each sort; tests/cli/test_init.py goes through all.
SOME = (*shipped.templates(), "anthropic-rsp-3.4", "deepmind-fsf-1.0", "us-il-sb-315", "us-ny-raise")
ANSWERS = Answers("Acme", datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
SEALED = Answers("Acme", ANSWERS.effective, ANSWERS.review, weights=False)


def written(source, answers, folder):
    """The policy that is derived, on disk, and how its cases come out."""
    made = derive(source, answers)
    for name, data in made.beside.items():
        (folder / name).write_bytes(data)
    (folder / "policy.yaml").write_text(made.policy)
    (folder / "policy.cases.yaml").write_text(made.cases)
    policy = draft(folder / "policy.yaml")
    told = cases.load(folder / "policy.cases.yaml", policy)
    return policy, [cases.run(case, [cases.version(policy)]) for case in told]


@pytest.mark.parametrize("answers", [ANSWERS, SEALED], ids=["as it is", "weights never leave"])
@pytest.mark.parametrize("name", SOME)
def test_law_what_is_derived_says_whose_it_is_and_its_cases_pass(name, answers, tmp_path):
    policy, outcomes = written(shipped.resolve(name), answers, tmp_path)
    assert policy.id.startswith("acme/")
    assert policy.effective == ANSWERS.effective
    assert all(outcome.passed for outcome in outcomes)
    assert (NO_RELEASE in policy.thresholds) or answers.weights


RELEASES = ("release-weights", "beta", "beta-eu")
#: An action that refines the release of weights, and one that refines that; each gated by less than `never`.
REFINED = {
    "\ngates:": "\nactions: {beta: {refines: release-weights}, beta-eu: {refines: beta}}\n\ngates:",
    "\n  scale: ": "\n  beta:            {misuse: [security]}\n  beta-eu:         {misuse: [security]}\n  scale: ",
}
#: What else a policy may have called `no-release`: nothing that holds every release for good.
NAMESAKES = {
    "a line of its own": "no-release: {reached_when: misuse-tasks >= 0.9, rule_out: {like: misuse}, role: watch}",
    "a hole at no gate": "no-release: {judged_by: directors, on: unspecified, role: watch}",
}


def refining(tmp_path, *lines):
    """A small lab's policy with actions that refine the release of weights, and thresholds in `lines`."""
    source, text = tmp_path / "of.yaml", shipped.resolve("small-lab").read_text()
    for old, new in {
        **REFINED,
        "\nthresholds:\n": "".join(["\nthresholds:\n", *(f"  {it}\n" for it in lines)]),
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    source.write_text(text)
    source.with_name("of.cases.yaml").write_text(WAYS["a list"])
    return source


def test_weights_that_never_leave_do_not_leave_by_an_action_that_refines_at_two_removes(tmp_path):
    policy, _ = written(refining(tmp_path), SEALED, tmp_path)
    assert [policy.gates[action][NO_RELEASE].requires for action in RELEASES] == [("never",)] * 3


@pytest.mark.parametrize("namesake", NAMESAKES)
def test_weights_never_leave_whatever_else_a_threshold_is_called(namesake, tmp_path):
    policy, _ = written(refining(tmp_path, NAMESAKES[namesake]), SEALED, tmp_path)
    assert policy.thresholds["no-release-2"].hole
    assert [policy.gates[action]["no-release-2"].requires for action in RELEASES] == [("never",)] * 3


def test_what_is_sealed_already_is_not_sealed_again(tmp_path):
    first, _ = written(refining(tmp_path), SEALED, tmp_path)
    second = derive(tmp_path / "policy.yaml", SEALED)
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "policy.yaml").write_text(second.policy)
    assert draft(tmp_path / "again" / "policy.yaml").thresholds == first.thresholds


#: The same cases, whichever way the file is written.
TOLD = "at: 2026-06-01T00:00:00Z, subjects: {m: {effective_compute: 2e24}}, expect: {scale: hold}"
WAYS = {
    "a list": f"- {{name: one, {TOLD}}}\n- {{name: two, since: 2026-01-01T00:00:00Z, {TOLD}}}\n",
    "cases": f"cases:\n  - {{name: one, {TOLD}}}\n",
    "defaults that say since when": f"defaults: {{since: 2026-01-01T00:00:00Z}}\ncases:\n  - {{name: one, {TOLD}}}\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_cases_keep_the_time_since_which_they_are_told(way, tmp_path):
    source = tmp_path / "of.yaml"
    shutil.copy(shipped.resolve("small-lab"), source)
    source.with_name("of.cases.yaml").write_text(WAYS[way])
    (tmp_path / "made").mkdir()
    before = cases.load(source.with_name("of.cases.yaml"), draft(source))
    policy, outcomes = written(source, ANSWERS, tmp_path / "made")
    assert [outcome.passed for outcome in outcomes] == [True] * len(before)
    since = re.findall(r"since: (\S+?)[,}\n]", derive(source, ANSWERS).cases)
    first = f"{draft(source).effective:%Y-%m-%d}"
    assert [it[:10] for it in since] == {
        "a list": [first, "2026-01-01"],
        "cases": [first],
        "defaults that say since when": ["2026-01-01"],
    }[way]
    assert policy.effective == ANSWERS.effective


def test_a_policy_that_has_expired_by_then_is_refused():
    late = Answers("Acme", datetime(2028, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="a time before 2028-01-01, when the policy expires, got 2028-01-01"):
        derive(shipped.resolve("us-il-sb-315"), late)


def test_a_role_that_approves_is_one_of_the_policy():
    answers = Answers("Acme", ANSWERS.effective, ANSWERS.review, approved_by=("directors",))
    assert "approved_by: [directors]" in derive(shipped.resolve("small-lab"), answers).policy
    with pytest.raises(UsageError, match="no role `bord` to approve amendments; it has: evaluation-team"):
        derive(shipped.resolve("small-lab"), Answers("Acme", ANSWERS.effective, ANSWERS.review, ("bord",)))


def test_a_review_comes_after_the_beginning():
    with pytest.raises(UsageError, match="expected a review after 2027-01-01"):
        derive(shipped.resolve("small-lab"), Answers("Acme", ANSWERS.effective, ANSWERS.effective))


@pytest.mark.parametrize("name", ["智谱", "a\nb", "", "\x00"])
def test_a_name_that_gives_no_id_is_refused(name):
    with pytest.raises(UsageError):
        slug(name)
