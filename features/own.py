"""A company's own feature declarations: TOML files in its home's `features/` folder, such as EXAMPLE.

The fields are those of `Declaration`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from data.errors import UsageError
from features.declaration import Declaration, check

EXAMPLE = """[[feature]]
name = "webinar_replays_30d_count"
kind = "count"
group = "behaviour"
reason = "webinars"
wording_ja = "直近{window}日間に録画を{value}回視聴"
wording_en = "Webinar replays in {window} days: {value}"
touchpoints = ["webinar_replay"]
window_days = 30
direction = 1
"""


def own_declarations(folder: Path) -> tuple[Declaration, ...]:
    """The declarations of every `*.toml` in `folder`, by file name; UsageError names file and feature."""
    return tuple(d for path in sorted(folder.glob("*.toml")) for d in _read(path))


def _read(path: Path) -> list[Declaration]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}", str(error), expected="TOML in UTF-8") from None
    listed = raw.pop("feature", [])
    if raw or not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        stray = ", ".join(sorted(raw)) or "feature that is no list of tables"
        raise UsageError(path.name, stray, expected="only [[feature]] tables")
    return [_declaration(path, number, item) for number, item in enumerate(listed, start=1)]


def _declaration(path: Path, number: int, item: dict[str, object]) -> Declaration:
    try:
        declaration = Declaration.from_dict(item)
        check(declaration)
    except UsageError as error:
        raise UsageError(
            f"{path.name}, feature {number}: {error.subject}",
            error.received,
            expected=error.expected,
            remedy="correct the file in the home's features folder",
        ) from None
    return declaration
