"""Two processes of one run, each a fork of the test's own: what they said, and the weights that they came to."""

from __future__ import annotations

import gc
import json
import os
import signal
from datetime import timedelta

import torch
import torch.distributed as dist

ENDS = 100  # seconds after which a test's process is killed: no exchange waits that long
SIZE = 2


def join(folder, rank):
    """Be one of the processes: a gloo group that meets in a file."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=SIZE, timeout=timedelta(seconds=60)
    )


def two(folder, work):
    """Run `work(rank)` in two processes; what each said, None where it was killed."""
    folder.mkdir()
    children = [_child(folder, work, rank) for rank in range(SIZE)]
    for child in children:
        os.waitpid(child, 0)
    paths = [folder / f"said-{rank}.json" for rank in range(SIZE)]
    return [json.loads(path.read_text()) if path.exists() else None for path in paths]


def _child(folder, work, rank):
    child = os.fork()
    if child == 0:
        signal.alarm(ENDS)
        torch.set_num_threads(1)
        gc.freeze()  # what the fork shares is not gone through, and copied, again
        try:
            said = work(rank)
        except BaseException as error:  # noqa: BLE001  for the test to see
            said = {"raised": repr(error)}
        (folder / f"said-{rank}.json").write_text(json.dumps(said))
        os._exit(0)
    return child


def die():
    """Be killed, here and now."""
    os.kill(os.getpid(), signal.SIGKILL)


def keep(folder, rank, model):
    """Keep the weights of a process for the test."""
    torch.save(model.state_dict(), folder / f"weights-{rank}.pt")


def weights(folder, rank):
    """The weights that a process kept."""
    return torch.load(folder / f"weights-{rank}.pt", weights_only=True)


def equal(one, other):
    """Two state dicts, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
