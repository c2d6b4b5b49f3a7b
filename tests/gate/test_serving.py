"""Serving code: what `requires_permit` demands, what it goes on demanding, and an outage of the ledger."""

from __future__ import annotations

import asyncio
import errno
import inspect
import mmap
import os
import shutil
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

import lab
import ledger_lab as made
import release_lab
from interlock.cli.deployments import register as offer
from interlock.errors import EvidenceError, InterlockError, LedgerError, UsageError
from interlock.gate import lease as lease_module
from interlock.gate import permit_file
from interlock.gate import serving as serving_module
from interlock.gate.clock import Steady
from interlock.gate.narrowing import Less, narrow
from interlock.gate.permit import Held
from interlock.gate.serving import ByFile, ByLedger, UnreachableError, requires_permit
from interlock.gate.trust import Trust
from interlock.ledger import seen
from interlock.subject import _folder
from interlock.subject.deployment import Deployment
from interlock.workspace import now
from release_lab import issue

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def _lab(tmp_path_factory):
    return release_lab.make(tmp_path_factory.mktemp("serving"))


@pytest.fixture
def workspace(tmp_path, _lab):
    return release_lab.copy(_lab, tmp_path / "here")


@pytest.fixture
def permit(workspace):
    return issue(workspace, "deploy-api")


def model(workspace):
    return workspace.folder.parent / "model"


def subject(workspace):
    return workspace.read().subject("real").digest


def by_ledger(workspace, permit, **asked):
    return requires_permit("deploy-api", subject=model(workspace), by=ByLedger(workspace.folder, permit), **asked)


def written(workspace, permit):
    """A permit's file and the trust file, where a gate has them."""
    folder = workspace.folder.parent / "gate"
    folder.mkdir(exist_ok=True)
    (folder / "permit.json").write_bytes(permit_file.export(workspace, permit))
    trust = Trust.of(workspace.read(), workspace.ledger.log, at=now())
    (folder / "trust.json").write_bytes(trust.to_bytes())
    return ByFile(folder / "permit.json", folder / "trust.json", folder / "seen")


def by_file(workspace, permit, **asked):
    return requires_permit("deploy-api", subject=model(workspace), by=written(workspace, permit), **asked)


@pytest.fixture(params=[by_ledger, by_file], ids=["by the ledger", "by a file"])
def demand(request):
    return request.param


def later(monkeypatch, length):
    """The machine's clock from now on, for decisions and leases."""
    moment = now() + length
    lab.later(monkeypatch, moment)
    monkeypatch.setattr(lease_module, "datetime", lab.workspace_module.datetime)


# -- what it demands --------------------------------------------------------------------------------------------------


def test_a_permit_opens_a_function_a_block_and_a_lease(workspace, permit, demand):
    serving = demand(workspace, permit)
    assert serving.asked.subject == subject(workspace)
    assert timedelta() < serving.check() <= 30 * DAY

    @serving
    def answer(prompt):
        """Answers."""
        return prompt.upper()

    assert (answer("x"), answer.__name__, answer.__doc__) == ("X", "answer", "Answers.")
    with serving as lease:
        assert lease.check() <= 30 * DAY


def test_attack_other_weights_in_the_folder(workspace, permit, demand):
    shutil.rmtree(model(workspace))
    release_lab.weights(model(workspace), seed=7)
    with pytest.raises(Held, match="the permit is for subject"):
        demand(workspace, permit)


def test_attack_code_beside_the_weights(workspace, permit, demand):
    (model(workspace) / "modeling.py").write_text("print()")
    with pytest.raises(EvidenceError, match=r"`modeling\.py` is code that a loader may run"):
        demand(workspace, permit)


def test_attack_a_permit_for_another_action(workspace, demand):
    with pytest.raises(Held, match="the permit is for `scale`, expected one for `deploy-api`"):
        demand(workspace, issue(workspace, "scale"))


def test_attack_a_permit_for_one_use_serves_again_and_again(workspace, demand):
    with pytest.raises(Held, match="for one use"):
        demand(workspace, issue(workspace, "deploy-api", single_use=True))


