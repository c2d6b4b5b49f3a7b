"""verify.py, the verifier that stands alone: it verifies what is honest, and refuses attacks, each by its name."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import rfc8785

import story
from interlock.decide.facts import Step
from interlock.errors import EvidenceError, LedgerError, PolicyError
from interlock.evidence import bundle as bundles
from interlock.evidence import canonical, dsse
from interlock.evidence.keys import KeyPair
from interlock.evidence.predicates import PermitPredicate, SnapshotPredicate, Stopped, SubjectPredicate
from interlock.evidence.statement import PAYLOAD_TYPE, Statement
from interlock.ledger import merkle
from interlock.ledger.note import COSIGNATURE, Note, NoteKey, cosign
from interlock.policy import compile as compiled
from interlock.subject.manifest import SERIALIZATION, Manifest
from standalone import FILE, alone

ROOT = Path(__file__).parents[1]

# runs the file as `python verify.py` would, and says at the end what it had imported of the package
WATCHED = (
    "import runpy, sys\n"
    "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    "finally: print([name for name in sys.modules if name.split('.')[0] == 'interlock'], file=sys.stderr)"
)


@pytest.fixture(scope="module")
def honest():
    return story.honest()


def log_key(told):
    return alone.note_key(NoteKey(story.ORIGIN, told.keys["log"].public).vkey, 1)


def verified(told, data=None, *, policy=None, witnesses=None):
    """What verify.py makes of a bundle, after the package was asked, too: they must agree (`standalone.beside`)."""
    data = told.bundle() if data is None else data
    if witnesses is None:
        with suppress(EvidenceError, LedgerError, PolicyError):
            bundles.verify(data, told.log, policy=policy)
    return alone.verify(data, log_key(told), policy, witnesses)


def command(*arguments):
    program = f"import sys; sys.argv[:1] = [{str(FILE)!r}]\n{WATCHED}"
    return subprocess.run(
        [sys.executable, "-I", "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


# -- what the file is --------------------------------------------------------------------------------------------------


def test_it_has_one_dependency_and_can_be_read_in_an_afternoon():
    text = FILE.read_text("utf-8")
    imported = set()
    for part in ast.walk(ast.parse(text)):
        if isinstance(part, ast.Import):
            imported |= {name.name.split(".")[0] for name in part.names}
        if isinstance(part, ast.ImportFrom):
            imported.add(part.module.split(".")[0])
    assert imported - sys.stdlib_module_names == {"cryptography"}
    assert text.count("\n") < 1000


# -- the command -------------------------------------------------------------------------------------------------------


def test_an_honest_bundle_is_verified_without_the_package(honest, tmp_path):
    (tmp_path / "bundle.json").write_bytes(honest.bundle())
    said = command(tmp_path / "bundle.json", "--vkey", log_key_text(honest), "--policy", honest.digest)
    assert (said.returncode, said.stderr) == (0, "[]\n")
    told = json.loads(said.stdout)
    assert (told["verified"], told["verdict"]) == ("scale of model: permit", "permit")
    cell = {"state": "below", "overdue": False, "opens": True, "met": {"secure": False}}
    assert told["policies"]["lab/rsp"]["cells"] == {"skilled": cell}


def log_key_text(told):
    return NoteKey(story.ORIGIN, told.keys["log"].public).vkey


def test_what_was_not_checked_is_told(honest, tmp_path):
    (tmp_path / "bundle.json").write_bytes(honest.bundle())
    told = json.loads(command(tmp_path / "bundle.json", "--vkey", log_key_text(honest)).stdout)
    for text in ("logs of results", "one that loads", "the log's word", "0 entries", "no --policy", "no --witnesses"):
        assert any(text in line for line in told["not checked"])


@pytest.mark.parametrize(
    "arguments",
    [[], ["--vkey", "nonsense"], ["nothing.json"], ["nothing.json", "--vkey", "VKEY"], ["FILE", "--vkey", "x+y+z"]],
)
def test_wrong_use_is_told_with_exit_code_2(honest, tmp_path, arguments):
    (tmp_path / "bundle.json").write_bytes(honest.bundle())
    names = {"VKEY": log_key_text(honest), "FILE": str(tmp_path / "bundle.json")}
    said = command(*(names.get(word, word) for word in arguments))
    assert said.returncode == 2
    assert "Traceback" not in said.stderr


def test_a_refused_bundle_is_exit_code_1_and_another_policy_is_refused(honest, tmp_path):
    (tmp_path / "bundle.json").write_bytes(honest.bundle())
    said = command(tmp_path / "bundle.json", "--vkey", log_key_text(honest), "--policy", "0" * 64)
    assert said.returncode == 1
    assert "expected 0000" in said.stdout


def test_what_is_outside_of_the_core_is_exit_code_4_and_says_what(tmp_path):
    keys = story.keys_of()
    text = story.SMALL.replace(
        "buffer: {{none", "buffer: {{effective_compute: 6x, forecast_by: auditor, fresh_for: 6 months, source"
    )
    assert text != story.SMALL
    names = {name: str(pair.public) for name, pair in keys.items()} | {"run_by": "team"}
    told = story.Story(story.loads(text.format(**names), name="small", folder=None), keys)
    told.adopt()
    told.decide(told.evaluated())
    (tmp_path / "bundle.json").write_bytes(told.bundle())
    said = command(tmp_path / "bundle.json", "--vkey", log_key_text(told))
    assert said.returncode == 4
    assert "not verified here" in said.stdout
    assert "a margin that is forecast" in said.stdout


# -- honest stories ----------------------------------------------------------------------------------------------------


def told_of(*steps):
    made = story.told()
    for step in steps:
        step(made)
    return made


@pytest.mark.parametrize(
    ("correct", "verdict", "state"), [(10, "permit", "below"), (58, "hold", "not ruled out"), (90, "hold", "reached")]
)
def test_a_result_gives_the_finding_that_the_package_finds(correct, verdict, state):
    made = story.told()
    made.decide(made.evaluated(correct=correct))
    said = verified(made)
    assert said["verdict"] == verdict
    assert said["policies"]["lab/rsp"]["cells"]["skilled"]["state"] == state


@pytest.mark.parametrize(
    ("at", "correct", "state"),
    [
        (60, 2, "below"),
        (10, 3, "not ruled out"),
        (60, 20, "not ruled out"),
        (30, 29, "reached"),
        (0, 0, "not ruled out"),
    ],
)
def test_a_run_that_stops_by_an_e_process_gives_the_finding_that_the_package_finds(at, correct, state):
    made, early = story.told(), {"stopping": "e-process", "order_seed": 7}
    subject = made.register("model")
    looks = ((at, correct),) if at else ()
    plan = made.plan(subject, "team", "auditor", **early)
    made.report(subject, plan, correct=correct, stopped=Stopped(at, looks), **early)
    made.state(subject)
    made.decide(subject)
    assert verified(made)["policies"]["lab/rsp"]["cells"]["skilled"]["state"] == state


def test_attack_nobody_independent_stands_for_the_order_of_a_run_that_stops_early():
    made, early = story.told(), {"stopping": "e-process", "order_seed": 7}
    subject = made.register("model")
    plan = made.plan(subject, **early)
    made.report(subject, plan, correct=0, stopped=Stopped(60, ((60, 0),)), **early)
    made.state(subject)
    made.decide(subject)
    assert verified(made)["policies"]["lab/rsp"]["cells"]["skilled"]["state"] == "not ruled out"


def test_attack_a_run_stops_early_of_a_plan_that_asked_for_all():
    made, early = story.told(), {"stopping": "e-process", "order_seed": 7}
    subject = made.register("model")
    made.report(subject, made.plan(subject), correct=0, stopped=Stopped(60, ((60, 0),)), **early)
    made.state(subject)
    made.decide(subject)
    assert verified(made)["policies"]["lab/rsp"]["cells"]["skilled"]["state"] == "not ruled out"


@pytest.mark.parametrize(
    ("limit", "refused", "verdict"),
    [
        ("0.05", (0, 120), "hold"),  # what is not known shows nothing in favour
        ("0.05", (6, 7), "hold"),  # what is known is only the least
        ("0.05", (0, 0), "permit"),
        ("0.05", (6, 6), "permit"),
        ("0.05", (7, 7), "hold"),
        ("1", (0, 120), "permit"),
        ("1", (34, 120), "permit"),
        ("1", (60, 60), "hold"),  # of a capability a refusal counts on the dangerous side
    ],
)
def test_refusals_count_as_the_package_counts_them(limit, refused, verdict):
    made = story.under("[few-shot]", f"[few-shot: {{refusals: {limit}}}]", "coverage: 0.98", "coverage: 0.5")
    subject = made.register("model")
    made.report(subject, made.plan(subject), correct=10, refused_scores=refused[0], refused_at_most=refused[1])
    made.state(subject)
    made.decide(subject)
    assert verified(made)["verdict"] == verdict
    assert bundles.verify(made.bundle(), made.log).decision.verdict == verdict


def test_a_decision_over_less_than_the_whole_ledger_is_verified_when_there_was_no_more():
    made = story.told()
    subject = made.evaluated()
    made.decide(subject)
    made.decide(subject)
    assert verified(made)["verdict"] == "permit"


def test_a_later_checkpoint_is_verified_by_its_proof():
    made = story.honest()
    size = len(made.entries)
    for name in ("one", "two", "three"):
        made.register(name)
    data = bundles.to_bytes(made.prefix(size))
    assert json.loads(data)["checkpoint_proof"]
    assert verified(made, data)["verdict"] == "permit"


def test_a_plan_is_no_older_than_the_checkpoint_before_it_of_the_same_second():
    """Of two entries that are dated alike, the first may be two months older, and the second, a plan, may not."""
    made = story.told()
    subject = made.register("model")
    made.wait(timedelta(days=60))
    made.register("another")
    made.report(subject, made.plan(subject), correct=10)
    made.state(subject)
    made = made.dated([(size, made.notes[3][1] if size == 4 else time) for size, time in made.notes])
    made.wait(timedelta(days=80))
    made.state(subject)
    made.decide(subject)
    assert verified(made)["verdict"] == "permit"


def test_more_samples_than_can_be_counted_in_a_short_time_are_not_verified_here():
    result = {"protocol": SimpleNamespace(samples=10**12), "scored": 10**12, "correct": 0, "refused_scores": 0}
    with pytest.raises(alone.Outside, match="more samples"):
        alone.Tally(SimpleNamespace(**result), {"low": "0", "high": "1", "danger": "higher", "kind": "capability"})


def said_of(made, kind, digest, signer, **predicate):
    """A statement about a statement."""
    predicate = {**predicate, "at": story.timestamp(made.now)}
    return made.say(story.statement(kind, name="it", digest=digest, predicate=predicate), signer)


def audited(made, result, **counts):
    seed = {"size": len(made.entries), "root": made.view().root.hex()}
    said_of(made, "audit", result, "auditor", seed=seed, drawn=50, **counts, statement="asked again")


BESIDE = {
    "a result is taken back": (lambda made, of: said_of(made, "withdrawal", of, "team", reason="x"), "hold"),
    "others take it back": (lambda made, of: said_of(made, "withdrawal", of, "auditor", reason="x"), "permit"),
    "a result is set aside": (lambda made, of: said_of(made, "set-aside", of, "auditor", reason="x"), "hold"),
    "an audit agrees": (lambda made, of: audited(made, of, agreed=50, disagreed=0), "permit"),
    "an audit disagrees": (lambda made, of: audited(made, of, agreed=49, disagreed=1), "hold"),
    "a bad result by one key of two": (
        lambda made, _: made.report(made.read().subject("model").digest, "0" * 64, correct=110, signer="board_1"),
        "hold",
    ),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_is_said_of_a_result_counts_as_for_the_package(what):
    made, (say, verdict) = story.told(), BESIDE[what]
    subject = made.register("model")
    result = made.report(subject, made.plan(subject), correct=10)
    made.state(subject)
    say(made, result)
    made.decide(subject)
    assert verified(made)["verdict"] == verdict


EXAMPLE = ROOT / "policies" / "example-lab.yaml"
RUNS = {"few-shot": {"shots": 5}, "fine-tuned": {"shots": 0, "demonstrations": 16}}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example policy, with two evaluations and every attestation."""
    folder, pairs = tmp_path_factory.mktemp("example"), story.keys_of()
    pairs |= {"gatekeeper": KeyPair.generate(), "board_3": KeyPair.generate()}
    files = {"evaluation-team": "team", "external-auditor": "auditor", "gatekeeper": "gatekeeper"}
    (folder / "keys").mkdir()
    for name, pair in (files | {f"board-{n}": f"board_{n}" for n in (1, 2, 3)}).items():
        (folder / "keys" / f"{name}.pub").write_text(f"{pairs[pair].public}\n")
    made = story.Story(story.loads(EXAMPLE.read_text("utf-8"), name="example", folder=folder), pairs)
    made.adopt()
    subject = made.register("model")
    for elicitation, shown in RUNS.items():
        ran = {"task": "interlock/codebook", "task_version": 3, "elicitation": elicitation, **shown}
        made.report(subject, made.plan(subject, **ran), correct=2, **ran)
    for name in made.policy.assumptions:
        said = {"kind": "assumption", "name": name, "about": "subject", "statement": "yes"}
        said["at"] = story.timestamp(made.now)
        made.say(story.statement("attestation", name="model", digest=subject, predicate=said), "auditor")
    made.decide(subject)
    return made


