"""Slurm's door without Slurm: the Lua script, where a Lua library is installed, and the prolog, with stand-ins for the
commands that they call. scripts/try_slurm.py tries both on a real Slurm.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "integrations" / "slurm"
TRAIN = ("GATED = nil", "GATED = {train = true}")
NOW, HOUR = 1_800_000_000, 3600

# -- the Lua script ----------------------------------------------------------------------------------------------------

BEFORE = """
NO_VAL, INFINITE, called, told = 4294967294, 4294967295, "", ""
slurm = {SUCCESS = 0, ERROR = -1, NO_VAL = NO_VAL, NO_VAL16 = 65534}
slurm.log_user = function(form, ...) told = string.format(form, ...) end
slurm.log_info = slurm.log_user
os.time = function() return %d end
said = "60 minutes, until 2027-01-15T09:00:00Z, by permit 1"
io.popen = function(command)
   called = command
   return {read = function() return said end, close = function() end}
end
"""
AFTER = """
local job, record = %s, %s
local code = record and slurm_job_modify(job, record, {}, 0) or slurm_job_submit(job, {}, 0)
return string.format("%%d|%%s|%%s|%%s|%%s", code, tostring(job.time_limit), tostring(job.requeue), told, called)
"""


@functools.cache
def _library():
    found = next(filter(None, (ctypes.util.find_library(f"lua{it}") for it in ("5.1", "5.3", "5.4", ""))), None)
    if found is None:
        pytest.skip("no Lua library here (Debian: liblua5.1-0)")
    lua = ctypes.CDLL(found)
    lua.luaL_newstate.restype = ctypes.c_void_p
    lua.lua_tolstring.restype = ctypes.c_char_p
    return lua


class Lua:
    """One interpreter."""

    def __init__(self):
        self._lua = _library()
        self._state = ctypes.c_void_p(self._lua.luaL_newstate())
        self._lua.luaL_openlibs(self._state)

    def run(self, text):
        """Run a chunk; what it returns, as text."""
        call = getattr(self._lua, "lua_pcallk", None) or self._lua.lua_pcall
        failed = self._lua.luaL_loadstring(self._state, text.encode()) or call(self._state, 0, 1, 0, None, None)
        said = self._lua.lua_tolstring(self._state, -1, None)
        assert not failed, said
        return said.decode()

    def close(self):
        self._lua.lua_close(self._state)


class Said:
    """What the script answered: whether it takes the job, with which limit and requeue, why not, what it asked."""

    def __init__(self, text):
        code, self.limit, self.requeue, self.why, self.asked = text.split("|")
        self.taken = code == "0"


@pytest.fixture
def lua():
    made = []

    def ask(job, record="nil", said=None, edit=("", "")):
        made.append(Lua())
        script = (FOLDER / "job_submit.lua").read_text()
        assert edit[0] in script
        made[-1].run(BEFORE % NOW + (f"said = [[{said}]]" if said else "") + "\nreturn ''")
        made[-1].run(script.replace(*edit, 1))
        return Said(made[-1].run(AFTER % (job, record)))

    yield ask
    for it in made:
        it.close()


def job(comment='"interlock=run.json"', limit="NO_VAL", more=""):
    return f"{{comment = {comment}, time_limit = {limit}, {more}}}"


def record(partition="train", limit=50, more="job_state = 0"):
    return f'{{partition = "{partition}", comment = "interlock=run.json", time_limit = {limit}, {more}}}'


def change(**members):
    """What `scontrol update` hands over: what is not changed is not set."""
    told = {"time_limit": "NO_VAL", "requeue": 65534, "end_time": 0} | members
    return "{" + ", ".join(f"{name} = {value}" for name, value in told.items()) + "}"


@pytest.mark.parametrize(
    ("asks", "gets"), [("NO_VAL", "58"), ("INFINITE", "58"), ("59", "58"), ("58", "58"), ("10", "10")]
)
def test_a_job_ends_before_its_permit_by_the_time_that_stopping_takes(lua, asks, gets):
    said = lua(job(limit=asks))
    assert (said.taken, said.limit, said.requeue) == (True, gets, "0")
    assert "--seen /var/lib/interlock/slurm-seen" in said.asked
    assert said.asked.endswith(" -- run.json 2>&1")
    assert "--deployment" not in said.asked


def test_a_deployment_is_the_doors_word(lua):
    assert "--deployment 5e5e " in lua(job(), edit=("DEPLOYMENT = nil", 'DEPLOYMENT = "5e5e"')).asked


@pytest.mark.parametrize(
    ("comment", "why"),
    [
        ("nil", "no permit is named"),
        ('"run 17"', "no permit is named"),
        ('"interlock="', "the permit's name"),
        ('"interlock=../x"', "the permit's name"),
        ('"interlock=a.json interlock=b.json"', "more than once"),
        ('"interlock=a.json,interlock=a.json"', "more than once"),
    ],
)
def test_a_comment_that_does_not_name_one_permit(lua, comment, why):
    said = lua(job(comment))
    assert not said.taken
    assert why in said.why
    assert said.asked == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("2 minutes, until x", "the permit leaves 2 minutes, and 2 are kept for stopping"),
        ("interlock: the permit was revoked", "hold: the permit was revoked"),
        ("sh: 60 minutes, until x", "hold: sh: 60"),
        (" ", "hold: "),
    ],
)
def test_an_answer_that_leaves_too_little_or_is_none(lua, said, why):
    answer = lua(job(), said=said)
    assert not answer.taken
    assert why in answer.why


@pytest.mark.parametrize("partition", ["nil", '""', '"train"', '"open,train"'])
def test_a_gated_partition_takes_a_permit_however_it_is_named(lua, partition):
    assert not lua(job("nil", more=f"partition = {partition}"), edit=TRAIN).taken


def test_an_open_partition_takes_none_and_its_jobs_may_change(lua):
    assert lua(job("nil", more='partition = "open"'), edit=TRAIN).asked == ""
    for it in (change(time_limit=999), change(comment='"x"'), change(requeue=1), change(partition='"open,other"')):
        said = lua(it, '{partition = "open", time_limit = 5, job_state = 0}', edit=TRAIN)
        assert said.taken, said.why
        assert said.asked == ""


@pytest.mark.parametrize("partition", ['"train"', '"open,train"', '""'])
def test_attack_a_pending_job_is_moved_into_a_gated_partition(lua, partition):
    before = '{partition = "open", time_limit = NO_VAL, job_state = 0}'
    said = lua(change(partition=partition), before, edit=TRAIN)
    assert not said.taken
    assert "no permit is named" in said.why


@pytest.mark.parametrize(("limit", "gets"), [("NO_VAL", "58"), ("INFINITE", "58"), ("500", "58"), ("30", "4294967294")])
def test_moved_in_under_a_permit_it_is_bounded_as_if_submitted(lua, limit, gets):
    before = f'{{partition = "open", time_limit = {limit}, job_state = 0}}'
    said = lua(change(partition='"train"', comment='"interlock=run.json"', requeue=1), before, edit=TRAIN)
    assert (said.taken, said.limit, said.requeue) == (True, gets, "0")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (change(comment='"interlock=other.json"'), "cannot be changed"),
        (change(requeue=1), "is not requeued"),
        (change(end_time=NOW + 9 * HOUR), "the end of a job under a permit is not set"),
        (change(time_limit=59), "the permit leaves 58 minutes"),
        (change(time_limit="INFINITE"), "the permit leaves 58 minutes"),
    ],
)
def test_a_change_that_loosens_is_refused(lua, changed, why):
    said = lua(changed, record())
    assert not said.taken
    assert why in said.why


def test_less_time_is_always_given_and_more_within_the_permit(lua):
    assert lua(change(time_limit=49), record(), said="interlock: held").taken
    assert lua(change(time_limit=58), record()).taken
    assert not lua(change(time_limit=51), record(), said="interlock: held").taken


@pytest.mark.parametrize(("more", "taken"), [(38, True), (39, False)])
def test_a_job_that_runs_gets_no_more_than_the_permit_leaves_from_now(lua, more, taken):
    """It ends in 20 minutes as it is, whenever it began and however long it was suspended; 58 are left."""
    running = record(limit=50, more=f"job_state = 1, start_time = {NOW - HOUR}, end_time = {NOW + 20 * 60}")
    assert lua(change(time_limit=50 + more), running).taken is taken


def test_a_job_that_waits_has_not_run_whatever_its_start_was_thought_to_be(lua):
    waiting = record(more=f"job_state = 0, start_time = {NOW - HOUR}, end_time = 0")
    assert not lua(change(time_limit=59), waiting).taken


def test_a_suspended_job_gets_no_more_time(lua):
    suspended = record(more=f"job_state = 2, start_time = {NOW - HOUR}, end_time = {NOW}")
    assert "neither waits nor runs" in lua(change(time_limit=51), suspended).why


def test_a_script_that_fails_refuses(lua):
    said = lua("{}", record(more="job_state = nil"))
    assert not said.taken
    assert "this script failed" in said.why


# -- the prolog --------------------------------------------------------------------------------------------------------


@pytest.fixture
def prolog(tmp_path):
    """Run it; the exit code, and what it asked of `interlock` and `scontrol`."""

    def run(comment="interlock=run.json", *, minutes="60", limit="30:00", gated="", **environment):
        for name, says in (
            ("interlock", f"echo '{minutes} minutes, until 2027-01-15T09:00:00Z, by permit 1'"),
            ("squeue", f"printf '%s\\n' '{limit}'"),
            ("scontrol", ":"),
        ):
            (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/asked\n{says}\n')
            (tmp_path / name).chmod(0o755)
        text = (FOLDER / "prolog").read_text().replace("/usr/local/bin/interlock", str(tmp_path / "interlock"))
        (tmp_path / "prolog").write_text(text.replace('GATED=""', f'GATED="{gated}"'))
        told = {"SLURM_JOB_ID": "7", "SLURM_JOB_PARTITION": "train", "SLURM_JOB_COMMENT": comment} | environment
        told["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(["sh", str(tmp_path / "prolog")], env=told, check=False, capture_output=True, text=True)
        asked = (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []
        return done.returncode, [it for it in asked if not it.startswith("squeue")]

    return run


CHECK = (
    "interlock slurm check --permits /etc/interlock/permits --trust /etc/interlock/trust.json "
    "--seen /var/lib/interlock/slurm-seen --action scale -- run.json"
)
CUT = "scontrol update JobId=7 TimeLimit=58"


@pytest.mark.parametrize("limit", ["30:00", "58:00", "0:30"])
def test_a_job_that_ends_in_time_begins_as_it_is(prolog, limit):
    assert prolog(limit=limit) == (0, [CHECK])


@pytest.mark.parametrize("limit", ["59:00", "1:00:00", "1-00:00:00", "UNLIMITED", "INVALID", "", "10:00\n10:00"])
def test_a_limit_that_is_not_shown_to_be_short_enough_is_cut(prolog, limit):
    assert prolog(limit=limit) == (0, [CHECK, CUT])


def test_a_limit_of_days_is_read(prolog):
    assert prolog(minutes="3000", limit="2-01:58:00") == (0, [CHECK])
    assert prolog(minutes="3000", limit="2-01:59:00")[1][-1] == "scontrol update JobId=7 TimeLimit=2998"


def test_one_task_of_an_array_is_cut_by_its_own_name(prolog):
    asked = prolog(limit="2:00:00", SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID="3")[1]
    assert asked[-1] == "scontrol update JobId=7_3 TimeLimit=58"


@pytest.mark.parametrize(
    "comment",
    [
        "", "run", "interlock=", "interlock=../x", "interlock=.x", "interlock=a.json interlock=run.json",
        "interlock=run.json,interlock=run.json",
    ],
)  # fmt: skip
def test_what_does_not_name_one_permit_does_not_begin(prolog, comment):
    assert prolog(comment) == (3, [])


@pytest.mark.parametrize("minutes", ["2", "0", "no"])
def test_what_leaves_too_little_does_not_begin(prolog, minutes):
    assert prolog(minutes=minutes)[0] == 3


def test_a_partition_that_is_not_gated_takes_no_permit(prolog):
    assert prolog("", gated="large other") == (0, [])
    assert prolog("", gated="large train") == (3, [])


@pytest.mark.parametrize(
    "comment", ["interlock=run.json", "run 17, interlock=run.json; note", "interlock=run.json\nTimeLimit=00:01:00 "]
)
def test_both_read_the_same_name(prolog, lua, comment):
    assert prolog(comment) == (0, [CHECK])
    assert lua(job(f"[[{comment}]]")).asked.endswith(" -- run.json 2>&1")
