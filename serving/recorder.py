"""Answers on their way to the ledger: a bounded queue and one thread that commits them in groups.

An answer is taken in before it is given. When the ledger cannot keep up the
queue fills and the service says 503, so that memory does not grow and no
answer goes out unrecorded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from data.errors import LeadscoreError
from data.store.ledger import Ledger, LedgerRow
from serving.refusals import Refused

_log = logging.getLogger("leadscore.serving")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 3.2
FLUSH_SECONDS = 20.0
PAUSE_BETWEEN_GROUPS = 0.05


class Recorder:
    """`offer` takes the rows of one answer; `close` returns when all are committed."""

    def __init__(self, ledger: Ledger, *, most_waiting: int, most_together: int) -> None:
        self._ledger = ledger
        self._waiting: deque[Sequence[LedgerRow]] = deque()
        self._most_waiting, self._most_together = most_waiting, most_together
        self._closing = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, rows: Sequence[LedgerRow]) -> None:
        """Raises Refused(busy) when as many answers wait as may."""
        if len(self._waiting) >= self._most_waiting:
            raise Refused("busy", "the ledger cannot take more answers now; ask again")
        self._waiting.append(rows)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def healthy(self) -> bool:
        return not self._failing and (self._thread.is_alive() or self._thread.ident is None)

    def close(self) -> None:
        """Commits what waits; gives up after some seconds, saying how many answers were lost."""
        self._closing.set()
        self._thread.join(FLUSH_SECONDS)
        if self._thread.is_alive() or self.waiting:
            _log.error("the ledger did not take %d answers before the service ended", self.waiting)

    def _run(self) -> None:
        """Wakes at intervals, not at every answer: a thread that wakes takes the interpreter from the one answering."""
        while not (self._closing.wait(PAUSE_BETWEEN_GROUPS) and not self._waiting):
            while group := self._next_group():
                self._commit(group)

    def _next_group(self) -> list[LedgerRow]:
        rows: list[LedgerRow] = []
        while self._waiting and len(rows) < self._most_together:
            rows += self._waiting.popleft()
        return rows

    def _commit(self, rows: list[LedgerRow]) -> None:
        """Tries until the ledger takes them; meanwhile the queue fills and clients are told to wait."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._ledger.append(rows)
                self._failing = False
                return
            except LeadscoreError as error:
                self._failing = True
                _log.warning("the ledger takes nothing: %s", error)
            except Exception as error:
                self._failing = True
                _log.exception("the ledger failed: %s", type(error).__name__)
            if self._closing.is_set() and pause >= LONGEST_PAUSE:
                _log.error("%d answers could not be recorded before the service ended", len(rows))
                return
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
