"""Try the door of integrations/slurm on a real Slurm of one node: `python scripts/try_slurm.py [--markdown FILE]`.

Needs root, slurm-wlm and munge (Debian: apt-get install slurm-wlm munge); without them it says so and ends with 0. It
starts munged, slurmctld and slurmd of its own, in a temporary folder, on loopback ports, and ends them. It takes some
ten minutes: Slurm counts time limits in whole minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

import permit_lab  # noqa: E402  # the tests are not installed
from interlock.decide.decision import timestamp  # noqa: E402
from interlock.gate import narrowing, permit_file  # noqa: E402
from interlock.gate.trust import Trust  # noqa: E402
from interlock.workspace import Workspace, now  # noqa: E402

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
_CONF = """\
ClusterName=interlock
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobSubmitPlugins=lua
PrologSlurmctld={folder}/prolog
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=30
InactiveLimit=0
MinJobAge=300
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=train Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=open Nodes=ALL MaxTime=INFINITE State=UP
"""
_DEAF = "#!/bin/sh\ntrap '' TERM USR1\nwhile :; do sleep 1; done\n"
_BRIEF = "#!/bin/sh\nexit 0\n"
_IDLE = "#!/bin/sh\nexec sleep 600\n"
_JOB = """\
#!/bin/sh
trap 'echo saved at step $step >> {folder}/snapshot; exit 0' TERM USR1
step=$(sed -n 's/saved at step //p' {folder}/snapshot 2>/dev/null | tail -1)
step=${{step:-0}}
echo begins at step $step >> {folder}/begun
while [ $step -lt {steps} ]; do sleep 1 & wait $!; step=$((step + 1)); done
echo done >> {folder}/done
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running Slurm, and where its files and permits are."""

    folder: Path
    environment: dict[str, str]

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One of Slurm's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)

    def submit(self, *options: str, script: str = "job.sh") -> tuple[str | None, str]:
        """The job's number, or None if it was refused, and what was said."""
        job = str(self.folder / script)
        done = self.ask("sbatch", "--parsable", f"--output={self.folder}/out-%j", *options, job)
        return (done.stdout.strip() or None) if done.returncode == 0 else None, done.stderr.strip()

    def change(self, job: str, *changes: str) -> bool:
        """Whether Slurm takes a change of a job."""
        return self.ask("scontrol", "update", f"JobId={job}", *changes).returncode == 0

    def state(self, job: str) -> str:
        """A job's state, in Slurm's words."""
        return self.told(job, "JobState")

    def limit(self, job: str) -> str:
        """A job's time limit, as squeue tells it."""
        return self.ask("squeue", "--noheader", "--format=%l", f"--jobs={job}").stdout.strip()

    def waits_or_runs(self, job: str) -> bool:
        """Whether it is not over."""
        return self.state(job) in {"RUNNING", "PENDING", "COMPLETING", "CONFIGURING"}

    def told(self, job: str, name: str) -> str:
        """A member of what Slurm tells of a job."""
        said = self.ask("scontrol", "--oneliner", "show", "job", job).stdout
        return dict(part.partition("=")[::2] for part in said.split() if "=" in part).get(name, "")