def test_the_example_policy_is_of_the_core(example):
    said = verified(example, policy=example.digest)
    (policy,) = said["policies"].values()
    assert said["verdict"] == "permit"
    assert {name: cell["state"] for name, cell in policy["cells"].items()} == {
        "codebook-use": "below",
        "takeover": "below",
    }


# -- attacks -----------------------------------------------------------------------------------------------------------


def changed(data, **members):
    return canonical.dumps({**json.loads(data), **members})


def with_entries(made, change):
    """The bundle with other entries under the same signed checkpoints."""
    value = json.loads(made.bundle())
    return canonical.dumps({**value, "entries": change(value["entries"])})


ENTRIES = {
    "an entry altered": lambda them: [*them[:2], them[2].replace("A", "B", 1), *them[3:]],
    "an entry dropped": lambda them: [*them[:3], *them[4:]],
    "entries reordered": lambda them: [*them[:2], them[3], them[2], *them[4:]],
    "an entry twice": lambda them: [*them[:3], them[2], *them[3:]],
    "the end cut off": lambda them: them[:-1],
    "no entries": lambda them: [],
}


@pytest.mark.parametrize("attack", ENTRIES)
def test_other_entries_are_refused(honest, attack):
    with pytest.raises(alone.Refused):
        verified(honest, with_entries(honest, ENTRIES[attack]))


