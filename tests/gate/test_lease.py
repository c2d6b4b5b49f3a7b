"""A running lease against clocks that are set back, set forward, and asleep."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest

from interlock.gate.lease import Grant, Lease
from interlock.gate.permit import Held

START = datetime(2026, 12, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GRANT = Grant(100, 400, START, START + 10 * HOUR, START)


class Clocks:
    """A wall clock and a monotonic one, which go on together unless somebody meddles."""

    def __init__(self, at=START):
        self.wall, self.ticks = at, 1000.0

    def pass_by(self, length):
        self.wall += length
        self.ticks += length.total_seconds()

    def lease(self, grant=GRANT, seen=None):
        return Lease(grant, clock=lambda: self.wall, monotonic=lambda: self.ticks, seen=seen)


@pytest.fixture
def clocks():
    return Clocks()


def test_a_lease_runs_to_its_end_and_not_beyond(clocks):
    lease = clocks.lease()
    assert lease.check() == 10 * HOUR
    clocks.pass_by(10 * HOUR - timedelta(microseconds=1))
    assert lease.check() == timedelta(microseconds=1)
    clocks.pass_by(timedelta(microseconds=1))
    with pytest.raises(Held, match="the permit ended at 2026-12-01T10:00:00Z; ask for a new one"):
        lease.check()


def test_compute_is_bounded(clocks):
    lease = clocks.lease()
    assert lease.check(effective_compute=400)
    with pytest.raises(Held, match="401 FLOP of effective compute are asked for, and the permit allows at most 400"):
        lease.check(effective_compute=401)
    with pytest.raises(Held, match="expected 100 or more"):
        lease.check(effective_compute=99)
    with pytest.raises(Held):
        lease.check(effective_compute=float("nan"))
    assert lease.check(effective_compute=250)  # a smaller step fits


def test_a_clock_that_goes_back_holds_for_good(clocks):
    lease = clocks.lease()
    clocks.pass_by(HOUR)
    lease.check()
    clocks.wall -= timedelta(seconds=1)
    with pytest.raises(Held, match="the clock went back: it shows 2026-12-01T00:59:59Z, and has shown 2026-12-01T01"):
        lease.check()
    clocks.pass_by(2 * HOUR)
    with pytest.raises(Held, match="the clock went back"):
        lease.check()


def test_a_monotonic_clock_that_goes_back_holds(clocks):
    lease = clocks.lease()
    clocks.ticks -= 1
    with pytest.raises(Held, match="the monotonic clock went back"):
        lease.check()


def test_a_clock_that_is_stopped_does_not_make_a_lease_longer(clocks):
    """The wall clock stands still: what the monotonic clock says has run."""
    lease = clocks.lease()
    clocks.ticks += 9 * 3600
    assert lease.check() == HOUR
    clocks.ticks += 3600
    with pytest.raises(Held, match="the permit ended"):
        lease.check()


def test_a_machine_that_sleeps_does_not_make_a_lease_longer(clocks):
    """The monotonic clock stands still: what the wall clock says has run."""
    lease = clocks.lease()
    clocks.wall += 9 * HOUR
    assert lease.check() == HOUR


def test_a_clock_set_forward_past_the_end_holds_also_after_it_was_set_back(clocks):
    lease = clocks.lease()
    clocks.wall += 20 * HOUR
    with pytest.raises(Held, match="the permit ended"):
        lease.check()
    clocks.wall -= 20 * HOUR
    with pytest.raises(Held, match="the permit ended"):
        lease.check()


@pytest.mark.parametrize(
    ("grant", "match"),
    [
        (Grant(100, 400, START + HOUR, START + 10 * HOUR, START), "before the start of the permit, 2026-12-01T01"),
        (Grant(100, 400, START, START + 10 * HOUR, START + HOUR), "before the ledger's own time, 2026-12-01T01"),
        (Grant(100, 400, START - HOUR, START, START - HOUR), "the permit ended at"),
    ],
    ids=["not begun", "a clock behind the ledger", "over"],
)
def test_a_lease_that_cannot_be_does_not_begin(clocks, grant, match):
    with pytest.raises(Held, match=match):
        clocks.lease(grant)


# -- what a restart remembers -----------------------------------------------------------------------------------------


def test_a_clock_set_back_before_a_restart_holds(clocks, tmp_path):
    seen = tmp_path / "seen"
    lease = clocks.lease(seen=seen)
    clocks.pass_by(2 * HOUR)
    lease.check()
    clocks.wall -= HOUR
    with pytest.raises(Held, match=r"before the latest time seen, by .*, 2026-12-01T02:00:00Z"):
        clocks.lease(seen=seen)
    clocks.wall += HOUR
    assert clocks.lease(seen=seen).check() == 8 * HOUR


def test_attack_run_for_a_while_kill_it_set_the_clock_back_and_start_again(clocks, tmp_path):
    """Over and over, a lease would never end."""
    for _ in range(3):
        lease = clocks.lease(seen=tmp_path / "seen")
        clocks.pass_by(timedelta(seconds=59))
        lease.check()
        clocks.wall -= timedelta(seconds=58)
        with pytest.raises(Held, match="before the latest time seen"):
            clocks.lease(seen=tmp_path / "seen")
        clocks.wall += timedelta(seconds=58)


def test_time_that_only_the_monotonic_clock_saw_is_remembered(clocks, tmp_path):
    """The wall clock stands still all day; started again, the gate knows better."""
    lease = clocks.lease(seen=tmp_path / "seen")
    clocks.ticks += 5 * 3600
    lease.check()
    with pytest.raises(Held, match="before the latest time seen"):
        clocks.lease(seen=tmp_path / "seen")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"seen": "soon"}', b'{"seen": "2026-12-01T00:00:00Z", "x": 1}', b"\xff", b"[1]"], ids=str
)
def test_a_file_of_the_latest_time_that_cannot_be_read_holds(clocks, tmp_path, data):
    (tmp_path / "seen").write_bytes(data)
    with pytest.raises(Held, match="the latest time seen cannot be read"):
        clocks.lease(seen=tmp_path / "seen")


def test_a_pipe_in_the_place_of_the_latest_time_is_not_waited_for(clocks, tmp_path):
    os.mkfifo(tmp_path / "seen")
    with pytest.raises(Held, match=r"the latest time seen cannot be read: .* no file"):
        clocks.lease(seen=tmp_path / "seen")


def test_a_latest_time_that_cannot_be_kept_holds(clocks, tmp_path):
    with pytest.raises(Held, match="cannot be kept in"):
        clocks.lease(seen=tmp_path / "no folder" / "seen")


def test_two_leases_share_what_they_have_seen(clocks, tmp_path):
    one, other = clocks.lease(seen=tmp_path / "seen"), clocks.lease(seen=tmp_path / "seen")
    clocks.pass_by(HOUR)
    one.check()
    clocks.pass_by(HOUR)
    other.check()
    assert b"02:00:00Z" in (tmp_path / "seen").read_bytes()


def test_what_another_lease_sees_while_one_begins_is_no_reason_to_hold(clocks, tmp_path):
    meanwhile = [HOUR]

    def clock():
        shown = clocks.wall
        if meanwhile:
            clocks.pass_by(meanwhile.pop())
            clocks.lease(seen=tmp_path / "seen")
        return shown

    lease = Lease(GRANT, clock=clock, monotonic=lambda: clocks.ticks, seen=tmp_path / "seen")
    assert lease.check() == 9 * HOUR


def test_threads_that_ask_at_once_see_no_clock_go_back():
    lease, failed = Lease(Grant(1, 2, LONG_AGO, datetime(9999, 1, 1, tzinfo=UTC), LONG_AGO)), []

    def ask():
        try:
            for _ in range(2000):
                lease.check(effective_compute=1)
        except Held as held:
            failed.append(held)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no system that forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_another_thread_asks_leaves_no_lease_locked():
    lease = Lease(Grant(1, 2, LONG_AGO, datetime(9999, 1, 1, tzinfo=UTC), LONG_AGO))
    with lease._lock:
        child = os.fork()
        if not child:
            signal.alarm(60)
            try:
                os._exit(0 if lease.check() else 1)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
