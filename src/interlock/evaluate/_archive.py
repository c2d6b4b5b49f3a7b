"""A zip archive that somebody else made, checked before anything reads it whole.

Guarantees, for what `check` lets through: no two members share a name, and together they unpack to no more than
`MOST_UNPACKED` bytes, whatever the archive says of itself. Members are unpacked in small steps, so that one that lies
about its size (a zip bomb) is found after the bytes that it claims and one step.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from interlock.evaluate._samples import repeated

if TYPE_CHECKING:
    from zipfile import ZipInfo

#: Most bytes of one file, and of all members of an archive together once unpacked.
MOST_BYTES, MOST_UNPACKED = 1 << 29, 1 << 31

_ZSTANDARD = 93  # APPNOTE.TXT 6.3.10, section 4.4.5
_STEP = 1 << 16


def check(content: bytes) -> None:
    """Check an archive, member by member.

    Raises:
        ValueError: it holds a name twice, unpacks to too much or to other than it says, or is packed in another way
            than stored, deflated or by Zstandard.
        zipfile.BadZipFile, zlib.error, EOFError: it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    if (name := repeated(member.filename for member in members)) is not None:
        # of two records with one name a reader would silently take the last
        raise ValueError(f"it holds more than one record `{name}`, expected one")
    total = sum(member.file_size for member in members)
    if total > MOST_UNPACKED:
        raise ValueError(f"it unpacks to {total} bytes, expected at most {MOST_UNPACKED}")
    for member in members:
        _check_member(content, member)


def _check_member(content: bytes, member: ZipInfo) -> None:
    size = 0
    for step in _unpacked(_packed(content, member), member):
        size += step
        if size > member.file_size:
            raise ValueError(
                f"its record `{member.filename}` unpacks to more than the {member.file_size} bytes it claims"
            )
    if size < member.file_size:
        raise ValueError(f"its record `{member.filename}` unpacks to {size} bytes, it claims {member.file_size}")


def _packed(content: bytes, member: ZipInfo) -> IO[bytes]:
    """The packed bytes of a member, behind its local header (APPNOTE.TXT, section 4.3.7)."""
    at = member.header_offset
    header = content[at : at + 30]
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"record `{member.filename}` has no local header")
    start = at + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    packed = content[start : start + member.compress_size]
    if len(packed) < member.compress_size:
        raise zipfile.BadZipFile(f"record `{member.filename}` is cut off")
    return io.BytesIO(packed)


def _unpacked(packed: IO[bytes], member: ZipInfo) -> Iterator[int]:
    """The lengths of the pieces that a member unpacks to, none longer than a step."""
    if member.compress_type == zipfile.ZIP_STORED:
        yield from _lengths(packed)
    elif member.compress_type == zipfile.ZIP_DEFLATED:
        yield from _inflated(packed.read())
    elif member.compress_type == _ZSTANDARD:
        import zstandard  # comes with what reads such logs

        try:
            with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
                yield from _lengths(reader)
        except zstandard.ZstdError as error:
            raise zipfile.BadZipFile(str(error)) from None
    else:
        raise ValueError(
            f"its record `{member.filename}` is packed by method {member.compress_type}, expected 0, 8 or 93"
        )


def _lengths(reader: IO[bytes]) -> Iterator[int]:
    while piece := reader.read(_STEP):
        yield len(piece)


def _inflated(data: bytes) -> Iterator[int]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while data and not inflate.eof:
        yield len(inflate.decompress(data, _STEP))
        data = inflate.unconsumed_tail
