"""Every way the service says no: one code, one HTTP status, one cause, one remedy each.

The messages name fields and what is allowed there. They repeat a value only
where the contract says what kind of value it is; what stands in an unknown
field is never repeated, since it may be personal data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from serving.contract import AccountSent, ConsentSent, LeadSent, ScoreRequest, StageChangeSent, TouchpointSent

STATUSES = {
    "invalid_json": 400,
    "unknown_lead": 404,
    "unknown_route": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "unknown_field": 422,
    "missing_field": 422,
    "invalid_value": 422,
    "unknown_attribute": 422,
    "unknown_target": 422,
    "internal_error": 500,
    "busy": 503,
    "not_ready": 503,
    "store_unavailable": 503,
    "timeout": 504,
}
RETRY_AFTER = {"busy": 1, "not_ready": 5, "store_unavailable": 5, "timeout": 5}
"""Seconds a client should wait before it asks again."""

LONGEST_ECHO = 100


@dataclass(frozen=True)
class Refused(Exception):
    """A request the service will not answer; raised anywhere below the route, rendered once."""

    code: str
    message: str
    field: str | None = None
    received: Any = None
    allowed: str | None = None

    @property
    def status(self) -> int:
        return STATUSES[self.code]

    def body(self, request_id: str) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "received": self.received,
            "allowed": self.allowed,
            "request_id": request_id,
        }


def invalid(field: str, received: object, allowed: str, code: str = "invalid_value") -> Refused:
    return Refused(code, f"{field}: expected {allowed}", field, shown(received), allowed)


def shown(value: object) -> Any:
    """A value as an error may repeat it: scalars cut short, everything else as its kind."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_ECHO else f"{value[:LONGEST_ECHO]}… ({len(value)} characters)"
    if isinstance(value, bool | int) or value is None:
        return value if -(2**63) <= (value or 0) < 2**63 else "a number beyond 64 bits"
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    return kind_of(value)


def kind_of(value: object) -> str:
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, Sequence):
        return f"a list of {len(value)}"
    return {bool: "true or false", int: "a number", float: "a number", type(None): "null"}.get(type(value), "a value")


def refusal_of(error: ValidationError) -> Refused:
    """The first thing wrong with a request body, in the service's own words."""
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] == "finite_number"), found[0])
    where = _path(first["loc"], first["type"])
    if first["type"] == "json_invalid":
        problem = str(first["ctx"]["error"])
        return Refused("invalid_json", f"the body is not JSON: {problem}", None, problem, "one JSON object, in UTF-8")
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_model_at(first["loc"][:-1]).model_fields)
        return Refused("unknown_field", f"{where}: there is no such field", where, kind_of(first["input"]), allowed)
    if first["type"] == "missing":
        return Refused("missing_field", f"{where}: this field is needed", where, None, _meaning(first["loc"]))
    return invalid(where or "(body)", _received(first), _allowed(first))


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_UNION_TAGS = frozenset({"str", "float", "constrained-str", "function-before[moment(), int]"})
_MODELS: dict[str, type[BaseModel]] = {
    "": ScoreRequest,
    "lead": LeadSent,
    "lead.account": AccountSent,
    "lead.touchpoints": TouchpointSent,
    "lead.stage_changes": StageChangeSent,
    "lead.consents": ConsentSent,
}


def _path(location: Sequence[int | str], kind: str) -> str:
    """`lead.touchpoints.0.kind`: pydantic's own tags for the branches of a union are left out."""
    steps = [str(step) for step in location]
    if kind != "extra_forbidden" and len(steps) > 1 and steps[-1] in _UNION_TAGS:
        steps.pop()
    if steps and steps[-1] == "[key]":
        steps.pop()
    cut = (step if len(step) <= LONGEST_ECHO else step[:LONGEST_ECHO] + "…" for step in steps)
    return _UNPRINTABLE.sub("?", ".".join(cut))


def _model_at(location: Sequence[int | str]) -> type[BaseModel]:
    return _MODELS[".".join(step for step in location if isinstance(step, str))]


def _meaning(location: Sequence[int | str]) -> str | None:
    return _model_at(location[:-1]).model_fields[str(location[-1])].description


def _received(error: Mapping[str, Any]) -> object:
    value = error["input"]
    return kind_of(value) if error["type"] in ("string_too_long", "string_pattern_mismatch") else value


_ALLOWED = {
    "bool_type": "true or false",
    "string_pattern_mismatch": "text of 1–200 characters without control characters",
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
    "finite_number": "a finite number",
    "float_type": "text, a finite number or null",
}


def _allowed(error: Mapping[str, Any]) -> str:
    """What stands in the way of this error, said as what is allowed."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"one of: {context['expected']}"
    if kind == "string_too_long":
        return f"at most {context['max_length']} characters"
    if kind in ("too_long", "too_short"):
        bound = "at most" if kind == "too_long" else "at least"
        return f"{bound} {context.get('max_length', context.get('min_length'))} entries"
    if kind == "string_type":
        return "text, a finite number or null" if error["loc"][-1] == "constrained-str" else "text"
    return _ALLOWED.get(kind, "see the field's description in docs/api.md")
