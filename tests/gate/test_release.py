"""Releasing weights: what leaves, when it is visible, and what a kill, a full disk or an attacker gets out of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from datetime import timedelta

import fsspec
import pytest

import lab
import ledger_lab as made
import release_lab
from interlock.errors import EvidenceError, LedgerError, UsageError
from interlock.evidence import bundle
from interlock.gate import permit_file
from interlock.gate import release as releases
from interlock.gate.destination import Remote
from interlock.gate.permit import Held
from interlock.gate.release import release
from interlock.gate.spending import spend
from interlock.gate.trust import Trust
from interlock.ledger import seen
from interlock.subject import manifest
from interlock.workspace import Place, now
from release_lab import issue

FILES = {"weights/config.json", "weights/model.safetensors", "weights/part/deep/empty.txt"}
PAPERS = {"manifest.json", "permit.json", "decision.bundle.json", "RELEASED"}


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    return release_lab.make(tmp_path_factory.mktemp("release"))


@pytest.fixture
def workspace(tmp_path, _lab):
    return release_lab.copy(_lab, tmp_path / "here")


@pytest.fixture
def permit(workspace):
    return issue(workspace)


@pytest.fixture(params=["folder", "store"])
def destination(request, tmp_path):
    """A folder of this machine, and a store of objects."""
    if request.param == "folder":
        yield str(tmp_path / "out" / "m")
        return
    store = fsspec.filesystem("memory")
    yield f"memory://{tmp_path.name}/m"
    store.rm("/", recursive=True)


def lies(destination):
    """What anybody sees at a destination: contents by name."""
    store, root = fsspec.core.url_to_fs(destination)
    store.invalidate_cache()
    found = store.find(root) if store.exists(root) else []
    return {name[len(root) :].lstrip("/"): store.cat_file(name) for name in found}


def beside(destination):
    """What is staged beside a destination."""
    store, root = fsspec.core.url_to_fs(destination)
    parent = root.rpartition("/")[0]
    found = store.find(parent) if store.exists(parent) else []
    return [name for name in found if ".release-" in name]


def is_whole(workspace, permit, destination):
    got, subject = lies(destination), workspace.read().subject("real").digest
    assert set(got) == FILES | PAPERS
    assert beside(destination) == []
    assert hashlib.sha256(got["manifest.json"]).hexdigest() == subject
    files = dict(workspace.read().manifests[subject].files)
    for name in FILES:
        assert hashlib.sha256(got[name]).hexdigest() == files[name.removeprefix("weights/")]
    spent = workspace.read().spent[permit]
    marker = json.loads(got["RELEASED"])
    assert (marker["subject"], marker["permit"], marker["spent"]) == (subject, permit, spent.digest)
    assert marker["destination"] == spent.destination
    assert marker["papers"] == {name: hashlib.sha256(got[name]).hexdigest() for name in PAPERS - {"RELEASED"}}
    return got


def nothing(workspace, permit, destination, *, spent=False):
    assert lies(destination) == {}
    assert (permit in workspace.read().spent) == spent


# -- what leaves ------------------------------------------------------------------------------------------------------


def test_a_release_is_whole_and_carries_its_papers(workspace, permit, destination):
    done = release(workspace, "real", destination, permit=permit)
    assert (done.permit, done.already, set(done.files)) == (permit, False, FILES | PAPERS)
    got = is_whole(workspace, permit, destination)
    shown = bundle.verify(got["decision.bundle.json"], workspace.ledger.log, policy=workspace.policy_digest)
    assert (shown.decision.action, shown.decision.verdict) == ("release-weights", "permit")
    trust = Trust.of(workspace.read(), workspace.ledger.log, at=now())
    read = permit_file.read(got["permit.json"], trust, at=now())
    assert (read.digest, read.terms.decision) == (permit, shown.record.digest)


def test_the_weights_of_a_release_are_the_subject(workspace, permit, tmp_path):
    release(workspace, "real", str(tmp_path / "out"), permit=permit)
    assert manifest.of(tmp_path / "out" / "weights").digest == workspace.read().subject("real").digest


def test_an_adapter_stands_beside_the_weights(workspace, tmp_path):
    """As two folders that `manifest.of` and a reader can load."""
    adapter = tmp_path / "adapter"
    release_lab.weights(adapter, seed=3, size=1000)
    (adapter / "config.json").unlink()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (adapter / "model.safetensors").rename(adapter / "adapter_model.safetensors")
    place = Place(release_lab.weights(tmp_path / "base", seed=2), adapter)
    digest = release_lab.evaluated(workspace, place, "adapted", seed=2)
    done = release(workspace, "adapted", str(tmp_path / "out"), permit=issue(workspace, subject="adapted"))
    assert "adapter/adapter_config.json" in done.files
    assert manifest.of(tmp_path / "out" / "weights", adapter=tmp_path / "out" / "adapter").digest == digest


def test_a_link_to_a_place_is_that_place(workspace, permit, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    done = release(workspace, "real", f"file://{tmp_path}/link/m", permit=permit)
    assert done.destination == str(tmp_path / "real" / "m")
    is_whole(workspace, permit, done.destination)


def test_an_empty_folder_is_taken(workspace, permit, tmp_path):
    (tmp_path / "out").mkdir()
    release(workspace, "real", str(tmp_path / "out"), permit=permit)
    is_whole(workspace, permit, str(tmp_path / "out"))


def test_the_same_command_again_says_that_it_stands_there(workspace, permit, destination):
    release(workspace, "real", destination, permit=permit)
    size = lab.size(workspace)
    assert release(workspace, "real", destination, permit=permit).already
    assert lab.size(workspace) == size


# -- what does not ----------------------------------------------------------------------------------------------------


def test_attack_a_permit_is_used_for_two_destinations(workspace, permit, destination, tmp_path):
    release(workspace, "real", destination, permit=permit)
    other = str(tmp_path / "elsewhere")
    with pytest.raises(Held, match="the permit was spent by gatekeeper in entry"):
        release(workspace, "real", other, permit=permit)
    assert (lies(other), beside(other)) == ({}, [])
    is_whole(workspace, permit, destination)


def test_attack_a_ledger_put_back_to_before_the_spend_gives_no_second_use(workspace, permit, tmp_path):
    ledger = workspace.folder / "ledger"
    shutil.copytree(ledger, tmp_path / "kept")
    release(workspace, "real", str(tmp_path / "one"), permit=permit)
    shutil.rmtree(ledger)
    shutil.copytree(tmp_path / "kept", ledger)
    seen._here.clear()  # by another process
    with pytest.raises(LedgerError, match="does not continue what it showed before"):
        release(workspace, "real", str(tmp_path / "two"), permit=permit)
    assert not (tmp_path / "two").exists()


def test_attack_a_release_that_was_taken_away_is_made_again(workspace, permit, tmp_path):
    """Whoever takes it away has it, and asks for another."""
    release(workspace, "real", str(tmp_path / "out"), permit=permit)
    shutil.move(tmp_path / "out", tmp_path / "taken")
    with pytest.raises(Held, match="nothing is staged for it"):
        release(workspace, "real", str(tmp_path / "out"), permit=permit)
    assert not (tmp_path / "out").exists()


def test_attack_a_release_is_altered_and_the_command_run_again(workspace, permit, destination):
    release(workspace, "real", destination, permit=permit)
    store, root = fsspec.core.url_to_fs(destination)
    store.pipe_file(f"{root}/weights/config.json", b"{}")
    with pytest.raises(EvidenceError, match=r"`weights/config.json` has SHA-256"):
        release(workspace, "real", destination, permit=permit)


def test_attack_a_permit_that_was_spent_by_hand_releases_nothing(workspace, permit, tmp_path):
    out = str(tmp_path / "out")
    spend(workspace, permit, action="release-weights", destination=out, at=now())
    with pytest.raises(Held, match="nothing is staged for it"):
        release(workspace, "real", out, permit=permit)
    assert lies(out) == {}


def test_attack_weights_swapped_after_the_permit(workspace, permit, destination):
    model = workspace.places()[workspace.read().subject("real").digest].folder
    shutil.rmtree(model)
    release_lab.weights(model, seed=1)
    with pytest.raises(EvidenceError, match=r"is not what was registered as `real`: `model.safetensors` is"):
        release(workspace, "real", destination, permit=permit)
    nothing(workspace, permit, destination)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "real/model.safetensors"])
def test_attack_a_second_model_leaves_under_the_permit_of_the_first(workspace, permit, destination, name):
    """Neither registered with it, nor put beside it later."""
    folder = workspace.places()[workspace.read().subject("real").digest].folder
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copy(folder / "model.safetensors", folder / name)
    with pytest.raises(EvidenceError, match=f"`{name}` has the name of weights"):
        release_lab.evaluated(workspace, Place(folder, None), "two")
    with pytest.raises(EvidenceError, match=f"`{name}` has the name of weights"):
        release(workspace, "real", destination, permit=permit)
    nothing(workspace, permit, destination)


def test_attack_weights_leave_as_training_state(workspace, destination, tmp_path, capsys):
    """A snapshot may be evaluated with it; the door lets the model out and no more."""
    folder = release_lab.weights(tmp_path / "snapshot", seed=2)
    (folder / "optimizer.pt").write_bytes(b"PK\x03\x04 any weights")
    release_lab.evaluated(workspace, Place(folder, None), "snapshot", seed=2)
    permit = issue(workspace, subject="snapshot")
    with pytest.raises(Held, match=r"`snapshot` has `optimizer\.pt`, .*; it is not released"):
        release(workspace, "snapshot", destination, permit=permit)
    nothing(workspace, permit, destination)
    said = lab.command(
        capsys, workspace, "subject", "add", str(folder), "--name", "snapshot", "--compute", str(made.COMPUTE)
    )
    assert said.err.splitlines()[-1].startswith("note: it has `optimizer.pt`, so that it cannot be released")


def test_attack_a_permit_for_another_subject(workspace, tmp_path):
    release_lab.evaluated(workspace, Place(release_lab.weights(tmp_path / "other", seed=1), None), "other", seed=1)
    other = issue(workspace, subject="other")
    with pytest.raises(Held, match="the permit is for subject"):
        release(workspace, "real", str(tmp_path / "out"), permit=other)


def test_attack_a_permit_for_another_action(workspace, tmp_path):
    for options in ({}, {"single_use": True}):
        other = issue(workspace, "scale", **options)
        with pytest.raises(Held, match="the permit is for `scale`, expected one for `release-weights`"):
            release(workspace, "real", str(tmp_path / "out"), permit=other)
        nothing(workspace, other, str(tmp_path / "out"))


def test_a_permit_that_ended_releases_nothing(workspace, permit, destination, monkeypatch):
    lab.later(monkeypatch, now() + timedelta(days=31))
    workspace.refresh()
    with pytest.raises(Held, match="the permit ended at"):
        release(workspace, "real", destination, permit=permit)
    nothing(workspace, permit, destination)


def test_a_destination_that_is_not_empty_is_left_alone(workspace, permit, destination):
    store, root = fsspec.core.url_to_fs(destination)
    store.makedirs(root, exist_ok=True)
    store.pipe_file(f"{root}/theirs", b"theirs")
    with pytest.raises(UsageError, match="is not empty: got `theirs`"):
        release(workspace, "real", destination, permit=permit)
    assert lies(destination) == {"theirs": b"theirs"}
    assert permit not in workspace.read().spent


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("/", "is no folder that a release can make"),
        ("ftp://me:secret@here/m", "the ledger would record it"),
        ("simplecache::memory://m", "without `::`"),
        ("nosuch://m", "fsspec cannot write there"),
        ("memory://", "names no host or bucket"),
        ("file://host/srv/m", "names a host"),
        ("local://srv/m", "names a host"),
        ("file:///srv/a\tb", "is not printable text"),
        ("s3://[x/m", "is no URL"),
        ("/srv/m\udcff", "is not printable text"),  # as a shell hands over a byte that is not UTF-8
        ("/srv/a\nb", "is not printable text"),
        (f"memory://{'m' * 5000}", "expected at most 4096"),
    ],
)
def test_a_destination_that_is_none(workspace, permit, where, match):
    with pytest.raises(UsageError, match=match) as refused:
        release(workspace, "real", where, permit=permit)
    assert "secret" not in str(refused.value)
    assert permit not in workspace.read().spent


def test_a_destination_behind_a_link_that_the_ledger_could_not_record(workspace, permit, tmp_path):
    real = tmp_path / "real\udcff"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(UsageError, match="is not printable text"):
        release(workspace, "real", str(tmp_path / "link" / "m"), permit=permit)
    assert not list(real.iterdir())


def test_a_destination_that_is_a_file(workspace, permit, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file, expected nothing there"):
        release(workspace, "real", str(tmp_path / "out"), permit=permit)


# -- what happens meanwhile -------------------------------------------------------------------------------------------


def at_stage(stage, do):
    """A report of progress that does something once, when a stage is first told of."""
    todo = [do]

    def report(now_at, done, total):
        if now_at == stage and todo:
            todo.pop()()

    return report


def test_attack_a_file_that_changes_while_it_is_copied(workspace, permit, destination):
    model = workspace.places()[workspace.read().subject("real").digest].folder / "model.safetensors"

    def alter():
        with model.open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"X")

    with pytest.raises(EvidenceError, match="it changed while it was copied"):
        release(workspace, "real", destination, permit=permit, report=at_stage("copying", alter))
    nothing(workspace, permit, destination)
    assert beside(destination) == []


def test_attack_what_is_staged_is_altered_before_it_is_read_back(workspace, permit, destination):
    def alter():
        (config,) = [name for name in beside(destination) if name.endswith("model.safetensors")]
        fsspec.core.url_to_fs(destination)[0].pipe_file(config, b"other")

    with pytest.raises(EvidenceError, match=r"`weights/model.safetensors` has SHA-256"):
        release(workspace, "real", destination, permit=permit, report=at_stage("reading back", alter))
    nothing(workspace, permit, destination)


def test_a_positive_result_that_lands_while_copying_holds(workspace, permit, destination):
    subject = workspace.read().subject("real").digest
    report = at_stage("reading back", lambda: made.evaluate(workspace, correct=120, seed=9, about=subject))
    with pytest.raises(Held, match="`release-weights` holds: expert reached"):
        release(workspace, "real", destination, permit=permit, report=report)
    nothing(workspace, permit, destination)
    assert beside(destination) == []


def test_a_positive_result_that_lands_after_the_spend_holds_and_goes_on_holding(
    workspace, permit, destination, monkeypatch
):
    subject, append = workspace.read().subject("real").digest, type(workspace).append

    def then_a_result(self, statement, signing):
        digest = append(self, statement, signing)
        if "permit-spent" in statement.predicate_type:
            monkeypatch.undo()
            made.evaluate(self, correct=120, seed=9, about=subject)
        return digest

    monkeypatch.setattr(type(workspace), "append", then_a_result)
    for _ in range(2):
        with pytest.raises(Held, match="`release-weights` holds: expert reached"):
            release(workspace, "real", destination, permit=permit)
        nothing(workspace, permit, destination, spent=True)


@pytest.fixture
def revoke(workspace, permit, capsys):
    def done():
        assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0

    return done


def test_attack_a_revocation_between_the_spend_and_the_second_look_is_overlooked(
    workspace, permit, destination, monkeypatch, revoke
):
    append = type(workspace).append

    def then_a_revocation(self, statement, signing):
        digest = append(self, statement, signing)
        if "permit-spent" in statement.predicate_type:
            monkeypatch.undo()
            revoke()
        return digest

    monkeypatch.setattr(type(workspace), "append", then_a_revocation)
    for _ in range(2):
        with pytest.raises(Held, match="the permit was revoked by"):
            release(workspace, "real", destination, permit=permit)
        nothing(workspace, permit, destination, spent=True)


def test_attack_a_revocation_after_the_second_look_is_overlooked(workspace, permit, destination, monkeypatch, revoke):
    marker = releases._marker

    def after_a_revocation(*arguments):
        monkeypatch.undo()
        revoke()
        return marker(*arguments)

    monkeypatch.setattr(releases, "_marker", after_a_revocation)
    for _ in range(2):
        with pytest.raises(Held, match="the permit was revoked by"):
            release(workspace, "real", destination, permit=permit)
        assert "RELEASED" not in lies(destination)


@pytest.mark.parametrize("stage", ["_spend", "_check"], ids=["while it is staged", "while it is copied there"])
def test_attack_somebody_puts_weights_into_the_destination_meanwhile(workspace, permit, monkeypatch, stage):
    store, at = fsspec.filesystem("memory"), f"/more{stage}/m"
    real, stages = getattr(releases, stage), []

    def put(*arguments):
        stages.append(arguments[-1])
        if stage == "_spend" or stages[-1] == "reading back at the destination":
            store.pipe_file(f"{at}/weights/pytorch_model.bin", b"theirs")
        return real(*arguments)

    monkeypatch.setattr(releases, stage, put)
    with pytest.raises(
        EvidenceError, match=r"got `weights/pytorch_model\.bin` at .*, expected the files of the release"
    ):
        release(workspace, "real", f"memory:/{at}", permit=permit)
    assert "RELEASED" not in lies(f"memory:/{at}")
    monkeypatch.undo()
    with pytest.raises(EvidenceError, match=r"got `weights/pytorch_model\.bin`"):
        release(workspace, "real", f"memory:/{at}", permit=permit)
    store.rm_file(f"{at}/weights/pytorch_model.bin")
    release(workspace, "real", f"memory:/{at}", permit=permit)
    is_whole(workspace, permit, f"memory:/{at}")


def test_attack_a_destination_that_is_filled_at_the_last_moment_shows_what_is_staged(
    workspace, permit, tmp_path, monkeypatch
):
    out, ask = tmp_path / "out", releases._ask_again

    def then_fill(*arguments):
        ask(*arguments)
        out.mkdir()
        (out / "theirs").write_text("theirs")

    monkeypatch.setattr(releases, "_ask_again", then_fill)
    with pytest.raises(OSError, match="not empty"):
        release(workspace, "real", str(out), permit=permit)
    (staged,) = tmp_path.glob(".out.release-*")
    assert staged.stat().st_mode & 0o077 == 0
    assert lies(str(out)) == {"theirs": b"theirs"}


def test_attack_a_folder_called_a_store_is_staged_where_others_read(workspace, permit, tmp_path):
    out, seen = tmp_path / "out" / "m", []

    def look():
        (staged,) = out.parent.glob(".m.release-*")
        seen.append(staged.stat().st_mode & 0o077)

    release(workspace, "real", f"local://{out}", permit=permit, report=at_stage("reading back", look))
    assert seen == [0]
    is_whole(workspace, permit, str(out))


def test_a_second_release_waits_for_no_lock(workspace, permit, destination, tmp_path):
    def again():
        with pytest.raises(UsageError, match="another release is running"):
            release(workspace, "real", str(tmp_path / "second"), permit=permit)

    release(workspace, "real", destination, permit=permit, report=at_stage("copying", again))
    is_whole(workspace, permit, destination)


def test_a_disk_that_takes_no_more_leaves_nothing(workspace, permit, tmp_path):
    """The system's limit on a file's size fails the same call that a full disk fails."""
    out, (soft, hard) = str(tmp_path / "out"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            release(workspace, "real", out, permit=permit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    nothing(workspace, permit, out)
    assert beside(out) == []
    release(workspace, "real", out, permit=permit)
    is_whole(workspace, permit, out)


def test_a_disk_that_is_full_at_the_spend_leaves_nothing(workspace, permit, destination, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(type(workspace), "append", full)
        with pytest.raises(OSError, match="No space left"):
            release(workspace, "real", destination, permit=permit)
    nothing(workspace, permit, destination)
    assert beside(destination) == []
    release(workspace, "real", destination, permit=permit)
    is_whole(workspace, permit, destination)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "it broke"), LedgerError("it broke")], ids=["disk", "ledger"])
def test_an_error_right_after_the_spend_leaves_what_is_staged(workspace, permit, destination, monkeypatch, error):
    append = type(workspace).append

    def then_breaks(*arguments):
        append(*arguments)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(type(workspace), "append", then_breaks)
        with pytest.raises(type(error), match="it broke"):
            release(workspace, "real", destination, permit=permit)
    nothing(workspace, permit, destination, spent=True)
    release(workspace, "real", destination, permit=permit)
    is_whole(workspace, permit, destination)


def test_what_is_staged_stays_where_nobody_can_tell_whether_the_permit_is_spent(
    workspace, permit, destination, monkeypatch
):
    append = type(workspace).append

    def then_goes_dark(*arguments):
        append(*arguments)
        patched.setattr(type(workspace), "read", broken)
        broken()

    def broken(*arguments):
        raise LedgerError("it broke")

    with monkeypatch.context() as patched:
        patched.setattr(type(workspace), "append", then_goes_dark)
        with pytest.raises(LedgerError, match="it broke"):
            release(workspace, "real", destination, permit=permit)
    release(workspace, "real", destination, permit=permit)
    is_whole(workspace, permit, destination)


# -- kill -9 ----------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from interlock.gate import destination, release
from interlock.workspace import Workspace

class Killed:
    def __call__(self, *arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)

folder, out, permit, module, name = sys.argv[1:]
setattr({"release": release, "Local": destination.Local}[module], name, Killed())
release.release(Workspace.open(Path(folder)), "real", out, permit=permit)
"""