def by_another_key(made):
    return replace(made, keys={**made.keys, "log": KeyPair.generate()}).bundle()


def from_the_future(made):
    note = made.note(len(made.entries), made.now - timedelta(days=1))
    return changed(made.bundle(), checkpoint=note.decode())


def other_tree(made):
    root = merkle.root([merkle.leaf_hash(b"another")])
    return changed(made.bundle(), checkpoint=made.note(len(made.entries) + 1, made.now, root).decode())


def other_proof(made):
    return changed(made.bundle(), history_proof=[base64.b64encode(bytes(32)).decode()])


def by_a_stranger(made):
    stranger = KeyPair.generate()
    note = Note.parse(made.prefix().checkpoint)
    line = cosign(note.text, "w", stranger, time=1)
    return changed(made.bundle(), checkpoint=replace(note, signatures=(*note.signatures, line)).to_bytes().decode())


def without_its_start(made):
    return changed(made.bundle(), history=json.loads(made.bundle())["history"][1:])


def going_back(made):
    notes = json.loads(made.bundle())["history"]
    return changed(made.bundle(), history=[notes[0], notes[2], notes[1], *notes[3:]])


LOGS = {
    "checkpoints of another log": by_another_key,
    "a checkpoint earlier than the history": from_the_future,
    "a proof for another tree": other_tree,
    "a proof where none is": other_proof,
    "a cosignature of a stranger": by_a_stranger,
    "a history without its start": without_its_start,
    "a history that goes back": going_back,
}


@pytest.mark.parametrize("attack", LOGS)
def test_another_log_is_refused(honest, attack):
    with pytest.raises(alone.Refused):
        verified(honest, LOGS[attack](honest))


def test_two_trees_of_one_size_are_refused(honest):
    forked = honest.note(len(honest.entries), honest.now + timedelta(hours=1), root=bytes(32))
    with pytest.raises(alone.Refused, match="checkpoint"):
        verified(honest, changed(honest.bundle(), checkpoint=forked.decode()))


def outside_of_a_role(made):
    made.keys["stranger"] = KeyPair.generate()
    made.state(made.register("model"), signer="stranger")


def quorum_by_one_key_twice(made):
    policy = made.entries.pop()
    made.notes.pop()
    payload = dsse.parse(policy.data).payload
    once = json.loads(dsse.sign(payload, PAYLOAD_TYPE, [made.keys["board_1"]]))
    made.put(canonical.dumps({**once, "signatures": once["signatures"] * 2}))
    made.register("model")


def result_on_an_unknown_subject(made):
    made.report("5" * 64, "6" * 64, correct=1)


def trained_on_for_nothing(made):
    """By the parent's worth a step as long as all before it doubles the effective compute; this one says it did not."""
    parent = made.register("foundation")
    digest = hashlib.sha256(b"model").hexdigest()
    manifest = Manifest((("0000.safetensors", digest),))
    steps = (Step(parent, "continued", story.COMPUTE),)
    grown = SubjectPredicate("model", manifest, 2 * story.COMPUTE, story.COMPUTE, 2 * story.COMPUTE - 1, steps)
    made.say(story.statement("subject", name="model", digest=manifest.digest, predicate=grown.to_json()), "team")


def edited_from_nothing(made):
    """A run from scratch that has no weights yet; and weights that are said to be of it, and not to be trained."""
    run, compute = {"config_sha256": "1" * 64, "data_sha256": "2" * 64}, str(story.COMPUTE)
    of = hashlib.sha256(rfc8785.dumps(run)).hexdigest()
    ends = {"low": compute, "high": compute}
    begun = {"name": "run", "run": run, "steps": [], "training_compute": compute, "effective_compute": ends}
    made.say(story.statement("subject", name="run", digest=of, predicate=begun), "team")
    manifest = Manifest((("model.safetensors", hashlib.sha256(b"model").hexdigest()),))
    steps = (Step(of, "edited", story.COMPUTE),)
    grown = SubjectPredicate("model", manifest, story.COMPUTE, story.COMPUTE, story.COMPUTE, steps)
    made.say(story.statement("subject", name="model", digest=manifest.digest, predicate=grown.to_json()), "team")


