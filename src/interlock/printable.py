"""Text that others wrote, as it may be shown.

A reason, a name or a value in an error comes from whoever signed it, or from a file that nobody has verified. Raw on a
terminal it could move the cursor, clear the screen, hide what follows, or add lines that look like ours.
"""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text on one line: what is not printable (an escape, a line's end, a letter without width) escaped."""
    return text if text.isprintable() else "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)
