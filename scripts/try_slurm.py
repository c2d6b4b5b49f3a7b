"""Try the door of integrations/slurm on a real Slurm of one node: `python scripts/try_slurm.py [--markdown FILE]`.

Needs root, slurm-wlm and munge (Debian: apt-get install slurm-wlm munge); without them it says so and ends with 0. It
starts munged, slurmctld and slurmd of its own, in a temporary folder, on loopback ports, and ends them. It takes some
five minutes: Slurm counts time limits in whole minutes.
"""

from __future__ import annotations

import argparse
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
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

import permit_lab  # noqa: E402  # the tests are not installed
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
KillWait=5
InactiveLimit=0
MinJobAge=300
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=train Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
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

    def submit(self, *options: str) -> tuple[str | None, str]:
        """The job's number, or None if it was refused, and what was said."""
        job = str(self.folder / "job.sh")
        done = self.ask("sbatch", "--parsable", f"--output={self.folder}/out-%j", *options, job)
        return (done.stdout.strip() or None) if done.returncode == 0 else None, done.stderr.strip()

    def state(self, job: str) -> str:
        """A job's state, in Slurm's words."""
        return self.told(job, "JobState")

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


def _scenario(cluster: Cluster, workspace: Workspace, expect: Callable[[str, str, bool], None]) -> None:
    folder = cluster.folder
    job, said = cluster.submit()
    expect("a job that names no permit", said, job is None and "no permit is named" in said)
    job, said = cluster.submit("--comment", "interlock=absent.json")
    expect("one whose permit is not there", said, job is None and "no permit `absent.json`" in said)
    _permit(cluster, workspace, "flipped.json", timedelta(hours=1))
    data = bytearray((folder / "permits" / "flipped.json").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "permits" / "flipped.json").write_bytes(bytes(data))
    job, said = cluster.submit("--comment", "interlock=flipped.json")
    expect("one whose permit has one bit flipped", said, job is None and "hold" in said)

    _permit(cluster, workspace, "run.json", timedelta(seconds=130))
    job, said = cluster.submit("--comment", "interlock=run.json", "--time=60", "--signal=B:TERM@20", "--requeue")
    if job is None:
        expect("one under a permit of 130 seconds that asks for an hour and a requeue", said, False)  # noqa: FBT003
        return
    limit, requeue = cluster.told(job, "TimeLimit"), cluster.told(job, "Requeue")
    bounded = limit == "00:02:00" and requeue == "0"
    expect(
        "one under a permit of 130 seconds that asks for an hour and a requeue",
        f"taken, limit {limit}, requeue {requeue}",
        bounded,
    )
    _until((folder / "begun").exists, 90)
    for change, member in (("TimeLimit=60", "TimeLimit"), ("Comment=interlock=flipped.json", "Comment")):
        before = cluster.told(job, member)
        refused = cluster.ask("scontrol", "update", f"JobId={job}", change).returncode != 0
        after = cluster.told(job, member)  # this version of Slurm does not show why to who asked
        expect(
            f"a change to {change}", f"{'refused' if refused else 'taken'}, still {after}", refused and after == before
        )
    running = job
    ended = _until(lambda: cluster.state(running) not in {"RUNNING", "PENDING", "COMPLETING", "CONFIGURING"}, 200)
    saved = (folder / "snapshot").read_text().strip() if (folder / "snapshot").exists() else "nothing saved"
    good = ended and not (folder / "done").exists() and saved.startswith("saved at step")
    expect("at the permit's end", f"{cluster.state(job)}; {saved}", good)
    job, said = cluster.submit("--comment", "interlock=run.json")
    expect("submitted again under the permit that is over", said, job is None and "permit end" in said)

    _permit(cluster, workspace, "run.json", timedelta(hours=1))
    job, said = cluster.submit("--comment", "interlock=run.json", "--time=60")
    done = job is not None and _until((folder / "done").exists, 240)
    begun = (folder / "begun").read_text().split("\n")[-2]
    expect(
        "submitted again under a new permit",
        f"{begun}; {'done' if done else said}",
        done and begun != "begins at step 0",
    )

    _permit(cluster, workspace, "late.json", timedelta(hours=1))
    job, said = cluster.submit("--comment", "interlock=late.json", "--begin=now+20")
    (folder / "permits" / "late.json").unlink()
    late = job or ""
    _until(lambda: cluster.state(late) not in {"PENDING", "CONFIGURING"}, 120)
    state = cluster.state(late) or said
    expect("one whose permit is taken away while it waits", state, state in {"CANCELLED", "FAILED", "BOOT_FAIL"})


def _permit(cluster: Cluster, workspace: Workspace, name: str, lasts: timedelta) -> None:
    """A permit that lasts so long, in the controller's folder."""
    digest = permit_lab.issue(workspace)
    end = (now() + lasts).replace(microsecond=0)
    made = narrowing.narrow(workspace, digest, narrowing.Less(not_after=end), at=now())
    workspace.refresh()
    (cluster.folder / "permits" / name).write_bytes(permit_file.export(workspace, made))


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
    (folder / "job.sh").write_text(_JOB.format(folder=folder, steps=150))
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
