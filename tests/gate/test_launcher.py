"""A command under a permit: real processes that start, are asked to stop, and are killed with all that they started."""

from __future__ import annotations

import errno
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import permit_lab
from interlock import cli
from interlock.cli.launching import _by_file, _by_ledger
from interlock.errors import HOLD, InterlockError, UsageError
from interlock.gate import _inside, _tree, _watchdog
from interlock.gate import launcher as launcher_module
from interlock.gate._watchdog import descendants
from interlock.gate.clock import Steady
from interlock.gate.launcher import Ended, Pace, UnreachableError, launch
from interlock.gate.lease import Grant, Lease
from interlock.gate.permit import Held
from interlock.gate.training import exit_code
from interlock.workspace import now

linux = pytest.mark.skipif(sys.platform != "linux", reason="another system does not tell which processes there are")

QUICK = Pace(look=0.02, verify=0.02, notice=1.0, grace=0.2)


def script(text):
    return [sys.executable, "-c", textwrap.dedent(text)]


def lease(clock=now, hours=1.0, *, stuck=False):
    at = now()
    if stuck:  # until somebody writes to it
        Path("permit").read_text()
    return Lease(
        Grant(0, 1, at - timedelta(hours=1), at + timedelta(hours=hours), at - timedelta(hours=1)), clock=clock
    )


def after(count, *then):
    """Verified `count` times, then what stands in `then`, then the last of these again."""
    said, told = [*[None] * count, *then], []

    def verify(clock):
        told.append(clock())
        found = said[min(len(told), len(said)) - 1]
        if found is not None:
            raise found
        return lease(clock)

    return verify


def run(command, verify, pace=QUICK):
    said = []
    return launch(command, verify, pace=pace, say=said.append), said


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verify", "why"),
    [
        (after(0, Held("no permit")), "no permit"),
        (after(0, UnreachableError("the disk is gone")), "cannot be reached: the disk is gone"),
        (lambda clock: lease(clock, hours=1 / 3600), "stopping may take"),
    ],
)
def test_without_a_permit_nothing_starts(verify, why, tmp_path):
    with pytest.raises(Held, match=why):
        run(["touch", str(tmp_path / "started")], verify)
    assert not list(tmp_path.iterdir())


@linux
@pytest.mark.parametrize(
    "hidden", [lambda it: it.name == "children", lambda it: it.is_relative_to("/proc")], ids=["children", "/proc"]
)
def test_attack_a_kernel_that_does_not_tell_what_a_command_starts(tmp_path, monkeypatch, hidden):
    """As one without CONFIG_PROC_CHILDREN. What is in another session would train on after the lease."""

    def hide(name, says):
        real = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda path: says(path) if hidden(path) else real(path))

    gone = _raises(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    for name, says in {"exists": lambda _: False, "read_bytes": gone, "iterdir": gone}.items():
        hide(name, says)
    with pytest.raises(Held, match="CONFIG_PROC_CHILDREN"):
        run(["touch", str(tmp_path / "started")], after(1))
    assert not list(tmp_path.iterdir())


@linux
def test_attack_a_proc_of_another_namespace_tells_of_the_children_of_others(monkeypatch):
    """There the launcher's number is another process's, or nobody's."""
    with subprocess.Popen(["sleep", "600"]) as other:
        monkeypatch.setattr(os, "getpid", lambda: other.pid)
        assert Path(f"/proc/{other.pid}/task/{other.pid}/children").exists()
        assert not _watchdog.tells()
        other.kill()


def test_a_command_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="cannot start `no-such-command`"):
        run(["no-such-command"], after(1))


def test_without_a_place_for_temporary_files_nothing_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no temporary folder can be made"):
        run(["touch", str(tmp_path / "started")], after(1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("7", 7)])
def test_a_command_that_ends_by_itself_gives_its_own_exit_code(code, expected):
    assert run(["sh", "-c", f"exit {code}"], after(1))[0] == Ended(expected, None)


def test_a_command_that_a_signal_ended_gives_128_and_the_signal():
    assert run(["sh", "-c", "kill -9 $$"], after(1))[0] == Ended(137, None)


@pytest.mark.parametrize("bad", [{"look": 0}, {"verify": 0}, {"notice": -1}, {"grace": float("nan")}])
def test_a_pace_that_cannot_be_is_refused(bad):
    with pytest.raises(UsageError, match=f"--{next(iter(bad))} is"):
        Pace(**bad)


# -- stopping ----------------------------------------------------------------------------------------------------------

SAVES = """
    import pathlib, signal, sys, time
    def save(number, frame):
        pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "saved").write_text("whole")
        sys.exit(0)
    signal.signal(signal.SIGUSR1, save)
    pathlib.Path("ready").touch()
    while True: time.sleep(1)
"""