def weights_of_another(*steps):
    """The one file of `foundation` under another name; made from what the steps say."""

    def attack(made):
        made.register("foundation")
        other = made.register("other")
        manifest = Manifest((("renamed.safetensors", hashlib.sha256(b"foundation").hexdigest()),))
        of = tuple(Step(other, kind, 1) for kind in steps)
        hidden = SubjectPredicate("model", manifest, 2 * story.COMPUTE, 2 * story.COMPUTE, 2 * story.COMPUTE, of)
        made.say(story.statement("subject", name="model", digest=manifest.digest, predicate=hidden.to_json()), "team")

    return attack


def dated_in_the_future(made):
    made.notes[-1] = (made.notes[-1][0], made.now)
    subject = made.register("model")
    predicate = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "yes"}
    predicate["at"] = story.timestamp(made.now + timedelta(days=1))
    made.say(story.statement("attestation", name="model", digest=subject, predicate=predicate), "auditor")


def counted(**counts):
    """A result with counts that cannot be."""

    def tell(made):
        subject = made.register("model")
        made.report(subject, made.plan(subject), correct=1)
        said = Statement.parse(dsse.parse(made.entries.pop().data).payload)
        made.notes.pop()
        lied = {**said.predicate, "counts": {**said.predicate["counts"], **counts}}
        made.say(Statement(said.predicate_type, said.subjects, lied), "team")

    return tell


def time_in_another_spelling(made):
    made.notes[-1] = (made.notes[-1][0], made.now)
    predicate = {"kind": "assumption", "name": "no-evaluation-gaming", "about": "subject", "statement": "yes"}
    predicate["at"] = story.timestamp(made.now).replace("Z", "+00:00")
    subject = made.register("model")
    made.say(story.statement("attestation", name="model", digest=subject, predicate=predicate), "auditor")


def registered_as(made, change):
    """A subject whose manifest says the same files otherwise: a second subject of one model."""
    files = [{"algorithm": "sha256", "digest": letter * 64, "name": letter} for letter in "ab"]
    manifest = {"resources": files, "serialization": SERIALIZATION}
    change(manifest)
    digests = "".join(it["digest"] for it in files)
    predicate = {"name": "model", "manifest": manifest, "steps": [], "training_compute": "1"}
    predicate["model_signing_sha256"] = hashlib.sha256(bytes.fromhex(digests)).hexdigest()
    predicate["effective_compute"] = {"low": "1", "high": "1"}
    digest = hashlib.sha256(canonical.dumps(manifest)).hexdigest()
    made.say(story.statement("subject", name="model", digest=digest, predicate=predicate), "team")
    return digest


def test_files_in_their_only_spelling_are_a_subject():
    made = story.told()
    made.decide(registered_as(made, lambda _: None))
    assert verified(made)["verdict"] == "hold"


def files_out_of_order(made):
    registered_as(made, lambda it: it["resources"].reverse())


def file_twice(made):
    registered_as(made, lambda it: it["resources"].append(it["resources"][1]))


def digest_in_capitals(made):
    registered_as(made, lambda it: it["resources"][1].update(digest="B" * 64))


def read_in_another_way(made):
    registered_as(made, lambda it: it.update(serialization={**SERIALIZATION, "allow_symlinks": True}))


def audit_that_does_not_add_up(made):
    subject = made.register("model")
    audited(made, made.report(subject, made.plan(subject), correct=10), agreed=51, disagreed=0)


def report_put_off(made):
    made.plan(made.register("model"), within=timedelta(days=60))


def the_policy_twice(made):
    made.adopt()


def said_twice(made):
    made.register("model")
    made.put(made.entries[-1].data)


STORIES = {
    "a signer outside of the roles": outside_of_a_role,
    "a quorum by one key twice": quorum_by_one_key_twice,
    "a result on a subject that nobody registered": result_on_an_unknown_subject,
    "training that went on and spent nothing": trained_on_for_nothing,
    "weights edited from a run that has none": edited_from_nothing,
    "weights that another subject has": weights_of_another(),
    "weights that another subject has, made from a third": weights_of_another("merged"),
    "an attestation dated after its ledger time": dated_in_the_future,
    "a plan that puts off its report": report_put_off,
    "more correct than scored": counted(correct=121),
    "more refused than planned": counted(refused_at_most=121),
    "more refused than can have been": counted(refused_scores=2, refused_at_most=1),
    "fewer refused than none": counted(refused_scores=-1),
    "more errored than were left": counted(errored=1),
    "fewer errored than none": counted(errored=-1),
    "more cut than planned": counted(limited=121),
    "a second policy": the_policy_twice,
    "a statement said twice": said_twice,
    "a time in another spelling": time_in_another_spelling,
    "files out of order": files_out_of_order,
    "a file twice": file_twice,
    "a digest in capitals": digest_in_capitals,
    "files read in another way": read_in_another_way,
    "an audit that does not add up": audit_that_does_not_add_up,
}


@pytest.mark.parametrize("attack", STORIES)
def test_an_entry_that_may_not_stand_there_is_refused(honest, attack):
    made = story.told()
    STORIES[attack](made)
    said = Statement.parse(dsse.parse(honest.entries[-1].data).payload)
    made.say(said, "team")
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


def with_hole(policy, *, via=(), count=1):
    """The gate asks for a combination, and a hole is one of its ways."""
    hole = {"is": "hole", "what": "nobody knows", "owner": "board", "review": "2027-01-01T00:00:00Z", "sources": []}
    named = {**{name: combined([one], 1) for name, one in pairwise([*via, "hole"])}, "hole": hole}
    policy["requirements"] |= {**named, "either": combined([next(iter(named)), "secure"], count)}
    policy["gates"]["scale"]["skilled"]["requires"] = ["either"]


def combined(of, count):
    return {"is": "combined", "of": of, "count": count, "sources": []}


def with_rule(**members):
    return lambda policy: policy["thresholds"]["skilled"]["rule_out"].update(members)


def with_margin(margin):
    return lambda policy: policy["thresholds"]["skilled"]["rule_out"]["buffer"].update(margin=margin)


