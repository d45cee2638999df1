"""The errors a user of leadscore can meet, as one small tree.

Each names its subject, what was received, what was expected and what to do
next. Exit codes and HTTP statuses are given at the doors (`leadscore.py`,
`serving/`), never here.
"""

from __future__ import annotations


class LeadscoreError(Exception):
    """What went wrong, said once, for the person who can mend it.

    >>> str(DataRefused("leads.csv row 3, column created", "32.13.2026",
    ...                 expected="a date like 2026-04-01", remedy="correct it"))
    'leads.csv row 3, column created: received 32.13.2026; expected a date like 2026-04-01. To mend it: correct it.'
    """

    def __init__(self, subject: str, received: object = None, *, expected: str = "", remedy: str = "") -> None:
        self.subject = subject
        self.received = received
        self.expected = expected
        self.remedy = remedy
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        facts = []
        if self.received is not None:
            facts.append(f"received {self.received}")
        if self.expected:
            facts.append(f"expected {self.expected}")
        text = self.subject + (": " + "; ".join(facts) if facts else "")
        return text + (f". To mend it: {self.remedy}." if self.remedy else ".")


class UsageError(LeadscoreError):
    """The command or request itself is wrong: an unknown option value, a missing file."""


class DataRefused(LeadscoreError):
    """Data that cannot be used as it is: unreadable, contradictory, leaking, of another schema."""


class ModelRefused(LeadscoreError):
    """A model or bundle that must not be used, or a training run that found nothing to register."""


class NotFound(LeadscoreError):
    """A lead, model, snapshot or deployment that is not there."""


class StoreUnavailable(LeadscoreError):
    """The store cannot answer or accept now: locked, full, corrupt, of an older version."""