def killed(workspace, out, permit, module, name):
    """A release that is killed where it would call that function."""
    arguments = [workspace.folder, out, permit, module, name]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()


@pytest.mark.parametrize("name", ["_put_papers", "_spend"])
def test_killed_before_the_spend_nothing_is_visible_and_the_permit_is_whole(workspace, permit, tmp_path, name):
    out = tmp_path / "out"
    killed(workspace, out, permit, "release", name)
    nothing(workspace, permit, str(out))
    (staged,) = tmp_path.glob(".out.release-*")
    assert staged.stat().st_mode & 0o077 == 0
    other = tmp_path / "other"
    release(workspace, "real", str(other), permit=permit)  # the permit is still good, for any destination
    assert not out.exists()


@pytest.mark.parametrize(("module", "name"), [("release", "_publish"), ("Local", "publish")])
def test_killed_after_the_spend_it_goes_on_there_and_nowhere_else(workspace, permit, tmp_path, module, name):
    out, other = tmp_path / "out", tmp_path / "other"
    killed(workspace, out, permit, module, name)
    nothing(workspace, permit, str(out), spent=True)
    with pytest.raises(Held, match="the permit was spent"):
        release(workspace, "real", str(other), permit=permit)
    model = workspace.places()[workspace.read().subject("real").digest].folder
    shutil.rmtree(model)  # it goes on from what is staged
    size = lab.size(workspace)
    assert not release(workspace, "real", str(out), permit=permit).already
    is_whole(workspace, permit, str(out))
    assert lab.size(workspace) == size
    assert not other.exists()