def when_ready(folder, then):
    """Verified until the command has begun to wait; from then on what `then` raises."""

    def verify(clock):
        if (folder / "ready").exists():
            raise then
        return lease(clock)

    return verify


def test_one_that_is_told_in_time_saves_and_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended, said = run(script(SAVES), when_ready(tmp_path, Held("the permit was revoked")))
    assert ended == Ended(0, "the permit was revoked")
    assert said == ["hold: the permit was revoked"]
    assert (tmp_path / "saved").read_text() == "whole"


def test_one_that_does_not_listen_is_killed_with_everything_that_it_started_in_whatever_session(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deaf = """
        import os, pathlib, signal, subprocess, sys, time
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
        depth = int(sys.argv[1]) if len(sys.argv) > 1 else 0
        if depth < 2:
            subprocess.Popen([sys.executable, __file__, str(depth + 1)], start_new_session=True)
        pathlib.Path(f"pid{depth}").write_text(str(os.getpid()))
        while len(list(pathlib.Path().glob("pid*"))) < 3: time.sleep(0.01)
        if depth == 1: os._exit(0)    # its child is handed on
        pathlib.Path("ready").touch()
        while True: time.sleep(1)
    """
    (tmp_path / "deaf.py").write_text(textwrap.dedent(deaf))
    pace = Pace(look=0.02, verify=0.02, notice=0.1, grace=0.1)
    ended, said = run([sys.executable, "deaf.py"], when_ready(tmp_path, Held("over")), pace)
    assert ended == Ended(128 + signal.SIGKILL, "over")
    assert said[-1] == "it has not stopped, and is killed"
    for depth in range(3):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / f"pid{depth}").read_text()), 0)


