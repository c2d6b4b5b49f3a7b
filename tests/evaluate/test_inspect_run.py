"""Running a plan through Inspect: once, resumed, refused, interrupted, killed. All runs are real, on a tiny model."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log
from inspect_ai.log._recorders import eval as recorder

from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import inspect_run, local, logs, tasks

SAMPLES = 24
ARGS = {"subject": "sha256:ab"}

CHILD = """
import sys, time
from pathlib import Path
from interlock.evaluate import inspect_run, local, tasks

folder, log_dir, asked, samples = sys.argv[1:]
generate = local.generate

def slow(model, conversations, *, max_new_tokens):
    with Path(asked).open("a") as file:
        file.writelines(turns[-1]["content"] + "\\n" for turns in conversations)
    time.sleep(0.5)
    return generate(model, conversations, max_new_tokens=max_new_tokens)

local.generate = slow
task = tasks.codebook()
task.dataset = task.dataset[: int(samples)]
model = local.load(Path(folder))
print("ready", flush=True)
path = inspect_run.run(task, local=model, model_name="tiny", model_args={"subject": "sha256:ab"},
                       log_dir=Path(log_dir), progress=lambda done, total: None)
print(path.name, flush=True)
"""


@pytest.fixture(scope="module")
def folder(model_folder):
    return model_folder


@pytest.fixture(scope="module")
def tiny(folder):
    return local.load(folder)


@pytest.fixture
def asked(monkeypatch):
    """The words that the model was asked, in order."""
    words, generate = [], local.generate

    def recording(model, conversations, *, max_new_tokens):
        words.extend(turns[-1]["content"] for turns in conversations)
        return generate(model, conversations, max_new_tokens=max_new_tokens)

    monkeypatch.setattr(local, "generate", recording)
    return words


def _task(samples=SAMPLES, **settings):
    task = tasks.codebook(**settings)
    task.dataset = task.dataset[:samples]
    return task


def _run(tiny, log_dir, *, task=None, name="tiny", progress=lambda done, total: None):
    return inspect_run.run(
        task or _task(), local=tiny, model_name=name, model_args=ARGS, log_dir=log_dir, progress=progress
    )


def _fail_once(monkeypatch, error, *, batch):
    generate, batches = local.generate, []

    def failing(*given, **settings):
        batches.append(1)
        if len(batches) == batch:
            raise error
        return generate(*given, **settings)

    monkeypatch.setattr(local, "generate", failing)


def test_a_run_leaves_one_successful_log_of_what_was_planned(tiny, tmp_path, asked, capfd):
    seen = []
    path = _run(tiny, tmp_path / "logs", progress=lambda *counts: seen.append(counts))
    assert capfd.readouterr() == ("", "")
    facts = logs.read(path)
    assert path.parent == tmp_path / "logs"
    assert (facts.task, facts.task_version, facts.model, facts.model_args) == (
        "interlock/codebook",
        3,
        "interlock/tiny",
        ARGS,
    )
    assert (facts.samples_digest, facts.planned) == logs.samples_digest(_task())
    assert sorted(asked) == sorted(sample.id for sample in _task().dataset)
    assert (seen[0], seen[-1]) == ((0, SAMPLES), (SAMPLES, SAMPLES))
    assert seen == sorted(seen)


def test_a_second_call_returns_the_same_log_and_asks_nothing(tiny, tmp_path, asked):
    first = _run(tiny, tmp_path / "my logs")
    content = first.read_bytes()
    asked.clear()
    seen = []
    assert _run(tiny, tmp_path / "my logs", progress=lambda *counts: seen.append(counts)) == first
    assert asked == []
    assert first.read_bytes() == content
    assert set(seen) == {(SAMPLES, SAMPLES)}


def test_a_model_that_gives_no_numbers_ends_in_one_line_and_the_log_is_kept(folder, tmp_path, capfd):
    import torch

    broken = local.load(folder)
    with torch.no_grad():
        next(iter(broken.model.parameters())).fill_(float("nan"))
    with pytest.raises(EvidenceError, match=r"^the run ended with status `error`: model produced non-finite") as caught:
        _run(broken, tmp_path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    (log,) = tmp_path.glob("*.eval")
    assert str(log) in str(caught.value)


def test_after_a_failure_only_the_unanswered_samples_are_asked_again(tiny, tmp_path, asked, monkeypatch):
    with monkeypatch.context() as patch:
        _fail_once(patch, EvidenceError("a bad batch"), batch=2)
        with pytest.raises(EvidenceError, match="a bad batch"):
            _run(tiny, tmp_path)
    first = list(asked)
    asked.clear()
    seen = []
    path = _run(tiny, tmp_path, progress=lambda *counts: seen.append(counts))
    assert first
    assert sorted(first + asked) == sorted(sample.id for sample in _task().dataset)
    assert seen[0] == (len(first), SAMPLES)
    assert logs.read(path).scored == SAMPLES
    assert [info.name.rpartition("/")[2] for info in list_eval_logs(str(tmp_path))] == [path.name]


def test_a_killed_process_is_resumed_by_the_same_call(folder, tmp_path, tiny, asked):
    said, log_dir = tmp_path / "asked", tmp_path / "logs"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(log_dir), str(said), "48"], stdout=subprocess.PIPE, text=True
    )
    while child.poll() is None and _stored(log_dir) == 0:
        time.sleep(0.05)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    stored = _stored(log_dir)
    assert 0 < stored < 48
    path = _run(tiny, log_dir, task=_task(48))
    assert len(asked) == 48 - stored
    assert logs.read(path).scored == 48
    assert sorted(sample.id for sample in read_eval_log(str(path)).samples) == sorted(
        sample.id for sample in _task(48).dataset
    )


@pytest.fixture
def interruptible():
    """Also where a shell runs the tests in the background, whose jobs ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_is_raised_and_the_next_call_resumes(tiny, tmp_path, asked, capfd):
    def interrupt_once(done, total):
        if done == 16:
            threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
            time.sleep(0.1)

    with pytest.raises(KeyboardInterrupt):
        _slowly(tiny, lambda: _run(tiny, tmp_path, task=_task(48), progress=interrupt_once))
    assert capfd.readouterr() == ("", "")
    stored = _stored(tmp_path)
    assert stored > 0
    asked.clear()
    assert logs.read(_run(tiny, tmp_path, task=_task(48))).scored == 48
    assert len(asked) == 48 - stored