NOWHERE = {
    "a margin that forgives": with_margin("-0.3"),
    "no doubt at all": with_rule(confidence="1"),
    "more doubt than a half": with_rule(confidence="0.4"),
    "a hole as one of two ways": with_hole,
    "what rests on a hole as one of two ways": lambda it: with_hole(it, via=("one", "two")),
    "more ways than there are": lambda it: with_hole(it, count=3),
    "no way asked for": lambda it: with_hole(it, count=0),
    "kin at less than no cost": lambda it: it.update(attacker_budget="-0.01"),
}


@pytest.mark.parametrize("change", NOWHERE.values(), ids=NOWHERE)
def test_a_policy_that_nothing_loads_is_refused(change):
    told = story.told()
    policy = compiled.to_json(told.policy)
    change(policy)
    digest = hashlib.sha256(canonical.dumps(policy)).hexdigest()
    made = story.Story(told.policy, told.keys)
    made.say(story.statement("policy", name="lab/rsp", digest=digest, predicate=policy), "board_1", "board_2")
    made.decide_forced(made.register("model"))
    with pytest.raises(alone.Refused, match=r"^entry 0: .* expected one that loads"):
        verified(made)


def test_a_hole_among_all_that_are_asked_for_is_no_way_round():
    policy = compiled.to_json(story.told().policy)
    with_hole(policy, via=("one",), count=2)
    assert alone.loads(policy)


LIES = {
    "another verdict": {"verdict": "hold"},
    "another time": {"at": "2026-06-01T00:00:00Z"},
    "another action": {"action": "release-weights"},
    "another checkpoint": {"checkpoint": {"size": 1, "root": "0" * 64, "time": "2026-06-01T00:01:00Z"}},
    "more compute": {"bounds": {"most_effective_compute": "9" * 20, "not_after": "2026-07-01T00:05:00Z"}},
    "a longer permit": {"bounds": {"most_effective_compute": "1000000000000", "not_after": "2027-07-01T00:05:00Z"}},
    "no rulings": {"rulings": []},
    "no bounds": {"bounds": None},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_decision_that_claims_something_else_than_the_rule_is_refused(lie):
    made = story.told()
    made.decide(made.evaluated(), **LIES[lie])
    with pytest.raises(alone.Refused, match="decision"):
        verified(made)


def test_a_lie_beside_a_finding_does_not_hide_another_in_it():
    made = story.told()
    subject = made.evaluated()
    rulings = json.loads(json.dumps(made.decision(subject).predicate["rulings"]))
    (cell,) = rulings[0]["cells"]
    cell["state"], cell["finding"]["state"] = "below", "reached"
    made.decide(subject, rulings=rulings)
    with pytest.raises(alone.Refused, match="state: got reached"):
        verified(made)


def test_a_permit_over_a_reached_level_is_refused():
    made = story.told()
    subject = made.evaluated()
    lie = made.decision(subject)
    plan = made.plan(subject, seed=1)
    made.report(subject, plan, correct=110, seed=1)
    true = made.decision(subject).predicate
    told = {**lie.predicate, "at": true["at"], "checkpoint": true["checkpoint"]}
    made.say(Statement(lie.predicate_type, lie.subjects, told), "team")
    with pytest.raises(alone.Refused, match="by the rule"):
        verified(made)


def test_a_decision_that_looked_away_from_what_was_there_is_refused():
    made = story.told()
    subject = made.evaluated()
    made.report(subject, made.plan(subject, seed=1), correct=110, seed=1)
    made.say(made.decision(subject, read_up_to=5), "team")
    with pytest.raises(alone.Refused, match="a decision at times that fit"):
        verified(made)


def test_notes_left_out_do_not_make_stale_evidence_fresh():
    """Evidence of four months ago, which is fresh for three; one late note dates all of it."""
    made = story.told()
    subject = made.register("model")
    made.report(subject, made.plan(subject, within=timedelta(days=21) - story.STEP), correct=10)
    made.wait(timedelta(days=120))
    made.state(subject)
    late = made.together({1, 5})
    late.decide(subject, after=timedelta())
    assert verified(story.honest())["verdict"] == "permit"
    with pytest.raises(alone.Refused, match="may be older"):
        verified(late)


def test_a_decision_with_a_member_that_nobody_knows_is_refused():
    made = story.told()
    made.decide(made.evaluated(), besides=5)
    with pytest.raises(alone.Refused, match="besides"):
        verified(made)


# -- permits before the decision ---------------------------------------------------------------------------------------

DAY = timedelta(days=1)
FINAL = ("\nmeasures:", "\nactions: {scale: {reversible: false}}\nmeasures:")


def leased(*changes, **terms):
    """A story with a permit that its decision allows, or with one that says something else."""
    made = story.under(*changes)
    subject = made.evaluated()
    decided = made.decide(subject)
    return made, subject, permitted(made, subject, decided, **terms)


def permitted(made, subject, decided, **terms):
    bounds = next(it for it in reversed(made.view().entries) if digest_of(it) == decided)
    bounds = Statement.parse(dsse.parse(bounds.data).payload).predicate["bounds"]
    usual = PermitPredicate(
        action="scale",
        decision=decided,
        policies=(made.read().policy_digest,),
        lineage=(),
        start_compute=story.COMPUTE,
        most_compute=int(bounds["most_effective_compute"]),
        not_before=made.now,
        not_after=moment(bounds["not_after"]),
        single_use=False,
    )
    return issued(made, subject, replace(usual, **terms))


def issued(made, subject, terms):
    made.say(story.statement("permit", name="model", digest=subject, predicate=terms.to_json()), "team")
    return digest_of(made.entries[-1]), terms


def digest_of(entry):
    return hashlib.sha256(dsse.parse(entry.data).payload).hexdigest()


def moment(text):
    return datetime.fromisoformat(text)


def ended(made, subject):
    """What verify.py says became of the permits before one more decision."""
    made.decide(subject)
    return [it["ended"] for it in verified(made)["permits before it"].values()]


def test_permits_before_the_decision_are_told_of_with_how_they_ended():
    made, subject, (one, terms) = leased(single_use=True)
    assert ended(made, subject) == ["not ended"]
    narrower, _ = issued(made, subject, replace(terms, not_after=terms.not_after - DAY, narrows=one))
    assert ended(made, subject) == ["narrowed", "not ended"]
    said_of(made, "permit-spent", narrower, "auditor", destination="there")
    assert ended(made, subject) == ["narrowed", "spent on there"]
    made.say(story.statement("revocation", name="it", digest=one, predicate={"reason": "x", "at": at(made)}), "team")
    assert ended(made, subject) == ["revoked", "revoked"]


def test_a_permit_whose_time_was_over_before_the_decision_is_not_told_of_as_if_it_stood():
    made, subject, (one, terms) = leased()
    made.wait(31 * DAY)
    made.state(subject)
    made.decide(subject)
    told = verified(made)["permits before it"][one]
    assert (told["action"], told["subject"], told["deployment"]) == ("scale", subject, None)
    assert (told["not_after"], told["ended"]) == (story.timestamp(terms.not_after), "its time was over")


HOUR = timedelta(hours=1)
#: How long after what its decision had read a permit enters the ledger, and what becomes of it.
ENTERED = {
    "while that is fresh": (HOUR - timedelta(seconds=1), "not ended"),
    "when it is too old": (HOUR, "late"),
    "as late as publication may make it": (HOUR + DAY - timedelta(seconds=1), "late"),
    "later than that": (HOUR + DAY, None),
}


@pytest.mark.parametrize(("time", "says"), ENTERED.values(), ids=ENTERED)
def test_a_permit_that_enters_the_ledger_late_opens_nothing(time, says):
    made = story.told()
    subject = made.evaluated()
    read, decided = made.now, made.decide(subject)
    made.wait(time - 2 * story.STEP)
    permit, terms = permitted(made, subject, decided, not_before=read, not_after=read + 20 * DAY)
    assert made.now == read + time
    if says is None:
        made.decide_forced(subject)
        with pytest.raises(alone.Refused, match="no more than its decision allows"):
            verified(made)
        with pytest.raises(EvidenceError, match="the permit entered it at"):
            bundles.verify(made.bundle(), made.log)
        return
    assert ended(made, subject) == [says]
    (found,) = bundles.verify(made.bundle(), made.log).evidence.permits
    assert (found.late is not None) == (says == "late")
    if says == "late":
        issued(made, subject, replace(terms, not_after=terms.not_after - DAY, narrows=permit))
        made.decide_forced(subject)
        with pytest.raises(alone.Refused, match=r"^entry"):
            verified(made)


def test_attack_a_late_permit_that_starts_later():
    made = story.told()
    subject = made.evaluated()
    read, decided = made.now, made.decide(subject)
    made.wait(HOUR)
    permitted(made, subject, decided, not_before=read + HOUR - timedelta(minutes=1), not_after=read + 20 * DAY)
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match="no more than its decision allows"):
        verified(made)


