"""The mapping file itself: what it says, and how it says what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.errors import UsageError
from data.sources.mapping import WORKED, read_mapping
from data.sources.sections import FileSection
from data.times import DAY, ROW_HORIZON, parse_instant

BODY = """
source = "crm"
missing = ["unknown", 999]
[company]
timezone = "Asia/Tokyo"
extra_stages = ["商談中"]
history_from = { stage_changes = 2017-12-05 }
[targets.won]
stage = "won"
horizon = "30d"
recording_lag = "1w"
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = { column = "created", format = "%d/%m/%Y" }
[files.columns]
"業種" = { as = "industry" }
emp = { type = "number", as = "employees" }
grade = { type = "category", group = "behaviour", direction = 1, label_ja = "等級", known = "later" }
won_on = { known = "outcome" }
[[files.stages]]
stage = { column = "status", words = { "受注" = "won", "交渉" = "商談中" } }
at = "won_on_date"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_mapping_says_of_the_company(tmp_path: Path) -> None:
    company = read_mapping(write(tmp_path, BODY)).company_declared()
    target = company.target("won")
    assert (target.stage, target.horizon, target.recording_lag) == ("won", 30 * DAY, 7 * DAY)
    assert company.history_from == {"stage_changes": parse_instant("2017-12-05", "Asia/Tokyo")}
    assert company.extra_stages == ("商談中",)
    assert [(c.name, c.known, c.group, c.direction) for c in company.columns] == [
        ("grade", "later", "behaviour", 1),
        ("won_on", "outcome", "fit", 0),
    ]


def test_row_time_has_no_horizon_of_its_own(tmp_path: Path) -> None:
    text = BODY.replace('timezone = "Asia/Tokyo"', 'time = "row"').replace(
        'horizon = "30d"\nrecording_lag = "1w"\n', ""
    )
    text = text.replace('at = "won_on_date"\n', "")
    assert read_mapping(write(tmp_path, text)).company_declared().target("won").horizon == ROW_HORIZON


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("path =", 'separators = ";"\npath ='), r"\(leads.csv\).separators .*did you mean separator"),
        (('emp = { type', 'emp = { typ'), r"columns.emp.typ is no key .* did you mean type\? allowed: as, type"),
        (("group =", "gruop ="), r"columns.grade.gruop .* did you mean group"),
        (('horizon = "30d"', 'horizon = "30 days"'), r"targets.won.horizon: received '30 days'"),
        (('stage = "won"\n', 'stage = "wno"\n'), r"targets.won.stage: received 'wno'; allowed: new, mql"),
        (('"受注" = "won"', '"受注" = "closed"'), r"stages\[0\].stage: received 'closed'; allowed: .*extra_stages"),
        (('at = "won_on_date"', ""), r"stages\[0\]: needs at .* known_after"),
        (('at = "won_on_date"', 'known_after = "90d"'), r"known_after: 90d lies behind the horizon of targets.won"),
        (('created = {', 'person = {'), r"files\[0\] \(leads.csv\).lead: needs created"),
        (('id = "id"\n', ""), r"lead: needs id"),
        (('as = "industry"', 'as = "industry", type = "number"'), r"industry has type category, not number"),
        (('type = "category", group', "group"), r"columns.grade: needs type"),
        (('timezone = "Asia/Tokyo"', 'timezone = "Tokyo"'), r"company.timezone: received 'Tokyo'"),
        (('[[files.stages]]', '[files.join]\nlead = "id"\n[[files.stages]]'), r"has both lead and join"),
        (("stage_changes = 2017", "stages = 2017"), r"'stages' is no table"),
        (('source = "crm"', ""), r"source is missing"),
        (('as = "employees"', 'as = "employees", subject = "lead"'), r"'employees' is a standard attribute"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    assert change[0] in BODY
    with pytest.raises(UsageError) as refusal:
        read_mapping(write(tmp_path, BODY.replace(*change)))
    assert re.search(said, str(refusal.value), re.S), str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("source = [", "valid TOML"), ('source = "x"\n', "files is missing"), ('source = "x"\nfiles = 3\n', "files")],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_mapping(write(tmp_path, text))


def test_a_mapping_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No such file.*mapping draft"):
        read_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize("name", [p.name for p in sorted(WORKED.glob("*.toml"))])
def test_the_worked_mappings_are_sound(name: str) -> None:
    assert read_mapping(WORKED / name).targets


def test_five_mappings_are_shipped() -> None:
    assert {p.stem for p in WORKED.glob("*.toml")} == {"simulator", "olist", "bank", "shoppers", "salvirt"}


def test_the_manual_names_every_key(root: Path) -> None:
    manual = (root / "docs" / "mapping.md").read_text(encoding="utf-8")
    assert sorted(key for key in keys_of(FileSection) | TOP_KEYS if f"`{key}`" not in manual) == []


TOP_KEYS = {"source", "id_prefix", "missing", "time", "timezone", "currency", "horizon",
            "fiscal_year_start", "extra_stages", "extra_touchpoints", "history_from", "recording_lag"}  # fmt: skip


def keys_of(model: type) -> set[str]:
    from data.sources.wrong_places import _fields, _model_in

    found: set[str] = set()
    for name, field in _fields(model).items():
        found.add(name)
        inner = _model_in(field.annotation)
        found |= keys_of(inner) if inner is not None else set()
    return found
