"""`init --from` and `init --from-pause`: what they leave loads, its cases pass, its holes and stops are seen."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from difflib import unified_diff
from functools import cache
from types import MappingProxyType

import pytest

import lab
from interlock import cli
from interlock.cli import starting
from interlock.errors import InterlockError
from interlock.policy import cases, shipped
from interlock.policy.clauses import standing
from interlock.policy.derive import NO_RELEASE, releases
from interlock.policy.draft import draft
from interlock.policy.lint import lint
from interlock.policy.model import Attested, Hole

EVERY = (*shipped.names(), *shipped.templates())
REVIEW = datetime(2028, 2, 29, tzinfo=UTC)
PAUSE = "no training above 1e26 FLOP for six months"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("INTERLOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")


def init(capsys, *arguments):
    capsys.readouterr()
    code = cli.run(["init", *map(str, arguments)])
    return lab.Said(code, *capsys.readouterr())


def outcomes(folder):
    policy = draft(folder / "policy.yaml")
    return [cases.run(case, [cases.version(policy)]) for case in cases.load(folder / "policy.cases.yaml", policy)]


# -- templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped.templates())
def test_a_template_is_clean_and_its_cases_exercise_every_cell(name):
    path = shipped.path(name)
    policy = draft(path)
    ran = [cases.run(it, [cases.version(policy)]) for it in cases.load(path.with_name(f"{name}.cases.yaml"), policy)]
    assert [it.failures for it in ran if not it.passed] == []
    assert cases.coverage(policy, ran) == cases.Coverage((), (), (), (), (), ())
    assert [it for it in lint(policy, at=policy.effective) if it.level != "note"] == []


@pytest.mark.parametrize("name", shipped.templates())
def test_what_is_made_up_in_a_template_says_so(name):
    policy = draft(shipped.path(name))
    for it in policy.thresholds.values():
        assert it.sources
        assert all(standing(source)[0] == "added" for source in it.sources)
        assert it.rule_out is None or standing(it.rule_out.buffer.source)[0] == "added" or it.judged
    assert policy.refresh.sources == ("added: illustrative, replace",)


# -- from a policy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_what_is_started_from_a_policy_says_what_that_one_says_comments_and_layout_included(name, tmp_path, capsys):
    was, listed = original(name)
    folder = tmp_path / "mine"
    said = init(
        capsys, "--from", name, folder, "--developer", "Acme AI", "--effective", "2027-11-30", "--review", "2028-02-29"
    )
    assert (said.code, said.err) == (0, "")
    policy = draft(folder / "policy.yaml")
    holes = {name: replace(it, review=REVIEW) if isinstance(it, Hole) else it for name, it in was.requirements.items()}
    assert policy == replace(
        was,
        id=f"acme-ai/{was.id.split('/')[-1]}",
        version="1.0.0",
        title=policy.title,
        effective=datetime(2027, 11, 30, tzinfo=UTC),
        supersedes="",
        imposed_by="Acme AI" if was.imposed_by else "",
        requirements=MappingProxyType(holes),
    )
    assert policy.title.startswith("Acme AI ")
    assert [it.failures for it in outcomes(folder) if not it.passed] == []
    assert found(policy) == listed
    for hole in [it for it, made in holes.items() if isinstance(made, Hole)]:
        assert f"\n  {hole}" in said.out
        assert "review by 2028-02-29" in " ".join(said.out.split())
    require_layout(name, folder)


def require_layout(name, folder):
    """That every line which is not told anew is there as it was."""
    heads = ("id:", "version:", "title:", "effective:", "supersedes:", "imposed_by:")
    for file, source in {"policy.yaml": f"{name}.yaml", "policy.cases.yaml": f"{name}.cases.yaml"}.items():
        was, now = (
            it.read_text(encoding="utf-8").splitlines() for it in (shipped.path(name).with_name(source), folder / file)
        )
        gone = [line for line in unified_diff(was, now, n=0) if line.startswith("-") and not line.startswith("---")]
        assert all(line[1:].startswith(heads) or "review:" in line or "because:" in line for line in gone), gone


@cache
def original(name):
    """A policy that ships, and what `policy check` finds in it."""
    policy = draft(shipped.path(name))
    return policy, found(policy)


def found(policy):
    """What `policy check` finds that no date decides."""
    return {(it.check, it.path) for it in lint(policy) if it.level != "note"}


@pytest.mark.parametrize("name", EVERY)
def test_weights_that_are_never_released_are_held_for_every_model(name, tmp_path, capsys):
    said = init(capsys, "--from", name, tmp_path, "--developer", "Acme AI", "--no-release-weights")
    assert (said.code, said.err) == (0, "")
    policy, (was, listed) = draft(tmp_path / "policy.yaml"), original(name)
    ran = outcomes(tmp_path)
    for action in releases(was):
        assert policy.gates[action][NO_RELEASE].requires == ("never",)
        assert action not in policy.not_governed
        assert set(policy.gates[action]) == {NO_RELEASE, *was.gates.get(action, {})}
        assert {it.decisions[action].verdict for it in ran} == {"hold"}
    assert found(policy) <= listed
    assert f"  {NO_RELEASE}" in said.out


def test_a_derived_policy_says_that_it_is_no_longer_that_text(tmp_path, capsys):
    init(capsys, "--from", "example-lab", tmp_path / "a", "--developer", "Acme AI")
    head = " ".join((tmp_path / "a" / "policy.yaml").read_text().splitlines()[:2])
    assert "Derived from `example-lab`" in head
    assert "no longer that text" in head
    init(capsys, "--from", "small-lab", tmp_path / "b", "--developer", "Acme AI")
    assert (tmp_path / "b" / "policy.yaml").read_text().startswith("# Started from the template `small-lab`.")


def test_who_approves_amendments(tmp_path, capsys):
    asked = ("--from", "frontier-lab", "--developer", "Acme AI")
    init(capsys, *asked, tmp_path, "--approved-by", "board", "--approved-by", "external-auditor")
    assert draft(tmp_path / "policy.yaml").amendments.approved_by == ("board", "external-auditor")


def test_the_printed_text_shows_lines_gates_holes_stops_and_missing_keys(tmp_path, capsys):
    said = init(capsys, "--from", "frontier-lab", tmp_path, "--developer", "Acme AI")
    titles = [line for line in said.out.splitlines() if line and not line.startswith(" ")]
    assert titles[2:] == [
        "thresholds",
        "gates",
        "holes: empty on purpose, and only an amendment fills them",
        "stops until the policy is amended",
        "roles that need keys",
        "illustrative, to be replaced",
        "next",
    ]
    text = " ".join(said.out.split())
    assert "cyber-high intrusion >= 0.60" in text
    assert (
        "gates.scale.cyber-high only ruling `cyber-high` out opens `scale`: threshold `cyber-critical` is not" in text
    )
    assert "board 2 of 3 must sign: keys/board-1.pub, keys/board-2.pub, keys/board-3.pub" in text


def test_what_it_writes_starts_a_workspace(tmp_path, capsys):
    init(capsys, "--from", "small-lab", tmp_path / "policy", "--developer", "Acme AI")
    policy = tmp_path / "policy" / "policy.yaml"
    assert init(capsys, "--policy", policy, "-w", tmp_path / "lab", "--no-passphrase").code == 0
    assert (tmp_path / "lab" / "keys" / "director-2.pub").is_file()
    assert lab.command(capsys, lab.Workspace.open(tmp_path / "lab"), "ledger", "verify").code == 0


def test_here_is_where_it_writes_without_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert init(capsys, "--from", "small-lab", "--developer", "Acme AI").code == 0
    assert sorted(it.name for it in tmp_path.iterdir()) == ["policy.cases.yaml", "policy.yaml"]


def test_every_option_is_an_environment_variable(tmp_path, capsys, monkeypatch):
    for name, value in {
        "FROM": "frontier-lab", "DEVELOPER": "Öko KI", "EFFECTIVE": "2027-01-01", "APPROVED_BY": "safety-officer",
        "RELEASE_WEIGHTS": "false", "REVIEW": "2027-02-03",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"INTERLOCK_INIT_{name}", value)
    assert init(capsys, tmp_path).code == 0
    policy = draft(tmp_path / "policy.yaml")
    assert (policy.id, policy.effective) == ("oko-ki/rsp", datetime(2027, 1, 1, tzinfo=UTC))
    assert policy.title == "Öko KI responsible scaling policy"
    assert policy.amendments.approved_by == ("safety-officer",)
    assert NO_RELEASE in policy.gates["release-weights"]
    assert policy.requirements["understanding"].review == datetime(2027, 2, 3, tzinfo=UTC)


def test_a_resume_condition_from_the_environment_is_a_line_and_not_a_word(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("INTERLOCK_INIT_RESUME", "an audit finds level 3\nthe board agrees")
    monkeypatch.setenv("INTERLOCK_INIT_FROM_PAUSE", "no training above 1e26 FLOP")
    assert init(capsys, *NAMED, tmp_path).code == 0
    said = draft(tmp_path / "policy.yaml").requirements
    assert [it.what for it in said.values() if isinstance(it, Attested)] == [
        "an audit finds level 3",
        "the board agrees",
    ]


@pytest.mark.parametrize("name", ['Acme: "AI" #1, {Inc.}', "null", "a" * 300, "Acme\\n"])
def test_a_name_is_written_as_it_is(name, tmp_path, capsys):
    assert init(capsys, "--from", "regulator-baseline", tmp_path, "--developer", name).code == 0
    policy = draft(tmp_path / "policy.yaml")
    assert policy.imposed_by == name
    assert policy.title == f"{name} baseline for frontier models"


# -- refused -----------------------------------------------------------------------------------------------------------

NAMED = ["--developer", "Acme AI"]
SMALL = ["--from", "small-lab", *NAMED]
REFUSED = {
    "nothing": ([], "give one of --policy, --from, --from-pause"),
    "two ways": ([*SMALL, "--from-pause", PAUSE], "give one of --policy, --from, --from-pause"),
    "no such policy": (["--from", "small-lb", *NAMED], "did you mean `small-lab`"),
    "nobody to ask": (["--from", "small-lab"], "give it by --developer or INTERLOCK_INIT_DEVELOPER"),
    "nobody to ask about a pause": (["--from-pause", PAUSE], "give it by --developer or INTERLOCK_INIT_DEVELOPER"),
    "a name of nothing": (["--from", "small-lab", "--developer", "  "], "the developer's name: expected a text"),
    "a name without a letter": (["--from", "small-lab", "--developer", "智谱"], "with some of a-z and 0-9"),
    "a name of two lines": (["--from", "small-lab", "--developer", "a\nb"], "with some of a-z and 0-9"),
    "no date": ([*SMALL, "--effective", "tomorrow"], "--effective: expected a time"),
    "a review that is over": (
        [*SMALL, "--effective", "2027-01-01", "--review", "2027-01-01"],
        "a review after 2027-01",
    ),
    "no such role": ([*SMALL, "--approved-by", "bord"], "no role `bord`; it has: evaluation-team, external-auditor"),
    "a resume condition of no pause": ([*SMALL, "--resume", "an audit"], "--resume goes with --from-pause"),
    "a pause with a review": (["--from-pause", PAUSE, *NAMED, "--review", "2027-01-01"], "go with --from"),
    "a pause with weights": (["--from-pause", PAUSE, *NAMED, "--release-weights"], "go with --from"),
    "a pause that nobody understands": (["--from-pause", "no chips", *NAMED], "got `chips`; what is understood:"),
    "a pause that is over": (
        ["--from-pause", "no training above 1e26 until 2026-01-01", *NAMED, "--effective", "2026-02-01"],
        "ends on 2026-01-01, expected a day after 2026-02-01",
    ),
    "an empty condition": (["--from-pause", PAUSE, *NAMED, "--resume", ""], "a resume condition: expected a text"),
    "a policy and a name": (["--policy", lab.POLICY, *NAMED], "with --policy go --workspace and"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_leaves_nothing(what, tmp_path, capsys):
    arguments, match = REFUSED[what]
    folder = tmp_path / "mine"
    said = init(capsys, *arguments, folder)
    assert (said.code, said.out) == (2, "")
    assert match in said.err
    assert all(line.startswith("interlock: ") for line in said.err.splitlines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["policy.yaml", "policy.cases.yaml"])
@pytest.mark.parametrize("way", [SMALL, ["--from-pause", PAUSE, *NAMED]], ids=["policy", "pause"])
def test_nothing_is_overwritten(file, way, tmp_path, capsys):
    (tmp_path / file).write_text("mine")
    said = init(capsys, *way, tmp_path)
    assert said.code == 2
    assert f"`{tmp_path / file}` is there already" in said.err
    assert [(it.name, it.read_text()) for it in tmp_path.iterdir()] == [(file, "mine")]


@pytest.mark.parametrize(
    ("file", "old", "new", "match"),
    [
        ("policy", "misuse-tasks >= 0.40", "misuse >= 0.40", "does not load"),
        ("policy.cases", "expect: {scale: hold, release-weights: hold}", "expect: {scale: permit}", "a case fails"),
    ],
)
def test_a_fault_of_its_own_is_an_internal_error_and_leaves_nothing(tmp_path, file, old, new, match):
    """As if what `derive` makes were wrong."""
    made = starting.derive(
        shipped.path("small-lab"), starting.Answers("Acme", datetime(2027, 1, 1, tzinfo=UTC), REVIEW)
    )
    texts = {"policy": made.policy, "policy.cases": made.cases}
    assert old in texts[file]
    broken = {**texts, file: texts[file].replace(old, new)}
    with pytest.raises(InterlockError, match=match) as error:
        starting._write(tmp_path / "mine", starting.Draft(broken["policy"], broken["policy.cases"], {}))
    assert error.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_leaves_nothing(tmp_path, capsys, monkeypatch):
    real = starting.Path.open

    def full(path, mode="r", *rest, **named):
        if mode == "xb" and path.name == "policy.cases.yaml":
            raise OSError(28, "no space left on device")
        return real(path, mode, *rest, **named)

    monkeypatch.setattr(starting.Path, "open", full)
    said = init(capsys, *SMALL, tmp_path / "mine")
    assert said.code == 1
    assert "no space left on device" in said.err
    assert list(tmp_path.iterdir()) == []


# -- at a terminal -----------------------------------------------------------------------------------------------------


def test_at_a_terminal_it_asks_and_asks_again(tmp_path):
    answers = [
        "智谱",
        "Acme AI",
        "soon",
        "2027-01-01",
        "bored",
        "external-auditor, directors",
        "maybe",
        "no",
        "2027-02-03",
    ]
    code, shown = lab.at_a_terminal("init", "--from", "small-lab", tmp_path, answers=answers)
    assert code == 0, shown
    asked = [
        "name of the developer: ",
        "in force from (date) [",
        "who approves amendments (evaluation-team, ",
        "[directors]: ",
    ]
    for question in [
        *asked,
        "may weights ever be released (yes, no) [yes]: ",
        "holes are reviewed by (date) [2027-07-01]: ",
    ]:
        assert question in shown
    for refusal in ["with some of a-z and 0-9", "got `soon`", "no role `bored`", "expected `yes` or `no`, got `maybe`"]:
        assert refusal in shown
    policy = draft(tmp_path / "policy.yaml")
    assert (policy.id, f"{policy.effective:%Y-%m-%d}") == ("acme-ai/rsp", "2027-01-01")
    assert policy.amendments.approved_by == ("external-auditor", "directors")
    assert NO_RELEASE in policy.thresholds
    assert f"{policy.requirements['understanding'].review:%Y-%m-%d}" == "2027-02-03"


def test_at_a_terminal_nothing_is_asked_that_an_option_says(tmp_path):
    given = ["--developer", "Acme", "--effective", "2027-01-01", "--approved-by", "authority", "--release-weights"]
    command = ["init", "--from", "regulator-baseline", tmp_path, *given, "--review", "2027-05-01"]
    code, shown = lab.at_a_terminal(*command, answers=[])
    assert code == 0, shown
    assert shown.startswith("Acme baseline for frontier models (acme/baseline 1.0.0), in force from 2027-01-01\n")


@pytest.mark.parametrize("typed", ["", "an audit finds weight security at level 3"])
def test_at_a_terminal_a_pause_is_asked_for_what_lifts_it(tmp_path, typed):
    code, shown = lab.at_a_terminal("init", "--from-pause", PAUSE, tmp_path, answers=["Acme", "2027-01-01", typed])
    assert code == 0, shown
    assert "what must be shown before it is lifted (nothing: a stop): " in shown
    policy = draft(tmp_path / "policy.yaml")
    assert ("a stop, not a pause" in policy.title) is not bool(typed)
    assert policy.gates["scale"]["above-pause"].requires == (("pause-over", "resume") if typed else ("never",))


# -- from a pause ------------------------------------------------------------------------------------------------------


def test_a_pause_without_a_resume_condition_is_called_a_stop(tmp_path, capsys):
    said = init(capsys, "--from-pause", PAUSE, *NAMED, "--effective", "2026-12-01", tmp_path)
    assert (said.code, said.err) == (0, "")
    text = " ".join(said.out.split())
    assert "This is a stop, not a pause: nothing in it says what would lift it." in text
    assert "The end on 2027-06-01 opens nothing by itself." in text
    assert "stops until the policy is amended gates.scale.above-pause" in text
    policy = draft(tmp_path / "policy.yaml")
    assert "a stop, not a pause" in policy.title
    assert policy.sources == policy.thresholds["above-pause"].sources == (PAUSE,)
    assert set(policy.not_governed) == {"deploy-internal", "deploy-api", "release-weights"}
    assert all(PAUSE in why for why in policy.not_governed.values())
    assert policy.expires is None
    assert policy.duties["pause-ends"].start.on == "effective"


def test_a_pause_with_resume_conditions_is_a_pause(tmp_path, capsys):
    conditions = ["--resume", "an audit finds security level 3", "--resume", "jailbreaks <= 0.05"]
    said = init(capsys, "--from-pause", PAUSE, *NAMED, *conditions, tmp_path)
    assert said.code == 0
    assert "a stop, not a pause" not in said.out
    assert "opens nothing by itself: that it went on until then" in " ".join(said.out.split())
    policy = draft(tmp_path / "policy.yaml")
    assert policy.gates["scale"]["above-pause"].requires == ("pause-over", "resume-1", "resume-2")
    assert policy.requirements["resume-2"].what == "jailbreaks <= 0.05"
    assert policy.roles["external-auditor"].independent_of == ("gatekeeper", "board")
    assert not [it for it in lint(policy) if it.check in {"stop-without-resume", "stop-until-amended"}]
