"""The processes of one training run, and what they agree on.

Guarantees: whatever one of them says holds, all of them hear in the same exchange, so that all stop at the same step; a
process that does not answer in time is a hold for the others; and so is a process that is not one of those that began
together: a fork, or one that was joined with others since.
What it leaves to the caller: to come to every exchange in the same order in every process. While gradients are
exchanged, it is torch's own process group that waits, with the timeout that the run gave it.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from interlock.gate.permit import Held

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long a process waits for the others: the longest save or evaluation of one of them must fit in.
PATIENCE = timedelta(minutes=30)


class Ranks:
    """The processes of the run that this one belongs to; a run without `torch.distributed` has one.

    Args:
        patience: how long to wait for the others in one exchange, before it is a hold.

    Raises:
        Held: another process did not come.
    """

    def __init__(self, patience: timedelta = PATIENCE) -> None:
        self._patience = patience
        self._group: Any = None
        self._process = os.getpid()
        self.rank, self.size = 0, 1
        if _distributed():
            import torch.distributed as dist

            self.rank, self.size = dist.get_rank(), dist.get_world_size()
            self._group = self._waiting(lambda: dist.new_group(backend="gloo", timeout=patience))

    @property
    def here(self) -> bool:
        """Whether this is the process that began, and no fork of it."""
        return os.getpid() == self._process

    def check(self) -> None:
        """Check that the run has the processes that it began with.

        Raises:
            Held: this one is a fork, or `torch.distributed` was begun, or ended, since.
        """
        if not self.here:
            raise Held(
                f"process {os.getpid()} is a fork of the one that began the run ({self._process}), and what it trains "
                "is not counted there; train in that one, or begin in each process of torch.distributed"
            )
        if (size := _world()) != self.size:
            raise Held(
                f"torch.distributed has {size} processes, and the run began as one of {self.size}, so that what the "
                "others train is not counted; let training begin after init_process_group"
            )

    def agree(self, hold: str | None, amount: int = 0) -> tuple[str | None, int]:
        """Tell the others what holds here, and an amount; returns what holds anywhere, and the sum of the amounts.

        Raises:
            Held: another process did not answer in time.
        """
        if self.size == 1:
            return hold, amount
        holding, total = self._waiting(lambda: self._sum(int(hold is not None), amount))
        if not holding:
            return None, total
        said = self.gather(hold or "")
        return next(f"{_by(rank, self.rank)}{reason}" for rank, reason in enumerate(said) if reason), total

    def gather(self, said: str) -> list[str]:
        """What each process says, in order of rank.

        Raises:
            Held: another process did not answer in time.
        """
        return [said] if self.size == 1 else self._waiting(lambda: self._texts(said))

    def _sum(self, *numbers: int) -> list[int]:
        import torch
        import torch.distributed as dist

        told = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(told, group=self._group)
        return [int(number) for number in told]

    def _texts(self, said: str) -> list[str]:
        """Bytes behind their length; no pickle of another process is opened."""
        import torch
        import torch.distributed as dist

        data = said.encode()
        longest = torch.tensor([len(data)])
        dist.all_reduce(longest, op=dist.ReduceOp.MAX, group=self._group)
        padded = torch.tensor([*len(data).to_bytes(8, "big"), *data.ljust(int(longest), b"\0")], dtype=torch.uint8)
        told = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(told, padded, group=self._group)
        found = [bytes(one.tolist()) for one in told]
        return [one[8 : 8 + int.from_bytes(one[:8], "big")].decode() for one in found]

    def _waiting(self, exchange: Callable[[], Any]) -> Any:
        try:
            return exchange()
        except RuntimeError as error:  # of gloo: timed out, or the connection was closed
            why = str(error).splitlines()[-1].strip()[:200]
            raise Held(
                f"another process of the run did not answer within {self._patience.total_seconds():.0f} seconds, or is "
                f"gone ({why}); start the run again from its last snapshot"
            ) from error


def _by(rank: int, here: int) -> str:
    return "" if rank == here else f"rank {rank}: "


def _world() -> int:
    """Processes that train together, as torch knows them."""
    if not _distributed():
        return 1
    import torch.distributed as dist

    return int(dist.get_world_size())


def _distributed() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()
