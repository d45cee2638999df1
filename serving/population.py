"""Which leads a batch run scores, as of when, and which of them get no score.

The one file of this room that builds Ibis expressions; imported by the
commands that need it, never by the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend

from data.company import Company, Target
from data.home import Home
from data.people.consent import Consents
from data.store.snapshots import Snapshot
from data.tables import STAGES
from features.as_of import belongs, creation_rows, open_rows
from features.declaration import Declaration
from features.engine import feature_pieces, local_engine
from serving.answer import is_past
from serving.contract import CREATION

Tables = dict[str, ibis.Table]


@dataclass(frozen=True)
class When:
    """What `--as-of` and `--created-from` ask for, in microseconds."""

    as_of: int
    """Leads are looked at as of here, unless `at_creation`."""
    at_creation: bool
    created_from: int | None

    @staticmethod
    def asked(as_of: str | None, created_from: str | None, company: Company, now: int) -> When:
        """Data without dates are looked at right after each lead's creation: "row:N" asks for the leads after N."""
        since = None if created_from is None else company.instant(created_from)
        if company.time == "row":
            rows_after = None if as_of in (None, CREATION) else company.instant(str(as_of))
            return When(now, True, rows_after if since is None else since)
        if as_of == CREATION:
            return When(now, True, since)
        return When(now if as_of is None else company.instant(as_of), False, since)


@dataclass(frozen=True)
class Population:
    """The leads of one batch run that get no score for one target."""

    past: frozenset[str]
    consents: Consents

    def status_of(self, lead_id: str, as_of: int, now: int) -> str | None:
        """past_target, no_consent, or None where the lead is scored."""
        if not self.consents.allow_then_and_now(lead_id, as_of=as_of, now=now):
            return "no_consent"
        return "past_target" if lead_id in self.past else None


def rows_to_score(tables: Tables, company: Company, when: When, *, only_open: bool) -> ibis.Table:
    """One row a lead (lead_id, cycle_id, cycle_start, as_of), as `When` says."""
    if not when.at_creation:
        rows = open_rows(tables, as_of=when.as_of)
        return rows if when.created_from is None else rows.semi_join(_born_from(tables, when.created_from), "lead_id")
    rows = creation_rows(tables, created_from=when.created_from, as_of=when.as_of)
    return rows.semi_join(open_rows(tables, as_of=when.as_of), "lead_id") if only_open else rows


def _born_from(tables: Tables, created_from: int) -> ibis.Table:
    return tables["leads"].filter(tables["leads"].occurred_at >= created_from)


def population(tables: Tables, rows: ibis.Table, target: Target, company: Company) -> Population:
    """Reads, once for all chunks, who of `rows` is past the target or does not allow scoring."""
    leads = tables["leads"].select("lead_id", "person_id").to_pyarrow()
    return Population(
        past=frozenset(_past(tables, rows, target, company).to_pyarrow()["lead_id"].to_pylist()),
        consents=Consents.of_tables(leads, tables["consents"].to_pyarrow(), tables["merges"].to_pyarrow()),
    )


def _past(tables: Tables, rows: ibis.Table, target: Target, company: Company) -> ibis.Table:
    """Leads whose cycle has, visibly, reached the target or ended (as `answer.status_unscored` says of one)."""
    ending = [stage for stage in {*STAGES, *company.extra_stages} if is_past(stage, target.stage)]
    changes = tables["stage_changes"].filter(lambda t: t.stage.isin(ending))
    changes = changes.select("lead_id", reached="occurred_at", known="recorded_at")
    joined = rows.join(changes, "lead_id")
    visible = (joined.reached < joined.as_of) & (joined.known < joined.as_of)
    return joined.filter(visible & belongs(joined.reached, joined.cycle_start, joined.cycle_id != joined.lead_id))


class FeatureRows:
    """The feature table of one set of declarations, kept on the engine in the order of the leads' creation."""

    def __init__(
        self, history: History, rows: ibis.Table, declarations: Sequence[Declaration], company: Company
    ) -> None:
        features = _gathered(
            history.connection, feature_pieces(history.connection, history.tables, rows, declarations, company)
        )
        born = history.tables["leads"].select("lead_id", _created="occurred_at")
        ordered = features.join(born, "lead_id").order_by("_created", "lead_id").drop("_created")
        # The engine keeps the order rows are inserted in, and spills to disk what memory does not hold.
        name = ibis.util.gen_name("features")
        self._table = history.connection.create_table(name, ordered, temp=True)
        history.connection.raw_sql(f"DROP TABLE {features.get_name()}")
        self.count = int(self._table.count().to_pyarrow().as_py())

    def chunks(self, size: int) -> Iterator[pa.Table]:
        """At most `size` rows at a time: lead_id, cycle_id, cycle_start, as_of, then the features."""
        for start in range(0, self.count, size):
            yield self._table.limit(size, offset=start).to_pyarrow()


def _gathered(connection: Backend, pieces: Iterator[pa.Table]) -> ibis.Table:
    """All pieces in one table of the engine, which memory need not hold."""
    name = ibis.util.gen_name("gathered")
    for number, piece in enumerate(pieces):
        connection.con.register("piece", piece)
        connection.raw_sql(
            f"{'INSERT INTO' if number else 'CREATE TEMP TABLE'} {name} {'' if number else 'AS'} FROM piece"
        )
        connection.con.unregister("piece")
    return connection.table(name)


@dataclass(frozen=True)
class History:
    """A snapshot's tables, open on an engine."""

    connection: Backend
    tables: Tables

    @staticmethod
    def of(snapshot: Snapshot, home: Home | None = None, *, threads: int = 2) -> History:
        connection = local_engine(home, threads=threads)
        return History(connection, snapshot.tables(connection))
