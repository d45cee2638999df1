"""A small company made by hand, with a trained-looking scorer for each of its targets.

Nothing of training's procedure is used: a scorer's trees are fitted to noise,
since serving must answer rightly whatever the model says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa

from data import tables
from data.company import Company, CompanyColumn, Target
from data.home import Home
from data.store.deployments import Deployment
from data.store.operational import Store
from data.times import DAY, HOUR, MICROSECOND, ROW_HORIZON, ROW_OUTCOME_DELAY, ROW_STEP, parse_instant
from features.catalogue import declarations
from features.declaration import Declaration
from training.deals import Amounts, Days, Deals
from training.golden import golden_rows
from training.parts import (
    NO_TERM,
    BoosterPart,
    Calibration,
    CategoryColumn,
    CategoryTerm,
    LinearPart,
    NumberColumn,
    NumberTerm,
    Scorer,
)
from training.policy import Policy
from training.writing import write_bundle

START = parse_instant("2026-01-05T00:00:00+09:00")
NOW = parse_instant("2026-06-01T00:00:00+09:00")
NOW_TEXT = "2026-06-01T00:00:00+09:00"
WON = Target("won", "won", 90 * DAY)
SQL = Target("sql", "sql", 30 * DAY)
COMPANY = Company(
    targets=(WON, SQL),
    columns=(
        CompanyColumn("budget", type="number", label_ja="予算", label_en="Budget"),
        CompanyColumn("kept_secret", known="outcome"),
        CompanyColumn("renewal", type="date", label_ja="更新日", label_en="the renewal date"),
    ),
)
INDUSTRIES = ("製造業", "情報通信業", "小売業")
LEADS = 60


@dataclass(frozen=True)
class World:
    home: Home
    hashes: dict[str, str]


def make_world(path: Path) -> World:
    """A home with 60 leads and a champion for won and for SQL."""
    home = Home.at(path)
    with Store.open(home) as store:
        store.save_company(COMPANY, now=NOW)
        store.append_all(history(), now=NOW)
        hashes = {
            target.name: deploy(store, home, target, seed, deals=deals).bundle_hash
            for seed, (target, deals) in enumerate(((WON, some_deals(COMPANY)), (SQL, None)))
        }
    return World(home, hashes)


def deploy(store: Store, home: Home, target: Target, seed: int, **options: Any) -> Deployment:
    """A bundle of its own, a policy, and the row that puts them in force."""
    path = make_bundle(home.bundles, target, seed, **options)
    policy = make_policy(target.name)
    store.save_policy(policy.policy_id, target.name, policy.to_json(), now=NOW)
    return store.deploy(
        Deployment(
            0, target.name, "champion", path.name, str(seed + 1), policy.policy_id, "promote", NOW, "test", "test"
        )
    )


def make_policy(target: str, threshold: float = 0.2) -> Policy:
    return Policy(
        target, threshold, 0.3, 0.15, 0.05, "capacity", 10.0, threshold, threshold, 10.0, 0.2, mean_amount=1_200_000.0
    )


def some_deals(company: Company) -> Deals:
    """Amounts that differ between industries, days that differ between stages."""
    terms = [
        CategoryTerm({INDUSTRIES[0]: 0.4, INDUSTRIES[1]: -0.3}, 0.1, 0.0) if d.name == "industry" else NO_TERM
        for d in some_declarations(company)
    ]
    amounts = Amounts(LinearPart(13.8, tuple(terms)), factor=1.1, low=0.4, high=1.9, deals=100)
    return Deals(amounts, Days((10.0, 20.0, 40.0), {"mql": (15.0, 30.0, 50.0)}, deals=100))


def make_bundle(
    bundles: Path,
    target: Target,
    seed: int,
    *,
    proven: bool = True,
    company: Company = COMPANY,
    deals: Deals | None = None,
) -> Path:
    """A bundle over a part of the default catalogue: a linear part and small trees fitted to noise."""
    declared = some_declarations(company)
    scorer = make_scorer(declared, seed)
    return write_bundle(
        bundles,
        scorer,
        declarations=declared,
        company=company,
        target=target,
        as_of=NOW,
        snapshot="none",
        proven=proven,
        golden=golden_rows(scorer, [[None for _ in declared]]),
        deals=deals,
    )


SOME = frozenset(
    [
        "touchpoints_30d_count",
        "pricing_views_30d_count",
        "days_since_last_touchpoint",
        "strong_interest_decayed_14d",
        "email_clicks_per_sent",
        "last_touch_channel",
        "stage",
        "lead_age",
        "account_touchpoints_30d_count",
        "channel",
        "industry",
        "employee_band",
        "industry_missing",
        "creation_month",
        "budget",
        "budget_missing",
        "renewal",
    ]
)


def some_declarations(company: Company) -> tuple[Declaration, ...]:
    """One or two of the catalogue's features of each family: the whole of it takes the engine seconds to plan."""
    return tuple(d for d in declarations(company) if d.name in SOME)