def test_attack_a_permit_for_weights_is_used_for_an_api(workspace, demand):
    with pytest.raises(Held, match="the permit is for `release-weights`"):
        demand(workspace, issue(workspace))


def test_a_folder_that_is_no_model(workspace, permit, tmp_path):
    with pytest.raises(UsageError, match="no such model folder"):
        requires_permit("deploy-api", subject=tmp_path / "none", by=ByLedger(workspace.folder, permit))


def test_the_deployment_is_what_the_code_offers(workspace, demand):
    offered = Deployment(subject(workspace), "5e" * 32, (), (), "api", "public", {})
    offer(workspace, name="api", offered=offered)
    permit, bare = issue(workspace, "deploy-api", deployment="api"), issue(workspace, "deploy-api")
    assert demand(workspace, permit, deployment=offered).check()
    assert demand(workspace, permit, deployment=offered.digest).asked.deployment == offered.digest
    other = replace(offered, system_prompt=None)
    offer(workspace, name="other", offered=other)
    for held, what in ((permit, None), (permit, other), (bare, offered)):
        with pytest.raises(Held, match="expected one for"):
            demand(workspace, held, deployment=what)
    with pytest.raises(Held, match="the deployment is of subject 111111111111"):
        demand(workspace, permit, deployment=replace(offered, subject="1" * 64))


@pytest.mark.parametrize("name", ["permit.json", "trust.json"])
def test_attack_a_file_with_one_bit_turned(workspace, permit, name):
    files = written(workspace, permit)
    path = files.permit.with_name(name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InterlockError, match="file"):
        requires_permit("deploy-api", subject=model(workspace), by=files)


# -- while it runs ----------------------------------------------------------------------------------------------------


def test_it_holds_when_the_lease_ends(workspace, permit, demand, monkeypatch):
    serving = demand(workspace, permit)
    later(monkeypatch, 31 * DAY)
    for ask in (serving.check, serving.renew, serving.check):
        with pytest.raises(Held):
            ask()


def test_weights_swapped_while_it_runs_hold_for_good(workspace, permit, demand):
    serving = demand(workspace, permit)
    config = model(workspace) / "config.json"
    before = config.read_bytes()
    config.write_bytes(before.replace(b"llama", b"other"))
    with pytest.raises(Held, match="are not as they were hashed"):
        serving.renew()
    config.write_bytes(before)
    for ask in (serving.check, serving.renew):
        with pytest.raises(Held, match="are not as they were hashed"):
            ask()


def through_a_mapping(path):
    """A mapping for writing, with a page of it changed already: the kernel has noted that, and notes no more."""
    with path.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 0)
    mapping[-5] = mapping[-5]
    return mapping


@pytest.mark.skipif(sys.platform != "linux", reason="another system does not tell who has a file mapped")
def test_attack_weights_that_are_mapped_for_writing_before_they_are_hashed(workspace, permit, demand):
    told = pytest.raises(EvidenceError, match=r"`model.safetensors` is open or mapped for writing")
    with through_a_mapping(model(workspace) / "model.safetensors"), told:
        demand(workspace, permit)
    assert demand(workspace, permit).check()


def test_attack_weights_changed_through_a_mapping_where_nobody_tells_of_it(workspace, permit, demand, monkeypatch):
    """As where the files are another user's: what is written to the disk first moves a date when it changes."""
    monkeypatch.setattr(_folder, "_is_open_for_writing", lambda _: False)
    if (kind := file_system(workspace.folder)) not in {"ext4", "xfs", "btrfs", "overlay"}:
        pytest.skip(f"`{kind}` may have no disk")
    with through_a_mapping(model(workspace) / "model.safetensors") as mapping:
        serving = demand(workspace, permit)
        serving.renew()
        mapping[-5] ^= 1
        for ask in (serving.renew, serving.check):
            with pytest.raises(Held, match="are not as they were hashed"):
                ask()


