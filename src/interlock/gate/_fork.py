"""Locks that outlive a fork.

A child has the locks of its parent as they were, and none of the threads that would let go of them: what one held
would hold for good. So a child begins with new ones.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Locked(Protocol):
    """What has a lock."""

    _lock: threading.Lock


_owners = WeakSet[Locked]()


def lock(owner: Locked) -> threading.Lock:
    """A lock for the `_lock` of an object, which a child of this process gets anew."""
    _owners.add(owner)
    return threading.Lock()


def _unlock() -> None:
    for owner in _owners:
        owner._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