def test_a_full_disk_is_an_os_error_and_the_next_call_resumes(tiny, tmp_path, monkeypatch, capfd):
    copy, writes = recorder._copy_temp_to_local, []

    def full(*given, **settings):
        writes.append(1)
        if len(writes) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(*given, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "_copy_temp_to_local", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            _run(tiny, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert capfd.readouterr() == ("", "")
    assert logs.read(_run(tiny, tmp_path)).scored == SAMPLES


def test_a_task_without_samples_is_refused_before_anything_runs(tiny, tmp_path):
    with pytest.raises(UsageError, match="`interlock/codebook` has no samples"):
        _run(tiny, tmp_path / "logs", task=_task(0))
    assert not (tmp_path / "logs").exists()


def test_a_task_that_samples_without_a_seed_is_refused_before_anything_runs(tiny, tmp_path):
    task = _task()
    task.config.temperature = 0.7
    with pytest.raises(UsageError, match="takes a seed, got none"):
        _run(tiny, tmp_path / "logs", task=task)
    assert not (tmp_path / "logs").exists()


def test_a_finished_log_of_other_samples_is_not_taken_for_this_run(tiny, tmp_path):
    _run(tiny, tmp_path)
    changed = _task()
    changed.dataset[0].target = "other"
    with pytest.raises(EvidenceError, match="the log's samples are not the planned ones"):
        _run(tiny, tmp_path, task=changed)


def test_a_log_of_another_model_or_a_damaged_one_is_refused(tiny, tmp_path):
    path = _run(tiny, tmp_path)
    with pytest.raises(EvidenceError, match=r"holds another run: got .*interlock/tiny.* expected .*interlock/other"):
        _run(tiny, tmp_path, name="other")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(EvidenceError, match=r"\.eval` is damaged"):
        _run(tiny, tmp_path)


def test_the_environment_and_the_filters_of_the_caller_are_as_before(tiny, tmp_path, monkeypatch):
    import os

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("INSPECT_EVAL_LIMIT=1\nFROM_A_FILE=yes\n")
    monkeypatch.setenv("INSPECT_EVAL_SET_CAPTURE", str(tmp_path / "captured.json"))
    before, filters = dict(os.environ), list(warnings.filters)
    assert logs.read(_run(tiny, tmp_path / "logs")).scored == SAMPLES
    assert dict(os.environ) == before
    assert warnings.filters == filters
    assert not (tmp_path / "captured.json").exists()


def _stored(log_dir: Path) -> int:
    """Completed samples that can be read from the disk; none while a log is being written."""
    if not list(log_dir.glob("*.eval")):
        return 0
    try:
        found = [read_eval_log(info).samples or [] for info in list_eval_logs(str(log_dir))]
    except (ValueError, OSError):
        return 0
    return sum(sample.error is None and bool(sample.scores) for samples in found for sample in samples)


def _slowly(tiny, action):
    generate = local.generate

    def slow(*given, **settings):
        time.sleep(0.5)
        return generate(*given, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "generate", slow)
        return action()


def test_records_that_an_interrupted_run_left_twice_are_kept_once(tiny, tmp_path):
    path = _run(tiny, tmp_path, task=_task(4))
    before = logs.read(path)
    with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second record, which is the point
        name = next(name for name in archive.namelist() if name.startswith("samples/"))
        record = archive.read(name)
        with zipfile.ZipFile(path, "a") as again:
            again.writestr(name, record)
    with pytest.raises(EvidenceError, match="more than one record"):
        logs.read(path)
    after = logs.read(_run(tiny, tmp_path, task=_task(4)))
    assert (after.completed, after.outcomes_digest) == (before.completed, before.outcomes_digest)