def main() -> int:
    """Go through all that the door is for; the exit code is 1 if one thing is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path)
    told = parser.parse_args()
    missing = [name for name in NEEDED if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if missing or os.geteuid() != 0:
        print(f"skipped: needs root, and {', '.join(missing or NEEDED)} (apt-get install slurm-wlm munge)")
        return 0
    rows: list[tuple[str, str, bool]] = []

    def expect(what: str, got: str, good: bool) -> None:  # noqa: FBT001
        got = got.partition("\n")[0].replace(str(folder), "FOLDER")
        rows.append((what, got, good))
        print(f"{'ok ' if good else 'BAD'} {what}: {got}", flush=True)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-slurm-")))
        workspace = permit_lab.evaluated(folder / "lab")
        cluster = stack.enter_context(_cluster(folder, workspace))
        try:
            _scenario(cluster, workspace, expect)
        finally:
            if not all(good for *_, good in rows):
                print((folder / "slurmctld.log").read_text()[-3000:])
    if told.markdown:
        lines = [f"| {what} | {got} |" for what, got, _ in rows]
        version = subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=False).stdout.strip()
        head = f"# Slurm's door\n\n    {' '.join(sys.argv)}\n\n{version}, one node.\n\n| tried | what happened |"
        lines = ["|---|---|", *lines]
        told.markdown.write_text("\n".join([head, *lines]) + "\n")
    return 0 if all(good for *_, good in rows) else 1


Expect = Callable[[str, str, bool], None]


def _scenario(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    _refused(cluster, workspace, expect)
    _bounded(cluster, workspace, expect)
    _cut(cluster, workspace, expect)
    _begins(cluster, workspace, expect)
    _suspended(cluster, workspace, expect)
    _clock(cluster, workspace, expect)
    _gate_only(cluster, "train")
    _partitions(cluster, workspace, expect)


def _refused(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """What is not taken in."""
    job, said = cluster.submit()
    expect("a job that names no permit", said, job is None and "no permit is named" in said)
    job, said = cluster.submit("--comment", "interlock=absent.json")
    expect("one whose permit is not there", said, job is None and "no permit `absent.json`" in said)
    _permit(cluster, workspace, "flipped.json", timedelta(hours=1))
    data = bytearray((cluster.folder / "permits" / "flipped.json").read_bytes())
    data[len(data) // 2] ^= 1
    (cluster.folder / "permits" / "flipped.json").write_bytes(bytes(data))
    job, said = cluster.submit("--comment", "interlock=flipped.json")
    expect("one whose permit has one bit flipped", said, job is None and "hold" in said)
    job, said = cluster.submit("--comment", "interlock=run.json interlock=flipped.json")
    expect("one that names two permits", said, job is None and "more than once" in said)


def _bounded(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """A job that listens: bounded, not changed, not requeued, saved before its end, and gone on under a new permit."""
    folder = cluster.folder
    _permit(cluster, workspace, "run.json", timedelta(seconds=250))
    job, said = cluster.submit("--comment", "interlock=run.json", "--time=60", "--signal=B:TERM@20", "--requeue")
    what = "one under a permit of 250 seconds that asks for an hour and a requeue"
    if job is None:
        expect(what, said, False)  # noqa: FBT003
        return
    limit, requeue = cluster.told(job, "TimeLimit"), cluster.told(job, "Requeue")
    expect(what, f"taken, limit {limit}, requeue {requeue}", limit == "00:02:00" and requeue == "0")
    _until((folder / "begun").exists, 90)
    changes = (
        ("TimeLimit=60", "TimeLimit"),
        ("EndTime=now+3600", "EndTime"),
        ("Comment=interlock=flipped.json", "Comment"),
        ("Requeue=1", "Requeue"),
    )
    for change, member in changes:
        before = cluster.told(job, member)
        taken = cluster.change(job, change)  # this version of Slurm does not show why to who asked
        after = cluster.told(job, member)
        told = "taken" if taken else "refused, still as before"
        expect(f"a change to {change}", told, not taken and after == before)
    asked = cluster.ask("scontrol", "requeue", job)
    taken = asked.returncode == 0 or cluster.state(job) != "RUNNING"
    expect("`scontrol requeue`, as root", asked.stderr.strip() or "taken", not taken)
    running = job
    ended = _until(lambda: not cluster.waits_or_runs(running), 200)
    saved = (folder / "snapshot").read_text().strip() if (folder / "snapshot").exists() else "nothing saved"
    good = ended and not (folder / "done").exists() and saved.startswith("saved at step")
    expect("before its limit", f"{cluster.state(job)}; {saved}", good)
    _permit(cluster, workspace, "run.json", timedelta(seconds=150))
    job, said = cluster.submit("--comment", "interlock=run.json")
    expect("submitted again under a permit that is all but over", said, job is None and "kept for stopping" in said)

    _permit(cluster, workspace, "run.json", timedelta(hours=1))
    job, said = cluster.submit("--comment", "interlock=run.json", "--time=50")
    done = job is not None and _until((folder / "done").exists, 240)
    begun = (folder / "begun").read_text().split("\n")[-2]
    good = done and begun != "begins at step 0"
    expect("submitted again under a new permit", f"{begun}; {'done' if done else said}", good)


def _cut(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """A job that does not listen: Slurm kills it, and before the permit's end."""
    end = _permit(cluster, workspace, "deaf.json", timedelta(seconds=190))
    job, said = cluster.submit("--comment", "interlock=deaf.json", script="deaf.sh")
    deaf = job or ""
    _until(lambda: not cluster.waits_or_runs(deaf), 250)
    left, gone = (end - now()).total_seconds(), not _alive(cluster.folder)
    state = cluster.state(deaf) or said
    told = f"{state}; limit {cluster.told(deaf, 'TimeLimit')}, Slurm's RunTime {cluster.told(deaf, 'RunTime')}"
    expect(
        "one that ignores SIGTERM, under a permit of 190 seconds",
        f"{told}; killed {left:.0f} seconds before the permit's end",
        state == "TIMEOUT" and left > 0 and gone,
    )