def make_scorer(declared: tuple[Declaration, ...], seed: int) -> Scorer:
    random = np.random.default_rng(seed)
    weights = random.normal(0, 0.3, len(declared))
    columns = tuple(_column(d) for d in declared)
    terms = tuple(_term(d, float(w)) for d, w in zip(declared, weights, strict=True))
    boosters = tuple(BoosterPart(_trees(len(declared), random), share) for share in (0.3, 0.2))
    return Scorer(columns, LinearPart(0.1, terms), boosters, -2.0, 0.1, 0.4, Calibration("platt", 0.9, -0.4))


def _column(d: Declaration) -> NumberColumn | CategoryColumn:
    return CategoryColumn(dict.fromkeys(INDUSTRIES, 0.4), -0.1, -0.3) if d.is_category else NumberColumn(None, 500.0)


def _term(d: Declaration, weight: float) -> NumberTerm | CategoryTerm:
    if d.is_category:
        return CategoryTerm({level: weight * n for n, level in enumerate(INDUSTRIES)}, -weight, weight / 2)
    return NumberTerm(d.kind == "count", -5.0, 5.0, weight, -0.01, 0.02)


def _trees(width: int, random: np.random.Generator) -> str:
    matrix = random.exponential(5.0, (800, width))
    matrix[random.random(matrix.shape) < 0.2] = np.nan
    label = (np.nan_to_num(matrix[:, :10]).sum(axis=1) + random.normal(0, 20, 800) > 45).astype(float)
    options = {
        "objective": "binary",
        "num_leaves": 6,
        "verbose": -1,
        "num_threads": 1,
        "seed": 1,
        "feature_fraction": 0.3,
    }
    return lightgbm.train(options, lightgbm.Dataset(matrix, label), 30).model_to_string()


# History


def history() -> dict[tables.Table, pa.Table]:
    """60 leads of 20 companies: some recycled, some won, some with consent withdrawn."""
    random = np.random.default_rng(3)
    records: dict[tables.Table, list[dict[str, Any]]] = {t: [] for t in tables.TABLES}
    for number in range(20):
        at = START - DAY
        add(records, tables.ACCOUNTS, at, account_id=f"A{number}", name=f"会社{number}", domain=f"a{number}.example")
        add(
            records,
            tables.ACCOUNT_ATTRIBUTES,
            at,
            account_id=f"A{number}",
            name="industry",
            text=INDUSTRIES[number % 3],
        )
        if number % 2:
            add(records, tables.ACCOUNT_ATTRIBUTES, at, account_id=f"A{number}", name="employee_band", text="100–299")
    for number in range(LEADS):
        _add_lead(records, number, random)
    return {t: pa.Table.from_pylist(rows, t.arrow_schema()) for t, rows in records.items() if rows}