def test_a_child_that_outlives_its_parent_does_not_outlive_the_launcher(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended, _ = run(["sh", "-c", "setsid sleep 600 & echo $! > pid"], after(1))
    assert ended == Ended(0, None)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_it_is_asked_to_stop_before_the_lease_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = [now()]
    first = lease(lambda: shown[0])

    def verify(clock):
        return first

    def tick(clock=Steady):
        if (tmp_path / "ready").exists():
            shown[0] = first.grant.ends - timedelta(seconds=1)
        return shown[0]

    first._clock = tick
    ended, _ = run(script(SAVES), verify, Pace(look=0.02, verify=100, notice=2, grace=1))
    assert (tmp_path / "saved").exists()
    assert "the lease ends in 1 seconds" in ended.held


#: What torchrun is like: it dies of SIGUSR1, its workers are in sessions of their own, and it fails when they end.
AGENT = """
    import os, pathlib, subprocess, sys, time
    workers = [subprocess.Popen([sys.executable, "worker.py", str(n)], start_new_session=True) for n in range(2)]
    while len(list(pathlib.Path().glob("ready-*"))) < 2:
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.01)
    pathlib.Path("ready").touch()
    for worker in workers: worker.wait()
    sys.exit(1)
"""
WORKER = """
    import os, pathlib, signal, sys, time
    here, mine, agent = pathlib.Path(), sys.argv[1], os.getppid()
    def wait(name):
        while not (here / name).exists(): time.sleep(0.01)
    def save(number, frame):
        SAVE
        (here / f"saved-{mine}").write_text(signal.Signals(number).name)
        sys.exit(0)
    BEGIN
    (here / f"ready-{mine}").touch()
    LATER
    while True: time.sleep(1)
"""


def workers(folder, begin="pass", save="pass", later="pass"):
    """An agent and two workers of it."""
    lines = {"BEGIN": begin, "SAVE": save, "LATER": later}
    (folder / "worker.py").write_text(re.sub("BEGIN|SAVE|LATER", lambda it: lines[it[0]], textwrap.dedent(WORKER)))
    return script(AGENT)


def saved(folder):
    return [it.read_text() for it in sorted(folder.glob("saved-*"))]


@linux
@pytest.mark.parametrize(("number", "code"), [("SIGUSR1", 1), ("SIGTERM", 128 + signal.SIGTERM)])
def test_workers_in_sessions_of_their_own_are_told_too_and_waited_for(tmp_path, monkeypatch, number, code):
    """What does not want SIGUSR1 does not get it, and ends by itself when the workers have."""
    monkeypatch.chdir(tmp_path)
    command = workers(tmp_path, f"signal.signal(signal.{number}, save)")
    pace = Pace(look=0.02, verify=0.02, notice=60, grace=60)
    ended, said = run(command, when_ready(tmp_path, Held("revoked")), pace)
    assert saved(tmp_path) == [number, number]
    assert (ended, said) == (Ended(code, "revoked"), ["hold: revoked"])


@linux
def test_where_nobody_wants_to_be_told_nothing_is_waited_for(monkeypatch):
    monkeypatch.setattr(_tree, "_time_left", lambda _: pytest.fail("it waits"))
    others = frozenset(descendants(os.getpid()))
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        tree = _tree.Tree(process, others)
        try:
            assert not tree.save_within(60)
            assert process.poll() is None
        finally:
            assert tree.kill() == []
    assert tree.save_within(60)


@linux
def test_workers_that_outlive_their_agent_have_the_whole_notice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dies = 'import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0)); pathlib.Path("ready").touch()'
    begin = "signal.signal(signal.SIGUSR1, save)"
    command = workers(tmp_path, begin, save='while os.path.exists(f"/proc/{agent}"): time.sleep(0.01)')
    command[-1] = command[-1].replace('pathlib.Path("ready").touch()', dies)
    pace = Pace(look=0.02, verify=0.02, notice=60, grace=60)
    ended, _ = run(command, when_ready(tmp_path, Held("revoked")), pace)
    assert saved(tmp_path) == ["SIGUSR1", "SIGUSR1"]
    assert ended == Ended(0, "revoked")


@linux
def test_a_worker_that_is_not_ready_to_be_told_is_told_when_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catches = "signal.signal(signal.SIGUSR1, save)"
    command = workers(
        tmp_path,
        begin=f'if mine == "0": {catches}',
        later=f'if mine == "1": wait("told"); {catches}',
        save='if mine == "0": (here / "told").touch(); wait("saved-1")',
    )
    pace = Pace(look=0.02, verify=0.02, notice=60, grace=60)
    run(command, when_ready(tmp_path, Held("revoked")), pace)
    assert saved(tmp_path) == ["SIGUSR1", "SIGUSR1"]


def test_stopping_takes_no_longer_than_what_the_lease_left_when_it_was_looked_at():
    """A look at the permit may have taken until just before the end."""
    asked = []
    fake = SimpleNamespace(
        tell=lambda left: asked.append(left.total_seconds()), save_within=asked.append, end_within=asked.append
    )
    pace = Pace(notice=60, grace=30, look=1)
    for left, most in ((1000, [92, 60, 30]), (46, [46, 30, 15]), (-5, [0, 0, 0])):
        asked.clear()
        watched = launcher_module._Watched(fake, lease, lease(), fake, pace, str, time.monotonic() + left)
        watched._stop("over")
        assert len(asked) == 3
        assert all(got <= limit for got, limit in zip(asked, most, strict=True))
    assert pace.stopping == timedelta(seconds=92)


@linux
def test_attack_a_process_whose_first_thread_has_ended_is_not_over(tmp_path, monkeypatch):
    """To the system it looks like one that only waits for its exit code to be read."""
    number = {"x86_64": 60, "aarch64": 93}.get(platform.machine())
    if number is None:
        pytest.skip("the number of the system call that ends one thread is not known here")
    monkeypatch.chdir(tmp_path)
    hides = f"""
        import ctypes, os, pathlib, threading, time
        def work():
            while pathlib.Path(f"/proc/{{os.getpid()}}/stat").read_text().rpartition(")")[2].split()[0] != "Z": pass
            pathlib.Path("pid").write_text(str(os.getpid()))
            time.sleep(600)
        threading.Thread(target=work).start()
        ctypes.CDLL(None).syscall({number}, 0)
    """
    starts = f"""
        import pathlib, subprocess, sys
        subprocess.Popen({script(hides)!r}, start_new_session=True)
        while not pathlib.Path("pid").exists() or not pathlib.Path("pid").read_text(): pass
    """
    assert run(script(starts), after(1))[0] == Ended(0, None)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


NAMED = """
    import ctypes, os, pathlib, signal, time
    for number in (signal.SIGUSR1, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(15, b"\\xff\\x0b)")
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
"""
#: Each has left another before it ends. All have a pipe open, of which one reads the end when none of them is there.
COMET = """
    import os, pathlib, signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.open("alive", os.O_WRONLY)
    pathlib.Path("pid").write_text("begun")
    while True:
        if os.fork(): os._exit(0)
        os.setsid()
"""


def starts(text):
    """A command that starts another in a session of its own, and waits until that has begun."""
    return script(f"""
        import pathlib, subprocess, sys
        subprocess.Popen({script(text)!r}, start_new_session=True)
        while not pathlib.Path("pid").exists() or not pathlib.Path("pid").read_text(): pass
    """)


@linux
def test_attack_a_process_whose_name_is_no_text_is_not_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(starts(NAMED), after(1))[0] == Ended(0, None)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@linux
def test_a_process_whose_name_is_no_text_is_told_to_save(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = 'signal.signal(signal.SIGUSR1, save)\nimport ctypes; ctypes.CDLL(None).prctl(15, b"\\xff\\x0b)")'
    command = script(textwrap.dedent(SAVES).replace("signal.signal(signal.SIGUSR1, save)", named))
    assert run(command, when_ready(tmp_path, Held("revoked")))[0] == Ended(0, "revoked")
    assert (tmp_path / "saved").read_text() == "whole"


@linux
def test_attack_a_process_that_leaves_another_before_it_can_be_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("alive")
    alive = os.open("alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(starts(COMET), after(1)) == (Ended(0, None), [])
        assert os.read(alive, 1) == b""  # an error, while one has it open
    finally:
        os.close(alive)


@linux
def test_processes_that_were_handed_on_are_not_left_unread_while_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hands_on = """
        import os, pathlib, sys, time
        if not os.fork():
            if os.fork(): os._exit(0)
            pathlib.Path("pid").write_text(str(os.getpid()))
            os._exit(0)
        os.wait()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pid = pathlib.Path("pid").read_text() if os.path.exists("pid") else ""
            if pid and not os.path.exists(f"/proc/{pid}"): sys.exit(7)
            time.sleep(0.01)
    """
    with subprocess.Popen(["sh", "-c", "exit 5"]) as before:
        while not _watchdog.is_over(before.pid):
            pass
        assert run(script(hands_on), after(1))[0] == Ended(7, None)
        assert before.wait() == 5  # nobody else has read it


# -- what whoever starts the launcher leaves it ------------------------------------------------------------------------


def test_attack_exit_codes_that_nobody_wants_to_read(tmp_path):
    """`trap '' CHLD; exec interlock run ...`: every exit code would read as 0."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run(["sh", "-c", "exit 7"], after(1))[0] == Ended(7, None)
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_attack_signals_that_are_blocked(tmp_path):
    """Neither the launcher's own alarm nor what asks the command to stop would come."""
    blocked = {signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1}
    seen = []

    def verify(clock):
        seen.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        return lease(clock)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        counts = "import signal, sys; sys.exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
        assert run(script(counts), verify)[0] == Ended(len(before - blocked), None)
        assert not seen[0] & blocked
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) >= blocked
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _does_not_come_back(_):
    nobody_writes, _kept_open = os.pipe()
    os.read(nobody_writes, 1)


def _raises(error):
    def say(_):
        raise error

    return say


@pytest.mark.parametrize(
    "say",
    [_raises(BrokenPipeError(errno.EPIPE, "Broken pipe")), _raises(ValueError("closed file")), _does_not_come_back],
    ids=["nobody reads", "it is closed", "who reads was stopped"],
)
def test_attack_what_is_said_is_heard_by_nobody(tmp_path, monkeypatch, say):
    """The command is asked to save all the same, and the hold is told by the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launcher_module, "_HEARD", 0.1)
    verify = when_ready(tmp_path, Held("revoked"))
    assert launch(script(SAVES), verify, pace=QUICK, say=say) == Ended(0, "revoked")
    assert (tmp_path / "saved").read_text() == "whole"


# -- a gate inside the command -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "tells", "held"),
    [(1, "it is used up", "it is used up"), (1, "", None), (0, "it is used up", None)],
    ids=["it held, and the command failed", "the command failed", "the command goes on in spite of it"],
)
def test_a_command_that_fails_after_a_gate_inside_it_has_held_was_held(tmp_path, code, tells, held):
    """Whatever stands between the two, and makes another exit code of it."""
    said = f'echo "{tells}" >> "${_inside.FILE}"; ' if tells else ""
    ended, lines = run(["sh", "-c", f"sh -c '{said}exit 3'; exit {code}"], after(1))
    assert ended == Ended(code, held)
    assert lines == ([f"hold: {held}"] if held else [])


def test_a_gate_in_training_tells_the_launcher_that_it_holds(tmp_path, monkeypatch):
    monkeypatch.setenv(_inside.FILE, str(tmp_path / "held"))
    gate = SimpleNamespace(ended="the permit is used up")
    with pytest.raises(SystemExit) as ended, exit_code(gate):
        pass
    assert ended.value.code == HOLD
    assert _inside.read(tmp_path / "held") == "the permit is used up"


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, Path.mkdir, lambda it: it.symlink_to(it.with_name("other"))],
    ids=["pipe", "folder", "link"],
)
def test_attack_what_is_no_file_in_the_place_of_what_a_gate_tells(tmp_path, monkeypatch, put):
    """Neither the gate nor the launcher waits for it."""
    (tmp_path / "other").write_text("held by nobody")
    put(tmp_path / "held")
    monkeypatch.setenv(_inside.FILE, str(tmp_path / "held"))
    _inside.tell("the permit is used up")
    assert _inside.read(tmp_path / "held") is None
    assert (tmp_path / "other").read_text() == "held by nobody"


def test_a_reason_that_is_no_text_is_told_as_far_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv(_inside.FILE, str(tmp_path / "held"))
    _inside.tell("no permit for `\udcff`")
    assert _inside.read(tmp_path / "held") == "no permit for `?`"


def test_attack_a_command_that_fills_the_folder_for_what_a_gate_tells(tmp_path, monkeypatch):
    """More folders in one another than can be removed: the exit code is the command's all the same."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deep = f"""
        import os
        os.chdir(os.path.dirname(os.environ["{_inside.FILE}"]))
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
    """
    try:
        assert run(script(deep), after(1))[0] == Ended(0, None)
    finally:
        subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


# -- a permit that cannot be looked at, and clocks ---------------------------------------------------------------------


def test_it_runs_on_while_the_permit_cannot_be_reached_and_says_so_once(tmp_path):
    gate = tmp_path / "go"

    def verify(clock, asked=[]):  # noqa: B006 - counts
        asked.append(1)
        if len(asked) == 8:
            gate.touch()
        if 2 <= len(asked) <= 5:
            raise UnreachableError("no route")
        return lease(clock)

    ended, said = run(["sh", "-c", f"until [ -e {gate} ]; do sleep 0.02; done; exit 4"], verify)
    assert ended == Ended(4, None)
    assert [line.split(",")[0] for line in said] == ["the permit cannot be reached", "the permit can be reached again"]


def test_while_it_cannot_be_reached_the_old_lease_still_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = lease(hours=4 / 3600)
    said = []

    def verify(clock):
        if said:
            raise UnreachableError("no route")
        said.append(1)
        return short

    ended, _ = run(script(SAVES), verify, Pace(look=0.02, verify=0.02, notice=2, grace=0.5))
    assert "the lease ends in" in ended.held


def test_a_clock_that_goes_back_between_two_leases_holds():
    shown = iter([now(), now() + timedelta(hours=1), now() + timedelta(minutes=30)])
    clock = Steady(lambda: next(shown))
    clock()
    with pytest.raises(Held, match="the clock went back"):
        clock()


def test_a_clock_that_stands_still_is_overtaken_by_the_one_that_nobody_sets():
    at, ticks = now(), iter([0.0, 90.0])
    assert Steady(lambda: at, lambda: next(ticks))() == at + timedelta(seconds=90)


def test_signals_are_passed_on(tmp_path):
    launcher = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        import test_launcher as tests
        ended, _ = tests.run(tests.script(tests.SAVES.replace("SIGUSR1", "SIGTERM")), tests.after(1))
        print(ended.code, ended.held)
    """
    with subprocess.Popen(script(launcher), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0].split() == ["0", "None"]
    assert (tmp_path / "saved").exists()


@linux
def test_a_sigusr1_from_outside_goes_to_those_who_want_it(tmp_path):
    """As from a scheduler. An agent that does not know it would die, and its workers with it."""
    launcher = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        import test_launcher as tests
        from pathlib import Path
        command = tests.workers(Path(), "signal.signal(signal.SIGUSR1, save)")
        print(tests.run(command, tests.after(1))[0].code)
    """
    with subprocess.Popen(script(launcher), cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGUSR1)
        assert process.communicate(timeout=60)[0].split() == ["1"]
    assert saved(tmp_path) == ["SIGUSR1", "SIGUSR1"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of another system does not tell a child")
def test_a_launcher_that_is_killed_takes_the_command_with_it(tmp_path):
    launcher = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        import test_launcher as tests
        pace = tests.Pace(look=0.02, verify=0.02, grace=60)
        tests.run(tests.script(tests.SAVES.replace("SIGUSR1", "SIGTERM")), tests.after(1), pace)
    """
    with subprocess.Popen(script(launcher), cwd=tmp_path) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        process.kill()
    while not (tmp_path / "saved").exists():
        pass


# -- a command that goes for its launcher -----------------------------------------------------------------------------

HOSTILE = """
    import os, pathlib, signal, sys, time
    for number in (signal.SIGUSR1, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
    launcher, here = os.getppid(), pathlib.Path()
    def watchdog():
        for it in pathlib.Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
            if "_watchdog" in pathlib.Path(f"/proc/{it}/cmdline").read_text(): return int(it)
    (here / "pid").write_text(str(os.getpid()))
    (here / "ready").touch()
    while True:
        WHAT
        time.sleep(0.001)
"""
STOPS_IT_AGAIN_AND_AGAIN = "os.kill(launcher, signal.SIGSTOP)"
STOPS_IT_ONCE = "(here / 'once').exists() or ((here / 'once').touch(), os.kill(launcher, signal.SIGSTOP))"
KILLS_IT = "os.kill(launcher, signal.SIGKILL); launcher = 0; time.sleep(600)"
KILLS_ITS_WATCHDOG = "os.kill(watchdog(), signal.SIGKILL); time.sleep(600)"
STOPS_ITS_WATCHDOG = "os.kill(watchdog(), signal.SIGSTOP)"
STOPS_ITS_WATCHDOG_AND_KILLS_IT = f"{STOPS_ITS_WATCHDOG}; {KILLS_IT}"
WAITS = "time.sleep(600)"


@contextmanager
def against(folder, what, verify, grace=0.1):
    """A launcher in a process of its own, over a command that is hostile to it."""
    launcher = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        import test_launcher as tests
        from pathlib import Path
        pace = tests.Pace(look=0.02, verify=0.02, notice=0.1, grace={grace})
        hostile = tests.HOSTILE.replace("WHAT", {what!r})
        ended, _ = tests.run(tests.script(hostile), {verify}, pace)
        print(ended.code, ended.held)
    """
    with subprocess.Popen(script(launcher), cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def is_over(folder):
    """The hostile command runs no more; waits until then."""
    command = int((folder / "pid").read_text())
    while not _watchdog.is_over(command):
        pass
    return True


@linux
def test_attack_the_command_stops_its_launcher_once(tmp_path):
    with against(tmp_path, STOPS_IT_ONCE, "tests.when_ready(Path(), tests.Held('revoked'))") as process:
        assert process.communicate(timeout=60)[0].split() == ["137", "revoked"]


@linux
def test_attack_the_command_stops_its_launcher_again_and_again(tmp_path):
    with against(tmp_path, STOPS_IT_AGAIN_AND_AGAIN, "tests.after(1)") as process:
        code, _, why = process.communicate(timeout=60)[0].partition(" ")
    assert code == "137"
    assert "its watchdog has killed the command" in why


@linux
@pytest.mark.parametrize("what", [KILLS_IT, STOPS_ITS_WATCHDOG_AND_KILLS_IT])
def test_attack_the_command_kills_its_launcher_and_does_not_listen(tmp_path, what):
    with against(tmp_path, what, "tests.after(1)") as process:
        assert process.wait(60) == -signal.SIGKILL
    assert is_over(tmp_path)


@linux
def test_attack_an_agent_that_dies_with_the_launcher_leaves_deaf_workers(tmp_path):
    """They are nobody's children then, in sessions of their own."""
    launcher = f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        import test_launcher as tests
        from pathlib import Path
        deaf = 'for it in (signal.SIGUSR1, signal.SIGTERM): signal.signal(it, signal.SIG_IGN)'
        pid = '(here / ("pid-" + mine)).write_text(str(os.getpid()))'
        tests.run(tests.workers(Path(), deaf + chr(10) + pid), tests.after(1))
    """
    with subprocess.Popen(script(launcher), cwd=tmp_path) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        process.kill()
    workers = [int(file.read_text()) for file in tmp_path.glob("pid-*")]
    assert len(workers) == 2
    until = time.monotonic() + 60
    while not all(map(_watchdog.is_over, workers)):
        assert time.monotonic() < until


@linux
def test_attack_the_command_kills_the_watchdog(tmp_path):
    with against(tmp_path, KILLS_ITS_WATCHDOG, "tests.after(1)") as process:
        code, _, why = process.communicate(timeout=60)[0].partition(" ")
    assert code == "137"
    assert "the launcher's watchdog is gone" in why


@linux
def test_attack_the_command_stops_the_watchdog(tmp_path):
    """It is woken, and the launcher goes on."""
    with against(tmp_path, STOPS_ITS_WATCHDOG, "tests.when_ready(Path(), tests.Held('revoked'))") as process:
        assert process.communicate(timeout=60)[0].split() == ["137", "revoked"]


@linux
def test_attack_a_launcher_that_cannot_kill_leaves_it_to_its_watchdog(tmp_path):
    """Whatever its own killing fails of: that all is over is said only where it is."""
    fails = "setattr(tests._tree.Tree, 'kill', None) or tests.when_ready(Path(), tests.Held('revoked'))"
    with against(tmp_path, WAITS, fails) as process:
        assert process.wait(60) == 1
    assert is_over(tmp_path)


@linux
def test_attack_a_look_at_the_permit_that_never_ends(tmp_path):
    """A disk that does not answer: the launcher is stuck in the system, and the lease ends."""
    os.mkfifo(tmp_path / "permit")
    stuck = "lambda clock: tests.lease(clock, hours=(1 + 0.5) / 3600, stuck=Path('ready').exists())"
    with against(tmp_path, WAITS, stuck) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        assert is_over(tmp_path)
        (tmp_path / "permit").write_text("")
        code, _, why = process.communicate(timeout=60)[0].partition(" ")
    assert code == "137"
    assert why.startswith(("the permit ended at", "the launcher was stopped or stuck"))  # whichever it sees first


def test_attack_a_look_at_the_permit_that_takes_too_long_is_a_hold(tmp_path, monkeypatch):
    """As where somebody appends what takes hours to decide upon: the command is asked to save, and ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launcher_module, "_LATE", 0.2)

    def verify(clock):
        while (tmp_path / "ready").exists():
            pass
        return lease(clock)

    ended, said = run(script(SAVES), verify)
    assert ended == Ended(0, "a look at the permit did not come back within 0.2 seconds")
    assert (tmp_path / "saved").read_text() == "whole"
    assert said == [f"hold: {ended.held}"]


@pytest.mark.parametrize("error", [ValueError("Exceeds the limit (4300 digits)"), RecursionError("too deep")])
def test_attack_a_look_at_the_permit_that_fails_as_nobody_foresaw_is_a_hold(tmp_path, monkeypatch, error):
    """As where somebody appends what cannot be printed: the command is asked to save, and ends."""
    monkeypatch.chdir(tmp_path)

    def verify(clock):
        if (tmp_path / "ready").exists():
            raise error
        return lease(clock)

    ended, said = run(script(SAVES), verify)
    assert ended == Ended(0, f"the permit cannot be verified: {type(error).__name__}: {error}")
    assert (tmp_path / "saved").read_text() == "whole"
    assert said == [f"hold: {ended.held}"]


@linux
def test_attack_a_look_at_the_permit_that_cannot_be_interrupted(tmp_path):
    """One long computation, which hears no signal before its end: the watchdog does not wait for that."""
    os.mkfifo(tmp_path / "permit")
    deaf = "tests.signal.pthread_sigmask(tests.signal.SIG_BLOCK, {tests.signal.SIGALRM})"
    stuck = f"lambda clock: ({deaf}, tests.lease(clock, stuck=Path('ready').exists()))[1]"
    with against(tmp_path, WAITS, f"setattr(tests.launcher_module, '_LATE', 0.2) or ({stuck})") as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        assert is_over(tmp_path)
        (tmp_path / "permit").write_text("")
        code, _, why = process.communicate(timeout=60)[0].partition(" ")
    assert code == "137"
    assert why.startswith("the launcher was stopped or stuck")


# -- with real permits -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launcher")
    workspace = permit_lab.evaluated(folder / "lab")
    permit, trust = permit_lab.files(workspace, folder / "gate")
    return workspace, permit, trust


def interlock(*arguments, cwd):
    command = [sys.executable, "-c", "from interlock.cli import main; main()", "run", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@contextmanager
def working(folder, *options):
    """`interlock run` over a command that saves when it is told to, once that has begun."""
    (folder / "work.py").write_text(textwrap.dedent(SAVES))
    command = [sys.executable, "-c", "from interlock.cli import main; main()", "run", *map(str, options)]
    command += ["--every", "0.05", "--", sys.executable, "work.py"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        while not (folder / "ready").exists():
            assert process.poll() is None
        yield process


def test_a_permit_in_a_file_opens_and_the_command_has_its_own_exit_code(files, tmp_path):
    _, permit, trust = files
    told = ("--permit", permit, "--trust", trust, "--seen", tmp_path / "seen")
    assert interlock(*told, "--", "sh", "-c", "exit 5", cwd=tmp_path).returncode == 5
    assert interlock(*told, "-a", "release-weights", "--", "touch", "x", cwd=tmp_path).returncode == HOLD
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "is not there"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "bytes that are no strict JSON"),
        (lambda file: file.write_bytes(file.read_bytes().replace(b"A", b"B", 1)), "permit file: inclusion proof: got"),
    ],
    ids=["gone", "cut off", "altered"],
)
def test_a_file_that_is_taken_away_or_altered_while_it_runs_stops_it(files, tmp_path, change, said):
    _, permit, trust = files
    mine = tmp_path / "permit.json"
    mine.write_bytes(permit.read_bytes())
    with working(tmp_path, "--permit", mine, "--trust", trust) as process:
        change(mine)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == HOLD
    assert error.startswith("interlock: hold: ")
    assert said in error
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("name", ["permit.json", "trust.json"])
@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, lambda it: it.symlink_to(it)], ids=["folder", "pipe", "loop"])
def test_attack_what_is_no_file_in_the_place_of_one_is_no_outage(files, tmp_path, name, put):
    for file in files[1:]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    verify = _by_file(tmp_path / "permit.json", tmp_path / "trust.json", "scale", None, None, None)
    verify(now)
    (tmp_path / name).unlink()
    put(tmp_path / name)
    with pytest.raises(UsageError, match=f"{name}`: cannot read it"):
        verify(now)


