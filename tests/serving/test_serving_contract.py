"""Bad requests as a table: what was sent, the status and code it gets, and the field it names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from serving_worlds import COMPANY, NOW

from data.times import render_instant
from serving.contract import LeadSent, ScoreRequest, moment
from serving.intake import Known, as_of_time, check_subject, history_of
from serving.refusals import STATUSES, Refused, refusal_of

KNOWN = Known.of(COMPANY)
AT = "2026-04-01T09:00:00+09:00"


def sent(lead: dict[str, Any]) -> dict[str, Any]:
    return {"lead": lead}


def touch(**fields: Any) -> dict[str, Any]:
    return sent({"touchpoints": [{"kind": "download", "occurred_at": AT, **fields}]})


def refused(request: Any) -> Refused:
    """What the service would refuse the request with, whichever layer says so."""
    body = request if isinstance(request, str) else json.dumps(request)
    try:
        read = ScoreRequest.model_validate_json(body)
        check_subject(read)
        as_of_time(read.as_of, COMPANY, NOW)
        history_of(read.lead or LeadSent(), KNOWN, NOW)
    except ValidationError as error:
        return refusal_of(error)
    except Refused as error:
        return error
    pytest.fail(f"accepted: {body}")


BAD: list[tuple[Any, str, str | None]] = [
    ("{", "invalid_json", None),
    ("", "invalid_json", None),
    ("\x00", "invalid_json", None),
    ("[" * 5000, "invalid_json", None),
    ('{"lead_id": "\\ud800"}', "invalid_json", None),
    ("[]", "invalid_value", "(body)"),
    ('"lead"', "invalid_value", "(body)"),
    ({}, "missing_field", "lead"),
    ({"lead_id": None}, "missing_field", "lead"),
    ({"lead_id": "L1", "lead": {}}, "invalid_value", "lead_id"),
    ({"lead_id": 7}, "invalid_value", "lead_id"),
    ({"lead_id": ""}, "invalid_value", "lead_id"),
    ({"lead_id": "a\x00b"}, "invalid_value", "lead_id"),
    ({"lead_id": "x" * 201}, "invalid_value", "lead_id"),
    ({"lead_id": "L1", "email": "taro@example.jp"}, "unknown_field", "email"),
    ({"lead_id": "L1", "lang": "de"}, "invalid_value", "lang"),
    ({"lead_id": "L1", "reasons": "some"}, "invalid_value", "reasons"),
    ({"lead_id": "L1", "targets": []}, "invalid_value", "targets"),
    ({"lead_id": "L1", "targets": "won"}, "invalid_value", "targets"),
    ({"lead_id": "L1", "as_of": "2026-04-01"}, "invalid_value", "as_of"),
    ({"lead_id": "L1", "as_of": "2026-04-01T09:00:00"}, "invalid_value", "as_of"),
    ({"lead_id": "L1", "as_of": "row:7"}, "invalid_value", "as_of"),
    (sent({"created_at": "2026-04-01T09:00:00"}), "invalid_value", "lead.created_at"),
    (sent({"created_at": "1775000000"}), "invalid_value", "lead.created_at"),
    (sent({"created_at": 1775000000}), "invalid_value", "lead.created_at"),
    (sent({"created_at": "2026-02-30T00:00:00Z"}), "invalid_value", "lead.created_at"),
    (sent({"created_at": "0001-01-01T00:00:00+23:59"}), None, None),
    (sent({"created_at": "2027-01-01T00:00:00Z"}), "invalid_value", "lead.created_at"),
    (sent({"name": "山田太郎"}), "unknown_field", "lead.name"),
    (sent({"attributes": {"channel": 3}}), "invalid_value", "lead.attributes.channel"),
    (sent({"attributes": {"channel": True}}), "invalid_value", "lead.attributes.channel"),
    (sent({"attributes": {"channel": ["web"]}}), "invalid_value", "lead.attributes.channel"),
    (sent({"attributes": {"budget": "1,000"}}), "invalid_value", "lead.attributes.budget"),
    ('{"lead": {"attributes": {"budget": NaN}}}', "invalid_value", "lead.attributes.budget"),
    ('{"lead": {"attributes": {"budget": Infinity}}}', "invalid_value", "lead.attributes.budget"),
    ('{"lead": {"attributes": {"budget": 1e999}}}', "invalid_value", "lead.attributes.budget"),
    (sent({"attributes": {"renewal": "2026-04-01"}}), "invalid_value", "lead.attributes.renewal"),
    (sent({"attributes": {"shoe_size": 27}}), "unknown_attribute", "lead.attributes.shoe_size"),
    (sent({"attributes": {"kept_secret": "yes"}}), "unknown_attribute", "lead.attributes.kept_secret"),
    (sent({"attributes": {"industry": "製造業"}}), "unknown_attribute", "lead.attributes.industry"),
    (sent({"attributes": {"channel": "x" * 2001}}), "invalid_value", "lead.attributes.channel"),
    (sent({"account": {"attributes": {"channel": "web"}}}), "unknown_attribute", "lead.account.attributes.channel"),
    (sent({"account": {"phone": "03"}}), "unknown_field", "lead.account.phone"),
    (sent({"touchpoints": {}}), "invalid_value", "lead.touchpoints"),
    (sent({"touchpoints": [{"occurred_at": AT}]}), "missing_field", "lead.touchpoints.0.kind"),
    (sent({"touchpoints": [{"kind": "download"}]}), "missing_field", "lead.touchpoints.0.occurred_at"),
    (touch(occurred_at="yesterday"), "invalid_value", "lead.touchpoints.0.occurred_at"),
    (touch(actor="robot"), "invalid_value", "lead.touchpoints.0.actor"),
    (touch(kind=""), "invalid_value", "lead.touchpoints.0.kind"),
    (touch(ip="10.0.0.1"), "unknown_field", "lead.touchpoints.0.ip"),
    (sent({"touchpoints": [{"kind": "a", "occurred_at": AT}] * 10_001}), "invalid_value", "lead.touchpoints"),
    (
        sent({"stage_changes": [{"stage": "very_hot", "occurred_at": AT}]}),
        "invalid_value",
        "lead.stage_changes.0.stage",
    ),
    (
        sent({"consents": [{"purpose": "scoring", "granted": "yes", "occurred_at": AT}]}),
        "invalid_value",
        "lead.consents.0.granted",
    ),
]
BAD = [row for row in BAD if row[1]]


@pytest.mark.parametrize(("request_", "code", "field"), BAD, ids=[f"{n}-{row[2]}" for n, row in enumerate(BAD)])
def test_a_bad_request_is_refused_by_code_and_field(request_: Any, code: str, field: str | None) -> None:
    refusal = refused(request_)
    assert (refusal.code, refusal.field) == (code, field)
    assert 400 <= refusal.status < 500
    assert refusal.message
    assert refusal.allowed
    assert json.dumps(refusal.body("r"), allow_nan=False)


@pytest.mark.parametrize(
    ("request_", "secret"),
    [
        ({"lead_id": "L1", "email": "taro@example.jp"}, "taro"),
        (sent({"name": "山田太郎"}), "山田"),
        (sent({"attributes": {"mail": "taro@example.jp"}}), "taro"),
        (touch(detail={"mail": "taro@example.jp"}), "taro"),
    ],
)
def test_what_stands_in_an_unknown_field_is_not_repeated(request_: Any, secret: str) -> None:
    assert secret not in json.dumps(refused(request_).body("r"), ensure_ascii=False)


def test_every_code_has_a_status_of_its_class() -> None:
    assert all(400 <= status < 600 for status in STATUSES.values())


@given(st.integers(-(2**40), 2**42).map(lambda seconds: seconds * 1000 + 7))
def test_a_time_is_read_as_it_is_rendered(at: int) -> None:
    assert moment(render_instant(at)) == at
    assert moment(render_instant(at, "Asia/Tokyo")) == at


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_whatever_json_is_sent_is_read_or_refused(document: Any) -> None:
    for body in (
        document,
        {"lead": document},
        {"lead": {"attributes": document}},
        {"lead": {"touchpoints": [document]}},
    ):
        refusal = None
        try:
            ScoreRequest.model_validate_json(json.dumps(body))
        except ValidationError as error:
            refusal = refusal_of(error)
        assert refusal is None or json.dumps(refusal.body("r"), allow_nan=False)


def test_what_a_whole_lead_says_becomes_its_history() -> None:
    document = {
        "lead": {
            "lead_id": "X1",
            "created_at": "2026-03-01T00:00:00Z",
            "attributes": {"channel": "web", "budget": 5, "department": None, "campaign": " "},
            "account": {"account_id": "A", "attributes": {"industry": "製造業"}},
            "touchpoints": [
                {"kind": "email_sent", "occurred_at": "2026-03-02T00:00:00Z"},
                {"kind": "download", "occurred_at": "2026-03-03T00:00:00Z", "recorded_at": "2026-03-04T00:00:00Z"},
            ],
            "stage_changes": [{"stage": "mql", "occurred_at": "2026-03-05T00:00:00Z"}],
        }
    }
    lead = ScoreRequest.model_validate_json(json.dumps(document)).lead
    assert lead is not None
    history = history_of(lead, KNOWN, NOW)
    created = moment("2026-03-01T00:00:00Z")
    assert (history.lead_id, history.occurred_at, history.recorded_at) == ("X1", created, created)
    assert {a.name: (a.text, a.number) for a in history.attributes} == {
        "channel": ("web", None),
        "budget": (None, 5.0),
        "department": (None, None),
        "campaign": (None, None),  # blank is missing
    }
    assert [t.actor for t in history.touchpoints] == ["company", "lead"]
    assert history.touchpoints[1].recorded_at == moment("2026-03-04T00:00:00Z")
    assert [s.stage for s in history.stages] == ["mql"]
    assert history.account is not None
    assert history.account.attributes[0].text == "製造業"


def test_a_lead_sent_whole_gets_the_bands_an_import_works_out() -> None:
    lead = LeadSent.model_validate(
        {"attributes": {"job_title": "営業部長"}, "account": {"attributes": {"employees": 120.0}}}
    )
    history = history_of(lead, KNOWN, NOW)
    assert history.account is not None
    assert {a.name: a.text for a in history.attributes}["job_title_band"] == "部長"
    assert {a.name: a.text for a in history.account.attributes}["employee_band"] == "100–299"
