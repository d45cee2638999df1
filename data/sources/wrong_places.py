"""Says where a mapping went wrong, in its own keys, with what is allowed there."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from data.sources.mapping import Mapping

MOST = 8
"""Places named at once; mending these first is enough to go on."""


def wrong_places(error: ValidationError, raw: dict[str, Any]) -> str:
    every = error.errors(include_url=False)
    # pydantic also says that a list whose items failed is too short: a consequence, not a mistake.
    found = [
        e for e in every if not any(o is not e and o["loc"][: len(e["loc"])] == e["loc"] for o in every if e["loc"])
    ]
    lines = [_line(e, raw) for e in found[:MOST]]
    more = len(found) - MOST
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _line(found: Any, raw: dict[str, Any]) -> str:
    loc = found["loc"]
    place = _place(loc, raw)
    if found["type"] == "extra_forbidden":
        return f"{place} is no key of its section; {_allowed(loc)}"
    if found["type"] == "missing":
        return f"{place} is missing"
    message = found["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(found["input"], dict) or not loc else f"received {found['input']!r}; "
    return (f"{place}: " if place else "") + shown + message[:1].lower() + message[1:]


def _place(loc: tuple[Any, ...], raw: dict[str, Any]) -> str:
    """`files[1] (deals.csv).stages[0].stage` for ("files", 1, "stages", 0, "stage")."""
    text, here = "", raw
    for part in loc:
        here = here[part] if _holds(here, part) else {}
        if isinstance(part, int):
            text += f"[{part}]" + (f" ({here['path']})" if isinstance(here, dict) and "path" in here else "")
        else:
            text += f".{part}" if text else str(part)
    return text


def _holds(here: Any, part: Any) -> bool:
    in_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
    return in_list or (isinstance(here, dict) and part in here)


def _allowed(loc: tuple[Any, ...]) -> str:
    keys = _keys(loc[:-1])
    near = difflib.get_close_matches(str(loc[-1]), keys, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"allowed: {', '.join(keys)}"


def _keys(loc: tuple[Any, ...]) -> list[str]:
    model: Any = Mapping
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in _fields(model):
            model = _model_in(_fields(model)[part].annotation)
    hidden = {"place", "data"} if model is Mapping else set()
    return [k for k in _fields(model) if k not in hidden]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> Any:
    """The section inside `X | None`, `tuple[X, ...]`, `dict[str, X]` and `Annotated[X, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