@pytest.mark.parametrize("name", ["permit.json", "trust.json"])
@pytest.mark.parametrize(
    ("number", "out"), [(errno.EACCES, False), (errno.ELOOP, False), (errno.EIO, True)], ids=["EACCES", "ELOOP", "EIO"]
)
def test_a_file_that_may_not_be_read_is_no_outage(files, monkeypatch, name, number, out):
    _, permit, trust = files
    verify = _by_file(permit, trust, "scale", None, None, None)
    verify(now)
    opened = os.open

    def fails(path, *rest, **options):
        if Path(path).name == name:
            raise OSError(number, os.strerror(number))
        return opened(path, *rest, **options)

    monkeypatch.setattr(os, "open", fails)
    with pytest.raises(InterlockError, match=os.strerror(number)) as held:
        verify(now)
    assert isinstance(held.value, UnreachableError) == out


def test_a_permit_that_is_revoked_while_it_runs_stops_it(tmp_path):
    workspace = permit_lab.evaluated(tmp_path / "lab")
    digest = permit_lab.issue(workspace)
    with working(tmp_path, "--permit", digest[:12], "-w", workspace.folder) as process:
        assert cli.run(["permit", "revoke", digest, "--reason", "a test", "-w", str(workspace.folder)]) == 0
        error = process.communicate(timeout=60)[1]
    assert process.returncode == HOLD
    assert "the permit was revoked" in error