def file_system(path):
    """Its kind, by what Linux says of the longest mount point above it."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return max((it for it in mounts if path.is_relative_to(it[1])), key=lambda it: len(it[1]))[2]


def test_a_clock_that_goes_back_holds_for_good(workspace, permit, demand, monkeypatch):
    serving = demand(workspace, permit)
    later(monkeypatch, 3 * DAY)
    assert serving.check()
    later(monkeypatch, -DAY)
    for ask in (serving.check, serving.renew, serving.check, serving.renew):
        with pytest.raises(Held, match="the clock"):
            ask()


def without_seen(workspace, permit):
    by = replace(written(workspace, permit), seen=None)
    return requires_permit("deploy-api", subject=model(workspace), by=by)


@pytest.mark.parametrize(
    "demand", [by_ledger, by_file, without_seen], ids=["by the ledger", "by a file", "by a file, without `seen`"]
)
def test_attack_the_clock_is_set_back_to_what_it_showed_before_each_renewal(workspace, permit, demand, monkeypatch):
    """It never shows less than it did, and never gets to the end: what counts is the clock that nobody sets."""
    shown, ticks = now() + timedelta(minutes=1), [0.0]
    short = narrow(workspace, permit, Less(not_after=shown + timedelta(hours=1)), at=now())
    monkeypatch.setattr(serving_module, "Steady", lambda: Steady(lambda: shown, lambda: ticks[0]))
    serving = demand(workspace, short)
    for left in (40, 20):
        ticks[0] += 20 * 60
        serving.renew()
        assert serving.check() <= timedelta(minutes=left)
    ticks[0] += 20 * 60
    for ask in (serving.check, serving.renew, serving.check, serving.renew):
        with pytest.raises(Held, match="the permit ended"):
            ask()


def test_a_renewal_that_nobody_calls_is_missed(workspace, permit, monkeypatch):
    serving = by_ledger(workspace, permit)
    hour = timedelta(hours=1)
    assert serving.check(within=hour)
    later(monkeypatch, 2 * hour)
    assert serving.check()
    with pytest.raises(Held, match=r"nobody has verified the permit for 7\d\d\d seconds, expected once in 3600"):
        serving.check(within=hour)
    serving.renew()
    assert serving.check(within=hour)


def test_an_outage_is_no_missed_renewal(workspace, permit, monkeypatch):
    serving = by_ledger(workspace, permit)
    later(monkeypatch, timedelta(hours=2))
    workspace.folder.rename(workspace.folder.with_name("away"))
    with pytest.raises(UnreachableError):
        serving.renew()
    assert serving.check(within=timedelta(hours=1))


def test_a_revoked_permit_ends_at_the_next_renewal(workspace, permit, capsys):
    serving = by_ledger(workspace, permit)
    assert lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no").code == 0
    assert serving.check()
    with pytest.raises(Held, match="the permit was revoked by"):
        serving.renew()
    with pytest.raises(Held, match="the permit was revoked by"):
        serving.check()


def revoke(capsys, workspace, permit, serving):
    lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no")
    with pytest.raises(Held):
        serving.renew()


def kinds(serving, ran):
    """Guarded functions that note what of them runs, each with what takes all that it gives."""

    def body(word):
        ran.append(word)
        return word

    @serving
    def items():
        yield body("one")
        yield body("two")

    @serving
    async def answer():
        return body("one")

    @serving
    async def async_items():
        yield body("one")
        yield body("two")

    async def taken(given):
        return [item async for item in given]

    given = serving(lambda: (body(word) for word in ("one", "two")))
    answered = serving(lambda: answer())  # noqa: PLW0108 - a function that is no coroutine by its kind
    return {
        "a generator": (items, list),
        "a coroutine": (answer, asyncio.run),
        "an asynchronous generator": (async_items, lambda it: asyncio.run(taken(it))),
        "a generator that a function gives": (given, list),
        "a coroutine that a function gives": (answered, asyncio.run),
    }


def test_attack_made_while_open_and_run_while_held(workspace, permit, capsys):
    ran = []
    serving = by_ledger(workspace, permit)
    made = {name: (kind(), take) for name, (kind, take) in kinds(serving, ran).items()}
    revoke(capsys, workspace, permit, serving)
    for given, take in made.values():
        with pytest.raises(Held, match="the permit was revoked by"):
            take(given)
    assert ran == []


def test_attack_held_between_two_items(workspace, permit, capsys):
    ran = []
    serving = by_ledger(workspace, permit)
    of = kinds(serving, ran)
    items, given = of["a generator"][0](), of["a generator that a function gives"][0]()

    async def two():
        made = of["an asynchronous generator"][0]()
        assert await anext(made) == "one"
        revoke(capsys, workspace, permit, serving)
        await anext(made)

    assert [next(items), next(given)] == ["one", "one"]
    for go_on in (lambda: asyncio.run(two()), partial(next, items), partial(next, given)):
        with pytest.raises(Held, match="the permit was revoked by"):
            go_on()
    assert ran == ["one"] * 3


def test_attack_held_when_a_generator_returns(workspace, permit, capsys):
    serving = by_ledger(workspace, permit)

    @serving
    def answer():
        yield "one"
        revoke(capsys, workspace, permit, serving)
        return "the answer"

    items = answer()
    assert next(items) == "one"
    with pytest.raises(Held, match="the permit was revoked by"):
        next(items)


def test_attack_held_while_the_answer_is_made(workspace, permit, capsys):
    serving = by_ledger(workspace, permit)

    @serving
    async def answer():
        revoke(capsys, workspace, permit, serving)
        return "an answer"

    with pytest.raises(Held, match="the permit was revoked by"):
        asyncio.run(answer())


def test_a_guarded_function_is_of_the_kind_that_it_was(workspace, permit):
    serving = by_ledger(workspace, permit)
    of = kinds(serving, [])
    assert inspect.isgeneratorfunction(of["a generator"][0])
    assert inspect.iscoroutinefunction(of["a coroutine"][0])
    assert inspect.isasyncgenfunction(of["an asynchronous generator"][0])
    expected = {name: "one" if "coroutine" in name else ["one", "two"] for name in of}
    assert {name: take(kind()) for name, (kind, take) in of.items()} == expected


def test_a_guarded_generator_hears_what_is_sent_thrown_and_closed(workspace, permit):
    heard = []

    @by_ledger(workspace, permit)
    def items():
        try:
            heard.append((yield 1))
            yield 2
        except ZeroDivisionError as error:
            heard.append(type(error))
        try:
            yield 3
        finally:
            heard.append("closed")

    made = items()
    assert [next(made), made.send("a word"), made.throw(ZeroDivisionError())] == [1, 2, 3]
    made.close()
    assert heard == ["a word", ZeroDivisionError, "closed"]


def test_a_positive_result_ends_it_and_what_lifts_the_hold_opens_it_again(workspace, permit):
    serving = by_ledger(workspace, permit)
    made.evaluate(workspace, correct=120, seed=5, about=subject(workspace))
    with pytest.raises(Held, match="`deploy-api` holds: adept reached"):
        serving.renew()
    with pytest.raises(Held, match="`deploy-api` holds: adept reached"):
        serving.check()


def test_a_newer_file_in_its_place_is_seen(workspace, permit, monkeypatch):
    files = written(workspace, permit)
    short = narrow(workspace, permit, Less(not_after=now() + 2 * DAY), at=now())
    files.permit.write_bytes(permit_file.export(workspace, short))
    serving = requires_permit("deploy-api", subject=model(workspace), by=files)
    assert serving.check() <= 2 * DAY
    later(monkeypatch, 3 * DAY)
    with pytest.raises(Held, match="the permit ended at"):
        serving.check()
    files.permit.write_bytes(permit_file.export(workspace, issue(workspace, "deploy-api")))
    serving.renew()
    assert serving.check() > 2 * DAY


@pytest.mark.parametrize("name", ["permit", "trust"])
def test_a_file_that_is_gone_or_cut_off_holds(workspace, permit, name):
    files = written(workspace, permit)
    serving = requires_permit("deploy-api", subject=model(workspace), by=files)
    path = getattr(files, name)
    whole = path.read_bytes()
    for spoil in (lambda: path.write_bytes(whole[:-9]), path.unlink, path.mkdir):
        spoil()
        with pytest.raises(Held, match="the permit cannot be verified"):
            serving.renew()
        with pytest.raises(Held, match="the permit cannot be verified"):
            serving.check()
    path.rmdir()
    path.write_bytes(whole)
    serving.renew()
    assert serving.check()


@pytest.mark.parametrize("name", ["permit", "trust"])
def test_a_file_on_a_disk_that_does_not_answer_leaves_the_rest_of_the_lease(workspace, permit, monkeypatch, name):
    files = written(workspace, permit)
    serving = requires_permit("deploy-api", subject=model(workspace), by=files)
    opened = os.open

    def fails(path, *rest, **options):
        if Path(path) == getattr(files, name):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(UnreachableError, match="does not answer"):
        serving.renew()
    assert serving.check()
    with pytest.raises(UnreachableError):
        requires_permit("deploy-api", subject=model(workspace), by=files)


# -- the ledger is out ------------------------------------------------------------------------------------------------


def test_an_outage_of_the_ledger_leaves_the_rest_of_the_lease(workspace, permit, monkeypatch):
    serving = by_ledger(workspace, permit)
    away = workspace.folder.rename(workspace.folder.with_name("away"))
    with pytest.raises(UnreachableError, match="cannot be reached"):
        serving.renew()
    assert serving.check()
    with monkeypatch.context() as patched:
        later(patched, 31 * DAY)
        with pytest.raises(Held, match="the permit ended at"):
            serving.check()
    away.rename(workspace.folder)


def test_an_outage_lifts_no_hold(workspace, permit, capsys):
    serving = by_ledger(workspace, permit)
    lab.command(capsys, workspace, "permit", "revoke", permit, "--reason", "no")
    with pytest.raises(Held):
        serving.renew()
    workspace.folder.rename(workspace.folder.with_name("away"))
    with pytest.raises(UnreachableError):
        serving.renew()
    with pytest.raises(Held, match="the permit was revoked by"):
        serving.check()


def test_nothing_begins_in_an_outage(workspace, permit):
    asked = ByLedger(workspace.folder.with_name("nowhere"), permit)
    with pytest.raises(UnreachableError):
        requires_permit("deploy-api", subject=model(workspace), by=asked)


def as_it_was(workspace, kept):
    """The ledger's folder, with its sequencer, as a copy from before has it."""
    shutil.rmtree(workspace.folder / "ledger")
    shutil.copytree(kept, workspace.folder / "ledger")


