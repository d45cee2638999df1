"""What the store says about consent while a batch run goes on.

A run may read history from elsewhere, or take minutes: who withdraws meanwhile
gets no score from the next chunk of leads on, or half a minute later.
"""

from __future__ import annotations

from time import monotonic

from data.people.consent import Consents
from data.people.merges import FOREVER
from data.store.engine import last_seq
from data.store.operational import Store
from data.tables import CONSENTS, LEADS, MERGES

ASKED_AGAIN = 30.0
"""Seconds after which the store is looked at again."""


class Withdrawals:
    """Reads the store's consents when there are other ones than the run's history was gated by."""

    def __init__(self, store: Store, *, history_from_store: bool) -> None:
        """To be made before the history is read; `history_from_store`: from this store's present state."""
        self._store = store
        self._heard = self._state() if history_from_store else None
        self._asked = monotonic() if history_from_store else float("-inf")
        self._consents: Consents | None = None

    def allows(self, lead_id: str, *, as_of: int) -> bool:
        """Whether the store's words, as of `as_of` and by the newest of all, let the lead be scored.

        Not by those before the run began: who withdraws meanwhile does so after it.
        """
        return self._consents is None or self._consents.allow_then_and_now(lead_id, as_of=as_of, now=FOREVER)

    def listen(self) -> None:
        """To be called before each chunk of answers."""
        if monotonic() - self._asked < ASKED_AGAIN:
            return
        self._asked = monotonic()
        state = self._state()
        if state != self._heard:
            self._heard = state
            leads, consents, merges = (self._store.read(table) for table in (LEADS, CONSENTS, MERGES))
            self._consents = Consents.of_tables(leads, consents, merges)

    def _state(self) -> tuple[int, ...]:
        with self._store.reading() as connection:
            return tuple(last_seq(connection, table.name) for table in (CONSENTS, MERGES))