def test_attack_a_permit_signed_once_the_evidence_is_worse_on_a_decision_of_before():
    made = story.told()
    subject = made.evaluated()
    old = made.decision(subject)
    made.wait(20 * DAY)
    made.report(subject, made.plan(subject, seed=1), correct=110, seed=1)
    permitted(made, subject, made.say(old, "team"), not_before=moment(old.predicate["at"]))
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match="no more than its decision allows"):
        verified(made)


def test_a_permit_on_a_decision_that_the_rule_never_gave_is_told_of_as_not_checked():
    """verify.py derives the last decision alone, and says so; the package refuses the bundle."""
    made, bad = forged()
    made.decide(made.evaluated("good"))
    told = verified(made)
    assert [it["subject"] for it in told["permits before it"].values()] == [bad]
    assert any("the decisions on which the permits before it rest" in line for line in told["not checked"])
    with pytest.raises(EvidenceError, match=r"entry 5 says `permit` otherwise than the rule"):
        bundles.verify(made.bundle(), made.log)


def forged():
    """A permit on a subject that has reached the level, from a decision that says otherwise."""
    made = story.told()
    subject = made.evaluated("bad", correct=110)
    bounds = {"most_effective_compute": str(story.COMPUTE), "not_after": story.timestamp(made.now + 20 * DAY)}
    permitted(made, subject, made.decide(subject, verdict="permit", bounds=bounds))
    return made, subject


def at(made):
    return story.timestamp(made.now)


BEYOND = {
    "another action": {"action": "deploy-api"},
    "a deployment": {"deployment": "1" * 64},
    "more compute": {"most_compute": 10**13},
    "less compute than the subject": {"start_compute": 1},
    "no room": {"start_compute": 10**13},
    "a longer lease": {"not_after": story.START + 90 * DAY},
    "another policy": {"policies": ("1" * 64,)},
    "an ancestor": {"lineage": ("1" * 64,)},
    "the place of a permit that is not there": {"narrows": "1" * 64},
    "no decision": {"decision": "1" * 64},
    "a start when what its decision had read is too old": {"not_before": story.START + 2 * timedelta(hours=1)},
}


SPENT = story.COMPUTE // 2
SAVED = Manifest((("loop.pt", "8" * 64), ("model.safetensors", "7" * 64)))


def saved(made, subject, named, *, signer="team", **terms):
    """A snapshot under a permit."""
    usual = SnapshotPredicate(SAVED, named, subject, 1, SPENT, story.COMPUTE + SPENT, None, "1" * 64)
    predicate = replace(usual, **terms).to_json()
    made.say(story.statement("snapshot", name="saved", digest=SAVED.digest, predicate=predicate), signer)


def stripped(made, subject, *, kind="continued", spent=SPENT, step=SPENT, made_from=True):
    """The snapshot's weights as a subject, without the optimizer."""
    files, most = Manifest(SAVED.files[1:]), story.COMPUTE + spent
    steps = (Step(subject, kind, step),) if made_from else ()
    predicate = SubjectPredicate("next", files, most, story.COMPUTE, most, steps).to_json()
    made.say(story.statement("subject", name="next", digest=files.digest, predicate=predicate), "team")


def grown(made, subject, permit, *, before, **says):
    """A snapshot, and its weights as a subject, in one order or the other."""
    if before:
        stripped(made, subject, **says)
    saved(made, subject, permit)
    if not before:
        stripped(made, subject, **says)


@pytest.mark.parametrize("before", [False, True])
def test_weights_of_a_snapshot_are_a_subject_with_what_they_had_spent(before):
    made, subject, (permit, _) = leased()
    grown(made, subject, permit, before=before)
    assert ended(made, subject) == ["not ended"]