def test_a_ledger_that_is_away_for_a_while_stops_nothing_and_one_that_was_altered_does(tmp_path):
    workspace = permit_lab.evaluated(tmp_path / "lab")
    digest = permit_lab.issue(workspace)
    with working(tmp_path, "--permit", digest[:12], "-w", workspace.folder) as process:
        workspace.folder.rename(tmp_path / "away")
        assert "the permit cannot be reached, and the lease runs on until" in process.stderr.readline()
        (tmp_path / "away").rename(workspace.folder)
        assert "the permit can be reached again" in process.stderr.readline()
        tiles = [it for it in (workspace.folder / "ledger").rglob("*") if it.is_file() and "entries" in str(it)]
        for tile in tiles:
            tile.chmod(0o600)
            tile.write_bytes(tile.read_bytes()[:-1] + b"x")
        error = process.communicate(timeout=60)[1]
    assert process.returncode == HOLD
    assert "hold: " in error
    assert (tmp_path / "saved").exists()


SPOILT = {
    "its configuration is empty": lambda it: (it / "interlock.json").write_text("{}"),
    "its configuration is cut off": lambda it: (it / "interlock.json").write_text("{"),
    "its configuration is gone": lambda it: (it / "interlock.json").unlink(),
    "its ledger is gone": lambda it: (it / "ledger").rename(it / "gone"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_workspace_that_is_spoilt_is_no_outage_and_stops_it(tmp_path, spoil):
    workspace = permit_lab.evaluated(tmp_path / "lab")
    verify = _by_ledger(workspace.folder, None, permit_lab.issue(workspace), "scale", None, None)
    verify(now)
    spoil(workspace.folder)
    with pytest.raises(InterlockError) as held:  # which `launch` stops for
        verify(now)
    assert not isinstance(held.value, UnreachableError)
    workspace.folder.rename(tmp_path / "away")
    with pytest.raises(UnreachableError):
        verify(now)


def test_what_ran_before_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as before:
        assert run(["true"], after(1))[0] == Ended(0, None)
        assert before.poll() is None
        before.kill()


def test_weights_that_are_not_the_permits_are_not_loaded(files, tmp_path):
    workspace, _, _ = files
    digest = permit_lab.issue(workspace)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    (tmp_path / "other" / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    told = ("--permit", digest, "-w", workspace.folder, "-s", tmp_path / "other")
    done = interlock(*told, "--", "touch", tmp_path / "x", cwd=tmp_path)
    assert done.returncode == HOLD, done.stderr
    assert "what would be loaded is" in done.stderr
    assert not (tmp_path / "x").exists()
