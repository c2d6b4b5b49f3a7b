"""The launcher's watchdog: it finds all that came from a process, however deep and quick, and kills before it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.gate import _watchdog

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="another system does not tell which processes there are"
)


def test_attack_processes_that_are_nested_deeper_than_calls_may_be(monkeypatch):
    depth = 10 * sys.getrecursionlimit()
    monkeypatch.setattr(_watchdog, "children", lambda process: {process + 1} if process < depth else set())
    assert list(_watchdog.descendants(0)) == list(range(1, depth + 1))
    assert list(_watchdog.descendants(0, but={5})) == [1, 2, 3, 4]


def test_attack_one_that_ends_while_it_is_looked_at_has_left_another(monkeypatch):
    """Its child is nobody's when the launcher's are read, and the launcher's when its own are."""
    looks = {0: [{1}, {1, 2}]}
    monkeypatch.setattr(_watchdog, "children", lambda process: looks.get(process, [set()]).pop(0))
    monkeypatch.setattr(_watchdog, "is_over", lambda process: process == 1)
    looks |= {1: [set()], 2: [set()]}
    assert _watchdog.running(0) == [2]


def test_attack_those_that_are_over_whenever_they_are_looked_at_run(monkeypatch):
    came = []

    def children(process):
        came.extend([len(came) + 1] if process == 0 else [])
        return {came[-1]} if process == 0 else set()

    monkeypatch.setattr(_watchdog, "children", children)
    monkeypatch.setattr(_watchdog, "is_over", lambda _: True)
    assert _watchdog.running(0)


def test_those_that_are_over_run_no_more(monkeypatch):
    monkeypatch.setattr(_watchdog, "children", lambda process: {1, 2} if process == 0 else set())
    monkeypatch.setattr(_watchdog, "is_over", lambda _: True)
    assert _watchdog.running(0) == []


@pytest.mark.parametrize("error", [FileNotFoundError, ProcessLookupError, PermissionError, OSError(24, "files")])
@pytest.mark.parametrize("signalled", [None, PermissionError], ids=["mine", "another user's"])
def test_attack_a_process_of_which_the_system_does_not_tell_is_not_over(monkeypatch, error, signalled):
    """As one that hides: where /proc has `hidepid=2`, it need only not be dumpable, and its files are not there."""

    def fails(*_):
        raise error

    monkeypatch.setattr(Path, "read_bytes", fails)
    if signalled:
        monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(signalled))
    assert not _watchdog.is_over(os.getpid())


def test_a_process_that_has_ended_meanwhile_is_over_and_has_no_children_and_no_environment(monkeypatch):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert _watchdog.is_over(ended.pid)
    assert _watchdog.children(ended.pid) == set()
    monkeypatch.setattr(_watchdog, "_processes", lambda: [ended.pid])
    assert list(_watchdog._marked(b"A=1")) == []


@pytest.mark.parametrize(
    "said", ["until nonsense", "group nonsense", "group \udcff", ""], ids=["time", "group", "no text", "nothing"]
)
def test_attack_what_the_watchdog_does_not_understand_is_no_way_out(said):
    """It kills first, also what has another environment and session, and ends then. So where `over` was not said."""
    others = " ".join(map(str, _watchdog.descendants(os.getpid())))
    command = [sys.executable, "-I", "-S", _watchdog.__file__, str(os.getpid()), "0.02", "0.1", others, "A=1"]
    with subprocess.Popen(["sleep", "600"], start_new_session=True, env={}) as process:
        ended = subprocess.run(command, input=f"{said}\n".encode(errors="surrogateescape"), check=False)
        assert ended.returncode == _watchdog.KILLED
        assert process.wait() == -9