def _begins(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """What is looked at once more when a job gets its nodes."""
    _permit(cluster, workspace, "late.json", timedelta(hours=1))
    job, said = cluster.submit("--comment", "interlock=late.json", "--begin=now+20")
    (cluster.folder / "permits" / "late.json").unlink()
    late = job or ""
    _until(lambda: cluster.state(late) not in {"PENDING", "CONFIGURING"}, 120)
    state = cluster.state(late) or said
    expect("one whose permit is taken away while it waits", state, state in {"CANCELLED", "FAILED", "BOOT_FAIL"})

    _permit(cluster, workspace, "less.json", timedelta(hours=1))
    spoof = ("--comment", "interlock=less.json TimeLimit=00:01:00 ", "--time=50", "--begin=now+20")
    job, said = cluster.submit(*spoof, script="idle.sh")
    array, _ = cluster.submit(*spoof, "--array=1-2", script="idle.sh")
    _permit(cluster, workspace, "less.json", timedelta(minutes=10))
    what = "one whose permit is a shorter one meanwhile, and whose comment says `TimeLimit=00:01:00`"
    for less, it in ((job, what), (f"{array}_1", "the same, a task of an array"), (f"{array}_2", "and the other task")):
        limit = _limit_once_begun(cluster, less or "")
        expect(it, f"limit {limit or said}", limit in {"6:00", "7:00", "8:00"})
        cluster.ask("scancel", less or "")


def _limit_once_begun(cluster: Cluster, job: str) -> str:
    _until(lambda: cluster.limit(job) != "50:00", 120)
    return cluster.limit(job)


def _suspended(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """What docs/launching.md says that the door does not stop; and more time within the permit."""
    _permit(cluster, workspace, "run.json", timedelta(hours=1))
    job, said = cluster.submit("--comment", "interlock=run.json", "--time=10", script="idle.sh")
    idle = job or ""
    _until(lambda: cluster.state(idle) == "RUNNING", 60)
    taken = cluster.change(idle, "TimeLimit=20") and cluster.told(idle, "TimeLimit") == "00:20:00"
    expect("one that runs gets more time within its permit", "taken" if taken else said or "refused", taken)
    before = _moment(cluster.told(idle, "EndTime"))
    cluster.ask("scontrol", "suspend", idle)
    time.sleep(30)
    taken = cluster.change(idle, "TimeLimit=21")
    expect("one that is suspended asks for more", "taken" if taken else "refused", not taken)
    cluster.ask("scontrol", "resume", idle)
    _until(lambda: cluster.state(idle) == "RUNNING", 60)
    later = (_moment(cluster.told(idle, "EndTime")) - before).total_seconds()
    told = f"its end is {later:.0f} seconds later: not stopped"
    expect("one that was suspended for 30 seconds and goes on", told, later >= 25)
    cluster.ask("scancel", idle)


def _clock(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """A clock that was set back: it has shown a later time before."""
    _permit(cluster, workspace, "run.json", timedelta(hours=1))
    seen = cluster.folder / "seen"
    kept = seen.read_bytes()
    seen.write_text(json.dumps({"seen": timestamp(now() + timedelta(minutes=30))}))
    job, said = cluster.submit("--comment", "interlock=run.json", script="brief.sh")
    expect("one after the clock was set back by half an hour", said, job is None and "latest time seen" in said)
    seen.write_bytes(kept)


def _partitions(cluster: Cluster, workspace: Workspace, expect: Expect) -> None:
    """Only one of two partitions is gated."""
    _permit(cluster, workspace, "run.json", timedelta(minutes=30))
    job, said = cluster.submit("--partition=open", script="brief.sh")
    brief = job or ""
    _until(lambda: not cluster.waits_or_runs(brief), 60)
    state = cluster.state(brief) or said
    expect("GATED is set: one without a permit, in an open partition", state, state == "COMPLETED")
    for asks in ("--partition=train", "--partition=open,train", "--quiet"):
        job, said = cluster.submit(asks, script="brief.sh")
        where = "the default partition" if asks == "--quiet" else asks
        expect(f"GATED is set: one without a permit, {where}", said, job is None and "no permit is named" in said)

    job, said = cluster.submit("--partition=open", "--hold", "--requeue", script="brief.sh")
    held = job or ""
    changed = cluster.change(held, "Comment=x", "TimeLimit=90")
    told = f"limit {cluster.told(held, 'TimeLimit')}"
    expect("a change of a job in an open partition", f"{'taken' if changed else 'refused'}, {told}", changed)
    for changes in (("Partition=train",), ("Partition=train", "Comment=interlock=flipped.json")):
        taken = cluster.change(held, *changes)
        where = cluster.told(held, "Partition")
        what = f"a job that waits in an open partition: {' '.join(changes)}"
        expect(what, f"{'taken' if taken else 'refused'}, still in {where}", not taken and where == "open")
    changes = ("Partition=train", "Comment=interlock=run.json")
    taken = cluster.change(held, *changes)
    limit, requeue = cluster.told(held, "TimeLimit"), cluster.told(held, "Requeue")
    good = taken and limit in {"00:27:00", "00:28:00"} and requeue == "0"
    told = f"{'taken' if taken else 'refused'}, limit {limit}, requeue {requeue}"
    expect(f"the same: {' '.join(changes)}, a permit of 30 minutes", told, good)
    cluster.ask("scontrol", "release", held)
    _until(lambda: not cluster.waits_or_runs(held), 60)
    expect("and let go", cluster.state(held), cluster.state(held) == "COMPLETED")


def _moment(told: str) -> datetime:
    return datetime.fromisoformat(told).astimezone()


def _alive(folder: Path) -> bool:
    """Whether a job's script still runs."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return any(str(folder) in line and "slurm_script" in line for line in listed.splitlines())


def _gate_only(cluster: Cluster, partition: str) -> None:
    """Set GATED in both; slurmctld reads a script again whose date is another second's."""
    for name, usual, here in (
        ("job_submit.lua", "local GATED = nil", f"local GATED = {{{partition} = true}}"),
        ("prolog", 'GATED=""', f'GATED="{partition}"'),
    ):
        file = cluster.folder / name
        text = file.read_text()
        if usual not in text:
            sys.exit(f"integrations/slurm/{name} has no line `{usual}`")
        file.write_text(text.replace(usual, here))
        file.chmod(0o755)


def _permit(cluster: Cluster, workspace: Workspace, name: str, lasts: timedelta) -> datetime:
    """A permit that lasts so long, in the controller's folder; its end."""
    digest = permit_lab.issue(workspace)
    end = (now() + lasts).replace(microsecond=0)
    made = narrowing.narrow(workspace, digest, narrowing.Less(not_after=end), at=now())
    workspace.refresh()
    (cluster.folder / "permits" / name).write_bytes(permit_file.export(workspace, made))
    return end


@contextmanager
def _cluster(folder: Path, workspace: Workspace) -> Iterator[Cluster]:
    for name in ("state", "spool", "permits", "munge"):
        (folder / name).mkdir(mode=0o755)
    folder.chmod(0o755)
    (folder / "trust.json").write_bytes(Trust.of(workspace.read(), workspace.ledger.log, at=now()).to_bytes())
    command = folder / "interlock"
    command.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={ROOT / 'src'}\n"
        f"exec {sys.executable} -c 'from interlock.cli import main; main()' \"$@\"\n"
    )
    command.chmod(0o755)
    places = {
        "/usr/local/bin/interlock": str(command),
        "/etc/interlock/permits": f"{folder}/permits",
        "/etc/interlock/trust.json": f"{folder}/trust.json",
        "/var/lib/interlock/slurm-seen": f"{folder}/seen",
        "#!/bin/sh\n": f"#!/bin/sh\nexport SLURM_CONF={folder}/slurm.conf\n",  # where it is not the usual one
    }
    for name in ("job_submit.lua", "prolog"):
        text = (ROOT / "integrations" / "slurm" / name).read_text()
        for usual, here in places.items():
            text = text.replace(usual, here)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(_CONF.format(host=host, folder=folder, ctld=_port(), slurmd=_port()))
    scripts = {"job.sh": _JOB.format(folder=folder, steps=150), "deaf.sh": _DEAF, "brief.sh": _BRIEF, "idle.sh": _IDLE}
    for name, text in scripts.items():
        (folder / name).write_text(text)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    path = os.environ["PATH"] + ":/usr/sbin"
    environment = {"PATH": path, "SLURM_CONF": str(folder / "slurm.conf"), "HOME": str(folder), "LANG": "C.UTF-8"}
    environment["MUNGE_SOCKET"] = f"{folder}/munge.sock"
    munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/munge.key"]
    munged += [f"--pid-file={folder}/munge/pid", f"--log-file={folder}/munge/log", f"--seed-file={folder}/munge/seed"]
    cluster = Cluster(folder, environment)
    daemons: list[tuple[list[str], Callable[[], bool]]] = [
        (munged, (folder / "munge.sock").exists),
        (["slurmctld", "-D"], lambda: cluster.ask("scontrol", "ping").stdout.rstrip().endswith("UP")),
        (["slurmd", "-D", "-N", host], lambda: "idle" in cluster.ask("sinfo", "--noheader").stdout),
    ]
    with ExitStack() as stack:
        for daemon, ready in daemons:
            stack.enter_context(_running(daemon, environment, folder))
            if not _until(ready, 60):
                logs = [it.read_text()[-1500:] for it in folder.glob("*.log")]
                sys.exit(f"{daemon[0]} did not start\n" + "\n".join(logs))
        yield cluster


@contextmanager
def _running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.said").open("w") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _until(so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not so():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def _port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
