"""What an audit draws, and what it shows about the samples that it did not draw."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import comb

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import UsageError
from interlock.evaluate.sampling import draw, interval

ROOT, RESULT = b"\x01" * 32, b"\x02" * 32


def test_the_draw_is_the_documented_one():
    """By another implementation of HKDF, and the shuffle written out."""

    def number(step, attempt):
        info = b"interlock audit v1\n" + step.to_bytes(8, "big") + attempt.to_bytes(8, "big")
        return int.from_bytes(HKDF(SHA256(), 8, salt=ROOT, info=info).derive(RESULT), "big")

    items = list("abcdefg")
    for step in range(4):
        left, attempt = len(items) - step, 0
        while number(step, attempt) >= 2**64 - 2**64 % left:
            attempt += 1
        other = step + number(step, attempt) % left
        items[step], items[other] = items[other], items[step]
    assert draw("abcdefg", 4, root=ROOT, result=RESULT) == tuple(items[:4])


@given(st.integers(1, 60), st.data())
def test_a_draw_takes_each_item_once_and_begins_every_larger_one(total, data):
    count = data.draw(st.integers(1, total))
    items = range(total)
    drawn, whole = (draw(items, n, root=ROOT, result=RESULT) for n in (count, total))
    assert sorted(whole) == list(items)
    assert whole[:count] == drawn


def test_every_pair_is_drawn_equally_often():
    """12,000 results, 12 ordered pairs of 4: a thousand each, give or take 6 standard deviations."""
    found = Counter(draw("abcd", 2, root=ROOT, result=number.to_bytes(32, "big")) for number in range(12_000))
    assert len(found) == 12
    assert all(abs(count - 1000) < 6 * 31 for count in found.values())


def test_another_root_or_result_draws_others():
    items = range(1000)
    usual = draw(items, 20, root=ROOT, result=RESULT)
    assert usual != draw(items, 20, root=RESULT, result=RESULT)
    assert usual != draw(items, 20, root=ROOT, result=ROOT)


@pytest.mark.parametrize("count", [0, -1, 4])
def test_more_or_fewer_than_there_are_cannot_be_drawn(count):
    with pytest.raises(UsageError, match="expected 1 to 3"):
        draw("abc", count, root=ROOT, result=RESULT)


def chance(number, total, drawn, counts):
    return sum(Fraction(comb(number, i) * comb(total - number, drawn - i), comb(total, drawn)) for i in counts)


@given(st.integers(1, 25), st.data())
def test_the_interval_holds_every_number_that_no_exact_test_rejects(total, data):
    drawn = data.draw(st.integers(1, total))
    found = data.draw(st.integers(0, drawn))
    alpha = Fraction(1, 40)
    kept = [
        number
        for number in range(found, total - drawn + found + 1)
        if chance(number, total, drawn, range(found, drawn + 1)) > alpha
        and chance(number, total, drawn, range(found + 1)) > alpha
    ]
    got = interval(found, drawn=drawn, total=total)
    assert (got.least, got.most) == (kept[0], kept[-1])


def test_asking_all_again_leaves_nothing_open():
    assert (interval(3, drawn=120, total=120).least, interval(3, drawn=120, total=120).most) == (3, 3)


def test_fifty_of_a_hundred_and_twenty_that_all_agree_leave_few():
    found = interval(0, drawn=50, total=120)
    assert (found.least, found.most) == (0, 6)


@pytest.mark.parametrize("counts", [(2, 1, 5), (0, 0, 5), (-1, 1, 5), (1, 6, 5)], ids=str)
def test_counts_that_cannot_be_are_refused(counts):
    found, drawn, total = counts
    with pytest.raises(UsageError):
        interval(found, drawn=drawn, total=total)