def test_killed_when_it_is_visible_it_says_so(workspace, permit, tmp_path):
    killed(workspace, tmp_path / "out", permit, "release", "_released")
    assert release(workspace, "real", str(tmp_path / "out"), permit=permit).already
    is_whole(workspace, permit, str(tmp_path / "out"))


STOPPED = {
    "altered": lambda staged: (staged / "weights" / "config.json").write_text("{}"),
    "with a file more": lambda staged: (staged / "weights" / "more.py").write_text("print()"),
    "with a file less": lambda staged: (staged / "weights" / "config.json").unlink(),
}


@pytest.mark.parametrize("do", STOPPED.values(), ids=STOPPED)
def test_attack_what_was_staged_at_the_kill_is_changed(workspace, permit, tmp_path, do):
    out = tmp_path / "out"
    killed(workspace, out, permit, "release", "_publish")
    (staged,) = tmp_path.glob(".out.release-*")
    do(staged)
    with pytest.raises(EvidenceError, match=r"expected|is missing"):
        release(workspace, "real", str(out), permit=permit)
    nothing(workspace, permit, str(out), spent=True)


def _away(path, staged):
    """Moved to where others may write, and still found."""
    return path.rename(staged.parent / "elsewhere")


def _link_file(staged):
    path = staged / "weights" / "model.safetensors"
    path.symlink_to(_away(path, staged))