@pytest.mark.parametrize("files", [(), (seen.FILE,)], ids=["the ledger", "the ledger, and what remembers it"])
def test_attack_a_ledger_put_back_to_before_a_revocation_opens_nothing_again(workspace, permit, files):
    """Nor is an open gate's hold lifted, where the process alone remembers; the true ledger lifts nothing either."""
    serving = by_ledger(workspace, permit)
    ledger = workspace.folder / "ledger"
    kept = shutil.copytree(ledger, workspace.folder.parent / "kept")
    made.sign(workspace, made.said("revocation", {"reason": "stop"}, about=permit), "gatekeeper")
    whole = shutil.copytree(ledger, workspace.folder.parent / "whole")
    with pytest.raises(Held, match="the permit was revoked by"):
        serving.renew()
    as_it_was(workspace, kept)
    for name in files:
        (workspace.folder / name).unlink()
    with pytest.raises(Held, match="does not continue what it showed before: it was cut off"):
        serving.renew()
    with pytest.raises(Held, match="does not continue what it showed before"):
        serving.check()
    with pytest.raises(LedgerError, match="it was cut off"):
        by_ledger(workspace, permit)
    as_it_was(workspace, whole)
    with pytest.raises(Held, match="the permit was revoked by"):
        serving.renew()


SPOILT = {
    "its ledger is gone": lambda it: shutil.rmtree(it / "ledger"),
    "its configuration is cut off": lambda it: (it / "interlock.json").write_text("{"),
    "a log was altered": lambda it: (it / "logs" / "log.json").write_text("{ }"),
    "a checkpoint was altered": lambda it: (it / "ledger" / "checkpoint").write_text("x"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_attack_a_workspace_that_is_spoilt_is_no_outage(workspace, permit, spoil):
    serving = by_ledger(workspace, permit)
    spoil(workspace.folder)
    with pytest.raises(Held, match="the permit cannot be verified"):
        serving.renew()
    with pytest.raises(Held, match="the permit cannot be verified"):
        serving.check()
