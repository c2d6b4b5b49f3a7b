"""Which of two lengths of time is the longer one, exactly: by every start of the calendar's cycle."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import PolicyError
from interlock.policy.load import loads
from interlock.policy.time import Duration, longer, sometimes_longer, spoken, undecided

DAY = 86400


def days(count):
    return Duration(0, count * DAY)


KNOWN = {
    "28 days and a month": (days(28), Duration(1, 0), False),
    "29 days and a month": (days(29), Duration(1, 0), True),
    "30 days and a month": (days(30), Duration(1, 0), True),
    "31 days and a month": (days(31), Duration(1, 0), False),
    "59 days and two months": (days(59), Duration(2, 0), False),
    "60 days and two months": (days(60), Duration(2, 0), True),
    "90 days and three months": (days(90), Duration(3, 0), True),
    "365 days and a year": (days(365), Duration(12, 0), False),
    "366 days and a year": (days(366), Duration(12, 0), False),
    "1460 days and four years": (days(1460), Duration(48, 0), False),  # 1896 to 1904 had no leap day in between
    "1461 days and four years": (days(1461), Duration(48, 0), False),
    "a month and a day, and 30 days": (Duration(1, DAY), days(30), True),
    "a month, and a month less a second": (Duration(1, 0), Duration(1, 1), False),
}


@pytest.mark.parametrize("sentence", KNOWN)
def test_months_are_compared_with_days_exactly(sentence):
    one, other, either = KNOWN[sentence]
    assert undecided(one, other) is undecided(other, one) is either
    assert not longer(one, other) or not sometimes_longer(other, one)


def test_a_year_is_never_shorter_than_365_days_and_sometimes_longer():
    assert sometimes_longer(Duration(12, 0), days(365))
    assert not sometimes_longer(days(365), Duration(12, 0))
    assert longer(Duration(12, 1), days(365))


@given(
    one=st.builds(Duration, st.integers(0, 30), st.integers(0, 100).map(lambda count: count * DAY // 2)),
    other=st.builds(Duration, st.integers(0, 30), st.integers(0, 100).map(lambda count: count * DAY // 2)),
    start=st.integers(0, 4 * 366),
)
def test_no_start_contradicts_what_is_said(one, other, start):
    begins = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=start)
    ends, others = one.after(begins), other.after(begins)
    if longer(one, other):
        assert ends > others
    if not sometimes_longer(one, other):
        assert ends <= others


def test_a_length_is_spoken_as_it_is_written():
    assert spoken(Duration(1, 2 * DAY)) == "1 month and 2 days"
    assert spoken(Duration(0, 3600)) == "1 hour"
    assert spoken(Duration(0, 61)) == "61 seconds"


# -- the strictest of several cells ------------------------------------------------------------------------------------

TWO = """
  shown: {measured: codebook <= 0.9}
"""


def requirement(text, folder, *periods):
    """A measured requirement in the cells of thresholds with these refresh periods."""
    lines = "".join(
        f"  line-{n}: {{reached_when: codebook >= 0.3, rule_out: {{like: codebook-use, "
        f"refresh: {{effective_compute: 4x, period: {period}}}}}}}\n"
        for n, period in enumerate(periods)
    )
    cells = ", ".join(f"line-{n}: [shown]" for n in range(len(periods)))
    changed = text.replace("  takeover:\n", f"{lines}  takeover:\n")
    changed = changed.replace("requirements:\n", f"requirements:{TWO}")
    changed = changed.replace("{codebook-use-open: [never]", f"{{codebook-use-open: [never], {cells}")
    return loads(changed, name="lab.yaml", folder=folder).requirements["shown"]


def test_a_month_and_thirty_days_are_not_compared_but_refused(text, folder):
    with pytest.raises(PolicyError) as caught:
        requirement(text, folder, "1 month", "30 days", "12 months", "365 days")
    (line,) = caught.value.problems
    assert line.startswith("lab.yaml:")
    assert "expected field `refresh`, got nothing" in line
    assert "`1 month` and `30 days`, of which either may be the shorter one; write the period" in line


def test_the_shortest_is_taken_where_it_is_the_shortest_from_every_start(text, folder):
    assert requirement(text, folder, "1 month", "30 days", "28 days").rule_out.refresh.period == days(28)
    assert requirement(text, folder, "2 months", "12 months", "62 days").rule_out.refresh.period == Duration(2, 0)