def _hard_link(staged):
    path = staged / "weights" / "model.safetensors"
    path.hardlink_to(_away(path, staged))


def _link_folder(staged):
    path = staged / "weights"
    path.symlink_to(_away(path, staged))


def _link_deep_folder(staged):
    path = staged / "weights" / "part" / "deep"
    path.symlink_to(_away(path, staged))


def _link_all(staged):
    staged.symlink_to(_away(staged, staged))


def _pipe(staged):
    path = staged / "weights" / "model.safetensors"
    path.unlink()
    os.mkfifo(path)


LINKED = {
    "a file of weights is a link": _link_file,
    "a file of weights has another name": _hard_link,
    "the folder of weights is a link": _link_folder,
    "a folder within is a link": _link_deep_folder,
    "all of it is a link": _link_all,
    "a file of weights is a pipe": _pipe,
}


@pytest.mark.parametrize("do", LINKED.values(), ids=LINKED)
def test_attack_what_was_staged_at_the_kill_becomes_a_link_out_of_the_release(workspace, permit, tmp_path, do):
    """All its bytes are as they were; who may write where it leads changes them once they are public."""
    out = tmp_path / "out"
    killed(workspace, out, permit, "release", "_publish")
    (staged,) = tmp_path.glob(".out.release-*")
    do(staged)
    with pytest.raises(EvidenceError, match=r"expected a (plain )?file"):
        release(workspace, "real", str(out), permit=permit)
    nothing(workspace, permit, str(out), spent=True)


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_attack_a_paper_that_becomes_a_link_is_not_written_through(workspace, permit, tmp_path, link):
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    killed(workspace, out, permit, "release", "_publish")
    (staged,) = tmp_path.glob(".out.release-*")
    theirs.write_text("theirs")
    (staged / "permit.json").unlink()
    getattr(staged / "permit.json", link)(theirs)
    release(workspace, "real", str(out), permit=permit)
    is_whole(workspace, permit, str(out))
    assert theirs.read_text() == "theirs"
    assert not (out / "permit.json").is_symlink()