@pytest.mark.parametrize(
    ("flop", "effective", "fine"), [(7, 24, True), (7, 23, False), (7, 8, False), (7, 25, False), (0, 0, True)]
)
def test_a_snapshot_has_the_effective_compute_that_its_training_comes_to(flop, effective, fine):
    """A FLOP of which is worth ten thirds, less a little."""
    made, high = story.under('buffer: {none: "a test"}', BUFFER), story.COMPUTE * 10 // 3
    files = Manifest((("model.safetensors", "5" * 64),))
    worthy = SubjectPredicate("worthy", files, story.COMPUTE, 3 * story.COMPUTE, high, ()).to_json()
    made.say(story.statement("subject", name="worthy", digest=files.digest, predicate=worthy), "team")
    made.report(files.digest, made.plan(files.digest), correct=10)
    made.state(files.digest)
    permit, _ = permitted(made, files.digest, made.decide(files.digest), start_compute=high)
    saved(made, files.digest, permit, flop=flop, compute=high + effective)
    if fine:
        assert ended(made, files.digest) == ["not ended"]
        return
    made.decide_forced(files.digest)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


LESS = {
    "less compute": {"spent": SPENT - 1, "step": 1},
    "made from nobody": {"made_from": False},
    "less compute, fine-tuned": {"spent": SPENT - 1, "step": 1, "kind": "fine-tuned"},
    "fine-tuned, for as much": {"kind": "fine-tuned"},
    "edited, for nothing": {"kind": "edited", "step": 0},
    "continued for less": {"step": 1},
    "continued for more": {"spent": 2 * SPENT, "step": SPENT + 1},
}


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("says", LESS.values(), ids=LESS)
def test_weights_of_a_snapshot_are_no_subject_with_less_than_they_had_spent(says, before):
    made, subject, (permit, _) = leased()
    grown(made, subject, permit, before=before, **says)
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


NO_SNAPSHOT = {
    "by another role": {"signer": "auditor"},
    "under no permit": {"permit": "1" * 64},
    "of another parent": {"parent": "1" * 64},
    "with less effective compute than its FLOP come to": {"compute": story.COMPUTE + SPENT - 1},
    "with more effective compute than its FLOP come to": {"flop": SPENT - 1},
    "of other files": {"files": Manifest(SAVED.files[1:])},
}


@pytest.mark.parametrize("terms", NO_SNAPSHOT.values(), ids=NO_SNAPSHOT)
def test_a_snapshot_that_cannot_be_is_refused(terms):
    made, subject, (permit, _) = leased()
    saved(made, subject, permit, **terms)
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


@pytest.mark.parametrize(
    "names",
    [
        *(["../model.safetensors"], ["a//b"], ["./a"], ["two\nlines"], [""], ["n" * 4097]),
        *(["Model.safetensors", "model.safetensors"], ["A/one", "a/two"], ["caf\u00e9", "cafe\u0301"], ["a", "a/one"]),
    ],
)
def test_a_snapshot_of_files_that_cannot_be_named_so_is_refused(names):
    made, subject, (permit, _) = leased()
    predicate = SnapshotPredicate(SAVED, permit, subject, 1, SPENT, story.COMPUTE + SPENT, None, "1" * 64).to_json()
    of = predicate["manifest"]
    of["resources"] = [{**of["resources"][0], "name": name} for name in sorted(names, key=lambda it: it.split("/"))]
    digest = hashlib.sha256(rfc8785.dumps(of)).hexdigest()
    made.say(story.statement("snapshot", name="saved", digest=digest, predicate=predicate), "team")
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


RUN = {"config_sha256": "1" * 64, "data_sha256": "2" * 64}
MALFORMED = {
    "more digits of compute than a number has": {"training_compute": "1" + "0" * 40},
    "a step of a kind that nothing says": {"steps": [{"parent": "PARENT", "kind": "improved", "compute": "1"}]},
    "no name": {"name": ""},
    "a name with a letter that nobody sees": {"name": "other\u200b"},
    "a run from scratch with the digest of files": {"manifest": None, "run": RUN, "steps": []},
    "files without their digest": {"model_signing_sha256": None},
}


@pytest.mark.parametrize("members", MALFORMED.values(), ids=MALFORMED)
def test_a_subject_that_the_package_cannot_read_is_refused(members):
    made = story.told()
    subject = made.evaluated()
    files = Manifest((("model.safetensors", "5" * 64),))
    compute = 2 * story.COMPUTE
    usual = SubjectPredicate("other", files, compute, compute, compute, (Step(subject, "fine-tuned", 1),)).to_json()
    text = json.dumps({name: one for name, one in {**usual, **members}.items() if one is not None})
    predicate = json.loads(text.replace("PARENT", subject))
    digest = hashlib.sha256(rfc8785.dumps(predicate.get("run", predicate.get("manifest")))).hexdigest()
    made.say(story.statement("subject", name="other", digest=digest, predicate=predicate), "team")
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


@pytest.mark.parametrize("ended", ["", "x" * 4097])
def test_a_snapshot_that_ended_for_no_reason_that_can_be_read_is_refused(ended):
    made, subject, (permit, _) = leased()
    predicate = SnapshotPredicate(SAVED, permit, subject, 1, SPENT, story.COMPUTE + SPENT, None, "1" * 64).to_json()
    predicate["ended"] = ended
    made.say(story.statement("snapshot", name="saved", digest=SAVED.digest, predicate=predicate), "team")
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


@pytest.mark.parametrize(
    "at", ["2026-13-01T00:00:00Z", "2026-12-01T24:00:00Z", "2026-12-1TT0:00:00Z", "9999-99-99T99:99:99Z"]
)
def test_a_permit_from_a_time_that_does_not_exist_is_not_verified(at):
    made, subject, (permit, terms) = leased()
    predicate = {**terms.to_json(), "narrows": permit, "not_before": at}
    made.say(story.statement("permit", name="model", digest=subject, predicate=predicate), "team")
    made.decide_forced(subject)
    with pytest.raises((alone.Refused, ValueError), match=r"^entry|must be in"):
        verified(made)


@pytest.mark.parametrize("terms", BEYOND.values(), ids=BEYOND)
def test_a_permit_beyond_its_decision_is_refused(terms):
    made, subject, _ = leased(**terms)
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


def test_a_permit_for_what_cannot_be_taken_back_is_for_one_use():
    made, subject, _ = leased(*FINAL, single_use=True)
    assert ended(made, subject) == ["not ended"]
    made, subject, _ = leased(*FINAL)
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match="once if final"):
        verified(made)


