"""Who withdraws while a batch run goes on gets no figures from the next chunk of leads on."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from serving_worlds import COMPANY, NOW, make_world

from data.store.history import lead_history
from data.store.ledger import Ledger
from data.store.operational import Store
from data.store.plain import chosen_history
from data.tables import CONSENTS
from data.times import MICROSECOND, SECOND
from serving import scoring_run, withdrawals
from serving.batch import Run
from serving.champion import champions
from serving.population import History, When
from serving.score_file import ScoreFile
from serving.scoring_run import Asked, run_champions
from serving.withdrawals import Withdrawals

CHUNK = 7
FIGURES = ["probability", "score", "margin", "base", "fit", "behaviour", "expected_value", "reason_1"]


def withdraw(store: Store, person: str, at: int) -> None:
    said = {"person_id": person, "purpose": "scoring", "granted": False, "occurred_at": at}
    record = {"source": "test", "source_id": person, "recorded_at": at + MICROSECOND, **said}
    consents = CONSENTS.arrow_schema()
    store.append(CONSENTS, pa.Table.from_pylist([{n: record.get(n) for n in consents.names}], consents), now=at)


def test_who_withdraws_during_a_run_gets_no_figures_from_the_next_chunk_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person behind the newest lead withdraws, seconds after the run's start, once its first chunk is done."""
    monkeypatch.setattr(scoring_run, "CHUNK", CHUNK)
    monkeypatch.setattr(withdrawals, "ASKED_AGAIN", 0.0)
    home, out = make_world(tmp_path / "home").home, tmp_path / "scores.parquet"
    with Store.open(home) as store, Ledger.open(home) as ledger, ScoreFile(out) as file:
        newest = max((lead_history(store, lead, as_of=NOW) for lead in store.lead_ids()), key=attrgetter("occurred_at"))
        heard = Withdrawals(store, history_from_store=True)
        history = History.of(chosen_history(store, home, None, now=NOW))

        def told(_doing: str, done: int, _total: int | None) -> None:
            if done == CHUNK:
                withdraw(store, f"P{int(newest.lead_id[1:])}", NOW + 5 * SECOND)

        asked = Asked(When(NOW, False, None), Run("test", NOW, "ja"), False, None)
        in_force = list(champions(store, home, ["won"]).values())
        summaries = run_champions(in_force, history, COMPANY, asked, file, ledger, told, heard)
    found = pd.read_parquet(out).set_index("lead_id")
    assert found.index[-1] == newest.lead_id
    assert len(found) > 2 * CHUNK
    assert found.loc[newest.lead_id, FIGURES].isna().all()
    assert found["margin"].drop(newest.lead_id).notna().all()
    assert [s.no_consent for s in summaries] == [1]