def test_attack_a_release_whose_weights_became_a_link_is_none(workspace, permit, tmp_path):
    out = tmp_path / "out"
    release(workspace, "real", str(out), permit=permit)
    _link_file(out)
    with pytest.raises(EvidenceError, match="expected a plain file"):
        release(workspace, "real", str(out), permit=permit)


def test_attack_a_folder_that_others_write_to_in_the_place_of_what_is_staged(workspace, permit, tmp_path):
    out = tmp_path / "out"
    killed(workspace, out, permit, "release", "_publish")
    (staged,) = tmp_path.glob(".out.release-*")
    staged.chmod(0o777)
    with pytest.raises(UsageError, match="is somebody else's"):
        release(workspace, "real", str(out), permit=permit)
    nothing(workspace, permit, str(out), spent=True)


def test_attack_a_link_in_the_place_of_what_is_staged(workspace, permit, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / f".out.release-{permit[:16]}").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic link"):
        release(workspace, "real", str(tmp_path / "out"), permit=permit)
    nothing(workspace, permit, str(tmp_path / "out"))
    assert not list((tmp_path / "theirs").iterdir())


def test_a_permit_that_is_revoked_after_the_kill_finishes_nothing(workspace, permit, tmp_path, capsys):
    out = tmp_path / "out"
    killed(workspace, out, permit, "release", "_publish")
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0
    with pytest.raises(Held, match="the permit was revoked by"):
        release(workspace, "real", str(out), permit=permit)
    nothing(workspace, permit, str(out), spent=True)


