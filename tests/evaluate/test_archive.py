"""Archives that somebody else made: none makes the reader unpack more than it may."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import inspect_ai.log  # noqa: F401  teaches zipfile to write Zstandard before Python 3.14
import pytest

import foreign
from interlock.evaluate import _archive

ZSTANDARD = 93


def _packed(method, *records):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in records:
            archive.writestr(name, data)
    return content.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, ZSTANDARD])
def test_an_honest_archive_passes(method):
    _archive.check(_packed(method, ("a", b"x" * 300_000), ("b", b""), ("c", bytes(range(256)) * 40)))


def test_one_that_claims_too_much_is_refused_unread():
    with pytest.raises(ValueError, match=r"it unpacks to 4294967295 bytes, expected at most 2147483648"):
        _archive.check(foreign.claiming(2**32 - 1, real=1000))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, ZSTANDARD])
def test_one_that_unpacks_to_more_than_it_claims_is_found_in_little_memory(method):
    bomb = foreign.claiming(10, real=1 << 26, method=method)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"`header\.json` unpacks to more than the 10 bytes it claims"):
        _archive.check(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_one_that_unpacks_to_less_than_it_claims_is_refused():
    with pytest.raises(ValueError, match="unpacks to 1000 bytes, it claims 2000"):
        _archive.check(foreign.claiming(2000, real=1000))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_records_of_one_name_are_refused():
    with pytest.raises(ValueError, match="more than one record `a`"):
        _archive.check(_packed(zipfile.ZIP_STORED, ("a", b"1"), ("a", b"2")))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(method):
    with pytest.raises(ValueError, match=f"packed by method {method}"):
        _archive.check(_packed(method, ("a", b"1" * 1000)))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, ZSTANDARD])
def test_damage_inside_a_record_is_an_error_of_its_own_kind(method):
    content = bytearray(_packed(method, ("a", b"some text " * 1000)))
    content[40:50] = b"\xff" * 10
    with pytest.raises((ValueError, zipfile.BadZipFile, zipfile.zlib.error)):
        _archive.check(bytes(content))