WIDER = {
    "more compute": lambda it: {"most_compute": it.most_compute + 1},
    "a later end": lambda it: {"not_after": it.not_after + timedelta(seconds=1)},
    "an earlier start": lambda it: {"not_before": it.not_before - timedelta(seconds=1)},
    "several uses": lambda _: {"single_use": False},
    "another start of compute": lambda it: {"start_compute": it.start_compute + 1},
}


@pytest.mark.parametrize("change", WIDER.values(), ids=WIDER)
def test_a_permit_that_widens_the_one_that_it_narrows_is_refused(change):
    made, subject, (one, terms) = leased('buffer: {none: "a test"}', BUFFER, single_use=True)
    less = replace(terms, most_compute=2 * story.COMPUTE, not_after=terms.not_after - DAY, narrows=one)
    narrower, _ = issued(made, subject, less)
    issued(made, subject, replace(less, narrows=narrower, **change(less)))
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


BUFFER = 'buffer: {effective_compute: 4x, margin: 0.01, source: "a test"}'


def spent(made, permit):
    said_of(made, "permit-spent", permit, "team", destination="there")


def revoked(made, permit):
    said_of(made, "revocation", permit, "team", reason="x")


def taken(made, permit, subject, terms):
    issued(made, subject, replace(terms, not_after=terms.not_after - DAY, narrows=permit))


AFTER = {
    "spent twice": (lambda made, one, *_: (spent(made, one), spent(made, one)), True),
    "spent after it was revoked": (lambda made, one, *_: (revoked(made, one), spent(made, one)), True),
    "narrowed after it was spent": (lambda made, one, *rest: (spent(made, one), taken(made, one, *rest)), True),
    "narrowed after it was revoked": (lambda made, one, *rest: (revoked(made, one), taken(made, one, *rest)), True),
    "spent, though for many uses": (lambda made, one, *_: spent(made, one), False),
    "another from its decision": (
        lambda made, one, subject, it: issued(made, subject, replace(it, not_after=it.not_after - DAY)),
        True,
    ),
    "revoked by who may not": (lambda made, one, *_: said_of(made, "revocation", one, "auditor", reason="x"), True),
    "spent, and not there": (lambda made, *_: spent(made, "1" * 64), True),
    "revoked, and not there": (lambda made, *_: revoked(made, "1" * 64), True),
}


@pytest.mark.parametrize(("then", "once"), AFTER.values(), ids=AFTER)
def test_what_cannot_come_after_a_permit_is_refused(then, once):
    made, subject, (one, terms) = leased(single_use=once)
    then(made, one, subject, terms)
    made.decide_forced(subject)
    with pytest.raises(alone.Refused, match=r"^entry"):
        verified(made)


# -- witnesses ---------------------------------------------------------------------------------------------------------


def cosigned(made, *pairs):
    note = Note.parse(made.prefix().checkpoint)
    lines = [cosign(note.text, f"w{n}", pair, time=1_800_000_000) for n, pair in enumerate(pairs)]
    return changed(made.bundle(), checkpoint=replace(note, signatures=(*note.signatures, *lines)).to_bytes().decode())


@pytest.fixture(scope="module")
def pairs():
    return [KeyPair.generate() for _ in range(3)]


def quorum_of(made, pairs, rule):
    keys = [NoteKey(f"w{n}", pair.public, COSIGNATURE).vkey for n, pair in enumerate(pairs)]
    lines = [f"witness w{n} {vkey}" for n, vkey in enumerate(keys)]
    text = "\n".join(["# who", f"log {log_key_text(made)}", *lines, f"group g {rule} w0 w1 w2", "quorum g", ""])
    return alone.Witnesses(text, log_key(made))


@pytest.mark.parametrize(
    ("rule", "count", "fine"), [("2", 2, True), ("any", 1, True), ("all", 2, False), ("2", 1, False)]
)
def test_the_quorum_of_witnesses_must_have_cosigned(honest, pairs, rule, count, fine):
    data, witnesses = cosigned(honest, *pairs[:count]), quorum_of(honest, pairs, rule)
    if fine:
        assert verified(honest, data, witnesses=witnesses)["witnesses"] == ["w0", "w1"][:count]
    else:
        with pytest.raises(alone.Refused, match="quorum"):
            verified(honest, data, witnesses=witnesses)


def test_one_witness_counts_once(honest, pairs):
    with pytest.raises(alone.Refused):
        verified(honest, cosigned(honest, pairs[0], pairs[0]), witnesses=quorum_of(honest, pairs, "2"))


@pytest.mark.parametrize(
    "text",
    ["", "quorum a\n", "witness a b\nquorum a\n", "quorum none\n", "group g 1\nquorum g\n", "nonsense\n"],
)
def test_a_file_of_witnesses_that_asks_for_nobody_is_refused(honest, text):
    with pytest.raises(alone.Refused):
        alone.Witnesses(text, log_key(honest))


# -- its own parts -----------------------------------------------------------------------------------------------------

TREES = [(old, new) for new in range(1, 18) for old in range(1, new + 1)]


def test_proofs_between_all_small_trees_are_accepted_and_no_others():
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(18)]
    assert [merkle.root(leaves[:n]) for n in range(19)] == [alone.tree(leaves)(n) for n in range(19)]
    for old, new in TREES:
        proof = list(merkle.consistency_proof(leaves[:new], old))
        later = alone.Checkpoint(new, merkle.root(leaves[:new]), alone.EPOCH, [])
        alone.continues(old, merkle.root(leaves[:old]), later, proof, "")
        half = 1 << (old - 1).bit_length() - 1 if old > 1 else 0
        halves = [merkle.root(leaves[half:old]), merkle.root(leaves[:half])]  # no proof, but the parts of a root
        for wrong in (proof[:-1], [*proof, bytes(32)], [bytes(32), *proof[1:]], proof[::-1], halves, halves[::-1]):
            if wrong != proof:
                with pytest.raises(alone.Refused):
                    alone.continues(old, merkle.root(leaves[:old]), later, wrong, "")


def test_keys_of_small_or_mixed_order_are_no_keys():
    for _ in range(20):
        assert alone.prime_order(KeyPair.generate().public.raw)
    for bad in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32, KeyPair.generate().public.raw[:31]):
        assert not alone.prime_order(bad)
