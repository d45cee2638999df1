"""Answers on their way to the ledger: none lost, memory bounded, back-pressure said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from data.home import Home
from data.store.engine import writing
from data.store.ledger import Ledger, LedgerRow
from serving.desk import Desk
from serving.recorder import Recorder
from serving.refusals import Refused
from serving.settings import ServingSettings

ROW = LedgerRow(
    *("r", "L1", "won", 1, 2, "hash", "policy", 1, "online", "scored"),
    *(0.1, 0.0, 0.1, 0.0, 0.5, 71, "A", True, b"", b""),
)


def row(number: int) -> LedgerRow:
    return replace(ROW, request_id=f"r{number}")


def kept(ledger: Ledger) -> list[str]:
    ids: list[str] = ledger.read(columns=["request_id"])["request_id"].to_pylist()
    return ids


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = request.getfixturevalue("new_database")() if request.param == "postgresql" else ""
    with Ledger.open(Home.at(tmp_path, url), wait=0.05) as opened:
        yield opened


def test_what_was_taken_is_there_after_closing_in_order_and_once(ledger: Ledger) -> None:
    recorder = Recorder(ledger, most_waiting=10_000, most_together=100)
    recorder.start()
    for number in range(1000):
        recorder.offer([row(number)])
    recorder.close()
    assert kept(ledger) == [f"r{n}" for n in range(1000)]


def test_a_full_queue_is_said_and_takes_nothing(ledger: Ledger) -> None:
    recorder = Recorder(ledger, most_waiting=3, most_together=100)  # not started: nothing is taken off
    for number in range(3):
        recorder.offer([row(number)])
    with pytest.raises(Refused) as refused:
        recorder.offer([row(3)])
    assert (refused.value.code, refused.value.status) == ("busy", 503)
    recorder.start()
    recorder.close()
    assert kept(ledger) == ["r0", "r1", "r2"]


def test_a_locked_ledger_is_waited_for_and_nothing_is_lost(ledger: Ledger) -> None:
    recorder = Recorder(ledger, most_waiting=100, most_together=10)
    with writing(ledger._engine):
        recorder.start()
        for number in range(50):
            recorder.offer([row(number)])
        deadline = time.monotonic() + 20
        while recorder.healthy and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not recorder.healthy
    recorder.close()
    assert recorder.healthy is False or recorder.waiting == 0
    assert kept(ledger) == [f"r{n}" for n in range(50)]


def test_without_a_model_the_desk_is_not_ready_and_says_so(tmp_path: Path) -> None:
    desk = Desk(Home.at(tmp_path / "empty"), ServingSettings())
    desk.open()
    try:
        assert not desk.is_ready
        with pytest.raises(Refused) as refused:
            desk.answer_by_id(desk.read(b'{"lead_id": "L1"}'), "r", 1)
        assert (refused.value.code, refused.value.status) == ("not_ready", 503)
    finally:
        desk.close()