@pytest.mark.parametrize("after", [0, 2, 5])
def test_a_store_without_rename_shows_no_release_until_all_is_there(workspace, permit, monkeypatch, after):
    """Broken off after some of the objects were copied: no marker; the same command finishes."""
    destination, copied, copy = f"memory://partly-{after}/m", [], Remote._copy

    def breaks_off(self, name):
        if len(copied) == after:
            raise KeyboardInterrupt
        copied.append(name)
        copy(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Remote, "_copy", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            release(workspace, "real", destination, permit=permit)
    assert len(lies(destination)) == after
    assert "RELEASED" not in lies(destination)
    assert permit in workspace.read().spent
    release(workspace, "real", destination, permit=permit)
    is_whole(workspace, permit, destination)


def test_a_store_is_read_back_after_the_copy_there(workspace, permit, monkeypatch):
    copy = Remote._copy

    def loses_a_byte(self, name):
        copy(self, name)
        if name.endswith("safetensors"):
            self._fs.pipe_file(f"{self._path}/{name}", self._fs.cat_file(f"{self._path}/{name}")[:-1])

    monkeypatch.setattr(Remote, "_copy", loses_a_byte)
    with pytest.raises(EvidenceError, match=r"`weights/model.safetensors` has SHA-256"):
        release(workspace, "real", "memory://lossy/m", permit=permit)
    assert "RELEASED" not in lies("memory://lossy/m")


def test_a_positive_result_that_lands_while_a_store_copies_holds(workspace, permit):
    subject, where = workspace.read().subject("real").digest, "memory://late/m"
    report = at_stage(
        "reading back at the destination", lambda: made.evaluate(workspace, correct=120, seed=9, about=subject)
    )
    with pytest.raises(Held, match="`release-weights` holds: expert reached"):
        release(workspace, "real", where, permit=permit, report=report)
    assert "RELEASED" not in lies(where)


# -- the command ------------------------------------------------------------------------------------------------------


def test_without_a_permit_nothing_is_released(workspace, capsys, tmp_path):
    said = lab.command(capsys, workspace, "release", "real", str(tmp_path / "out"))
    assert said.code == 3
    assert "interlock permit issue -s real -a release-weights" in said.err
    assert not (tmp_path / "out").exists()
    said = lab.command(capsys, workspace, "release", "real", str(tmp_path / "out"), "--json")
    assert (said.code, said.json["released"]) == (3, False)


def test_a_dry_run_copies_and_spends_nothing(workspace, permit, capsys, destination):
    run = ("release", "real", destination, "--permit", permit[:12], "--dry-run")
    said = lab.command(capsys, workspace, *run)
    assert said.code == 0
    assert "weights/model.safetensors" in said.out
    assert "nothing was copied, and nothing spent" in said.out
    told = lab.command(capsys, workspace, *run, "--json").json
    assert {it["name"] for it in told["files"]} == FILES
    assert set(told["papers"]) == PAPERS
    nothing(workspace, permit, destination)
    assert beside(destination) == []


def test_a_dry_run_holds_where_the_release_would(workspace, permit, capsys, tmp_path):
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0
    said = lab.command(capsys, workspace, "release", "real", str(tmp_path / "out"), "-p", permit, "--dry-run")
    assert (said.code, said.out) == (3, "")
    assert "the permit was revoked by" in said.err


def test_a_destination_that_is_not_empty_and_a_model_that_was_swapped_exit_as_what_they_are(
    workspace, permit, capsys, tmp_path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").mkdir()
    assert lab.command(capsys, workspace, "release", "real", str(tmp_path / "out"), "-p", permit).code == 2
    model = workspace.places()[workspace.read().subject("real").digest].folder
    (model / "config.json").write_text("{ }")
    assert lab.command(capsys, workspace, "release", "real", str(tmp_path / "new"), "-p", permit).code == 4


def test_the_command_releases_once(workspace, permit, capsys, destination):
    run = ("release", "real", destination, "--permit", permit[:12], "--json")
    first, second = (lab.command(capsys, workspace, *run) for _ in range(2))
    assert (first.code, first.json["already"]) == (0, False)
    assert (second.code, second.json["already"]) == (0, True)
    is_whole(workspace, permit, destination)
    said = lab.command(capsys, workspace, "release", "real", f"{destination}2", "--permit", permit)
    assert (said.code, said.out) == (3, "")


def test_the_files_of_a_release_are_named_once():
    assert {releases.MANIFEST, releases.PERMIT, releases.BUNDLE, releases.MARKER} == PAPERS
