"""Where a request is answered: reads it, finds what is in force, answers, hands the rows to the ledger.

Knows nothing of HTTP; the service calls it with bytes and gets bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from pydantic import ValidationError

from data.home import Home
from data.people.consent import Consents, allowed_then_and_now
from data.records import LeadHistory
from data.store.history import lead_creation, lead_history, stored_lead_id
from data.store.ledger import Ledger
from data.store.operational import Store
from data.times import render_instant
from serving import intake, words
from serving.answer import Asked, InForce, answer_lead, in_words
from serving.champion import Champions
from serving.contract import CREATION, LeadSent, ScoreAnswer, ScoreRequest
from serving.metrics import BY_ID, SWAPS_REFUSED, WAITING, WHOLE, AnswerCounts, InForceGauge
from serving.recorder import Recorder
from serving.refusals import Refused, invalid, refusal_of
from serving.settings import ServingSettings


class Desk:
    """One store, one ledger, the champions in force."""

    def __init__(self, home: Home, settings: ServingSettings) -> None:
        self._store = Store.open(home)
        self._ledger = Ledger.open(home)
        self._counts = AnswerCounts()
        self._recorder = Recorder(self._ledger, most_waiting=settings.ledger_queue, most_together=settings.ledger_batch)
        self._champions = Champions(
            self._store,
            home,
            poll_seconds=settings.poll_seconds,
            retry_seconds=settings.retry_seconds,
            swapped=InForceGauge().show,
            refused=lambda target: SWAPS_REFUSED.labels(target).inc(),
        )
        WAITING.set_function(lambda: self._recorder.waiting)

    def open(self) -> None:
        self._recorder.start()
        self._champions.start()

    def close(self) -> None:
        """Stops following deployments, then returns when every answer given is in the ledger."""
        self._champions.close()
        self._recorder.close()
        self._ledger.close()
        self._store.close()

    @property
    def is_ready(self) -> bool:
        return bool(self._champions.current) and self._recorder.healthy

    def read(self, content: bytes) -> ScoreRequest:
        """Raises Refused, naming the field."""
        try:
            request = ScoreRequest.model_validate_json(content)
        except ValidationError as error:
            raise refusal_of(error) from None
        intake.check_subject(request)
        return request

    def answer_whole(self, request: ScoreRequest, lead: LeadSent, request_id: str, now: int) -> bytes:
        """The answer for a lead sent whole, as JSON."""
        started = perf_counter()
        in_force = self._asked_for(request)
        first = in_force[0]
        as_of = intake.as_of_sent(request.as_of, lead, first.bundle.company, now)
        history = intake.history_of(lead, first.known, as_of)
        said_now = allowed_then_and_now(intake.words_about_scoring(lead), as_of=as_of, now=now)
        may_score = said_now and self._store_allows(lead.lead_id, as_of, now)
        asked = Asked(request_id, as_of, now, request.lang, request.reasons == "all")
        answer = self._answered(in_force, history, asked, lead.lead_id, may_score)
        WHOLE.observe(perf_counter() - started)
        return answer

    def answer_by_id(self, request: ScoreRequest, request_id: str, now: int) -> bytes:
        """The answer for a lead in the store, as JSON. Raises NotFound, StoreUnavailable."""
        started = perf_counter()
        in_force = self._asked_for(request)
        as_of = self._as_of_stored(request, in_force[0], now)
        history = lead_history(self._store, request.lead_id or "", as_of=as_of)
        _check_known(history, as_of)
        consents = Consents.of_lead(self._store, history.lead_id)
        may_score = consents.allow_then_and_now(history.lead_id, as_of=as_of, now=now)
        asked = Asked(request_id, as_of, now, request.lang, request.reasons == "all")
        answer = self._answered(in_force, history, asked, history.lead_id, may_score)
        BY_ID.observe(perf_counter() - started)
        return answer

    def _asked_for(self, request: ScoreRequest) -> list[InForce]:
        """What is in force for the targets asked for; read once, so that no answer mixes two deployments."""
        current = self._champions.current
        if not current:
            raise Refused("not_ready", "no verified model is in force; ask again")
        for index, target in enumerate(request.targets or ()):
            if target not in current:
                raise invalid(f"targets.{index}", target, "one of: " + ", ".join(current), "unknown_target")
        return [current[target] for target in dict.fromkeys(request.targets or current)]

    def _store_allows(self, lead_id: str | None, as_of: int, now: int) -> bool:
        """What is stored of the lead's person counts as well: an application need not know of every objection."""
        stored = None if lead_id is None else stored_lead_id(self._store, lead_id)
        if stored is None:
            return True
        return Consents.of_lead(self._store, stored).allow_then_and_now(stored, as_of=as_of, now=now)

    def _as_of_stored(self, request: ScoreRequest, force: InForce, now: int) -> int:
        """The as-of time of a stored lead; without dates in the data it is looked at right after its creation."""
        company = force.bundle.company
        if request.as_of == CREATION or (request.as_of is None and company.time == "row"):
            return intake.right_after(*lead_creation(self._store, request.lead_id or ""))
        return intake.as_of_time(request.as_of, company, now)

    def _answered(
        self, in_force: Sequence[InForce], history: LeadHistory, asked: Asked, lead_id: str | None, may_score: bool
    ) -> bytes:
        pairs = [answer_lead(force, history, asked, may_score=may_score) for force in in_force]
        answer = ScoreAnswer(
            request_id=asked.request_id,
            lead_id=lead_id,
            as_of=render_instant(asked.as_of),
            scored_at=render_instant(asked.scored_at),
            note=in_words(words.FIXED_LINE_JA, words.FIXED_LINE_EN, asked.lang),
            targets=[given for given, _ in pairs],
        )
        content = answer.model_dump_json().encode()
        self._recorder.offer([row for _, row in pairs])
        self._counts.count(answer.targets)
        return content


def _check_known(history: LeadHistory, as_of: int) -> None:
    born = intake.right_after(history.occurred_at, history.recorded_at)
    if as_of < born:
        raise invalid("as_of", render_instant(as_of), f"{render_instant(born)} or later, when the lead was known")
