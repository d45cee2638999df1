"""Batch, online and the oracle give exactly the same, whatever the history."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.online import OnlineFeatures
from tests.features import oracle
from tests.features.comparing import assert_equal, catalogue, company, rows_of
from tests.features.worlds import world


@pytest.mark.parametrize(
    ("timezone", "fiscal_year_start", "seed"),
    [("Asia/Tokyo", 4, 1), ("Europe/Berlin", 1, 2), ("America/New_York", 2, 3)],
)
def test_many_seeded_histories(timezone: str, fiscal_year_start: int, seed: int) -> None:
    rng = random.Random(seed)
    worlds = [world(rng.choice, f"w{number}") for number in range(120)]
    assert_equal(worlds, company(timezone, fiscal_year_start), shuffle=rng)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_online_equals_oracle_on_drawn_histories(data: st.DataObject) -> None:
    w = world(lambda options: data.draw(st.sampled_from(options)), "w")
    of = company(data.draw(st.sampled_from(("Asia/Tokyo", "Europe/Berlin"))))
    wanted = catalogue(of)
    online = OnlineFeatures(wanted, of)
    for history, _cycle, _start, as_of in rows_of([w]):
        assert online.row(history, as_of) == [oracle.value(d, history, as_of, of) for d in wanted]


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_batch_equals_oracle_on_drawn_histories(data: st.DataObject) -> None:
    worlds = [world(lambda options: data.draw(st.sampled_from(options)), f"w{n}", size=2, busy=3) for n in range(4)]
    assert_equal(worlds, company())