def _add_lead(records: dict[tables.Table, list[dict[str, Any]]], number: int, random: np.random.Generator) -> None:
    lead = f"L{number:04d}"
    born = START + int(random.integers(0, 100 * DAY))
    add(records, tables.LEADS, born, lead_id=lead, person_id=f"P{number}", account_id=f"A{number % 20}")
    add(records, tables.LEAD_ATTRIBUTES, born, lead_id=lead, name="channel", text=("web", "seminar")[number % 2])
    add(records, tables.LEAD_ATTRIBUTES, born, lead_id=lead, name="budget", number=float(number * 1000))
    kinds = ("page_view", "pricing_view", "download", "email_opened", "inquiry")
    for _ in range(int(random.integers(0, 30))):
        at = born + int(random.integers(1, 60 * DAY))
        kind = kinds[int(random.integers(len(kinds)))]
        add(records, tables.TOUCHPOINTS, at, HOUR, lead_id=lead, kind=kind, actor="lead", channel="web")
    if number % 3 == 0:
        add(records, tables.STAGE_CHANGES, born + 5 * DAY, lead_id=lead, stage="mql")
    if number % 6 == 0:
        add(records, tables.STAGE_CHANGES, born + 9 * DAY, lead_id=lead, stage="sql")
    if number % 12 == 0:
        add(records, tables.STAGE_CHANGES, born + 20 * DAY, lead_id=lead, stage="lost")
    if number % 24 == 0:
        add(records, tables.STAGE_CHANGES, born + 20 * DAY, lead_id=lead, stage="recycled")
    if number % 10 == 1:
        add(records, tables.CONSENTS, born, person_id=f"P{number}", purpose="scoring", granted=True)
    if number % 20 == 1:
        add(records, tables.CONSENTS, born + 3 * DAY, person_id=f"P{number}", purpose="scoring", granted=False)
    if number == 21:
        # Changed her mind again, long after.
        add(records, tables.CONSENTS, NOW - DAY, person_id=f"P{number}", purpose="scoring", granted=True)


ROWS = 40
ROW_COMPANY = Company(
    time="row",
    targets=(Target("won", "won", ROW_HORIZON),),
    columns=(CompanyColumn("budget", type="number", label_ja="予算", label_en="Budget"),),
)


def make_row_world(path: Path) -> World:
    """40 rows in file order, each with its outcome but the last five."""
    home = Home.at(path)
    records: dict[tables.Table, list[dict[str, Any]]] = {t: [] for t in tables.TABLES}
    for row in range(1, ROWS + 1):
        at = row * ROW_STEP
        add(records, tables.LEADS, at, 0, lead_id=str(row))
        add(records, tables.LEAD_ATTRIBUTES, at, 0, lead_id=str(row), name="budget", number=float(row))
        if row <= ROWS - 5:
            stage = "won" if row % 4 == 0 else "lost"
            add(records, tables.STAGE_CHANGES, at + ROW_OUTCOME_DELAY, 0, lead_id=str(row), stage=stage)
    with Store.open(home) as store:
        store.save_company(ROW_COMPANY, now=NOW)
        store.append_all({t: pa.Table.from_pylist(r, t.arrow_schema()) for t, r in records.items() if r}, now=NOW)
        hashes = {"won": deploy(store, home, ROW_COMPANY.targets[0], 5, company=ROW_COMPANY).bundle_hash}
    return World(home, hashes)


def add(
    records: dict[tables.Table, list[dict[str, Any]]], table: tables.Table, at: int, lag: int = MICROSECOND, **row: Any
) -> None:
    """One record that happened at `at` and was known `lag` later."""
    rows = records[table]
    empty = dict.fromkeys(table.arrow_schema().names)
    stamp = {"source": "test", "source_id": f"{table.name}-{len(rows)}", "occurred_at": at, "recorded_at": at + lag}
    rows.append({**empty, **stamp, **row})
