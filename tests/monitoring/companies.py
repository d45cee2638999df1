"""A small company whose champion is the truth: outcomes are drawn from the very probabilities it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.company import Company, Target
from data.home import Home
from data.store.deployments import Deployment
from data.store.operational import Store
from data.store.snapshots import take_snapshot
from data.tables import ACCOUNT_ATTRIBUTES, LEAD_ATTRIBUTES, LEADS, STAGE_CHANGES, TOUCHPOINTS
from data.times import DAY, ROW_HORIZON, ROW_OUTCOME_DELAY, ROW_STEP, WEEK, parse_instant
from features.catalogue import declarations
from training.golden import golden_rows
from training.parts import (
    NO_TERM,
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

TRAINED = parse_instant("2026-01-05", "Asia/Tokyo")
NOW = parse_instant("2026-05-11", "Asia/Tokyo")
WEEKS_OF_HISTORY = 36
"""Weeks of lead creation before TRAINED."""

COMPANY = Company(targets=(Target("won", "won", 30 * DAY),))
FEATURES = ("page_views_7d_count", "lead_age", "industry", "job_title_band", "employees", "employee_band")
INDUSTRIES = {"manufacturing": 0.9, "retail": 0.0, "services": -0.6, "public": -1.2}
TITLES = {"部長": 0.7, "課長": 0.0, "一般": -0.5}
SIZE_SLOPE = 0.35
INTERCEPT = -4.3
LOST_A_DAY = 1 / 40


@dataclass(frozen=True)
class Fault:
    """What goes wrong with leads created (or pages viewed) from `since` on."""

    since: int = 2**62
    industry: str = "kept"
    """kept | missing: no value is recorded | a level: everyone has this one."""
    page_views: bool = True
    win_factor: float = 1.0
    """Odds of winning against what the champion says."""


@dataclass(frozen=True)
class World:
    home: Home
    policy: Policy
    bundle: str


def margins(industry: np.ndarray, title: np.ndarray, employees: np.ndarray) -> np.ndarray:
    """The truth, which is also what the champion's linear part says."""
    terms = np.array([INDUSTRIES[i] for i in industry]) + np.array([TITLES[t] for t in title])
    return INTERCEPT + terms + SIZE_SLOPE * np.log1p(employees)


def won_a_day(probability: np.ndarray, days: float = 30.0) -> np.ndarray:
    """The daily hazard of winning that gives this probability within 30 days, lost leads competing."""
    low, high = np.zeros_like(probability), np.full_like(probability, 5.0)
    for _ in range(60):
        middle = (low + high) / 2
        total = middle + LOST_A_DAY
        reached = middle / total * (1 - np.exp(-total * days))
        low, high = np.where(reached < probability, middle, low), np.where(reached < probability, high, middle)
    return low


def _champion(home: Home, snapshot: str, *, as_of: int, null_industry: float) -> str:
    chosen = tuple(d for d in declarations(COMPANY) if d.name in FEATURES)
    columns, terms = [], []
    for declaration in chosen:
        if declaration.name == "industry":
            columns.append(CategoryColumn(dict(INDUSTRIES), other=0.0, null=0.0))
            terms.append(CategoryTerm(dict(INDUSTRIES), other=0.0, null=null_industry))
        elif declaration.name == "job_title_band":
            columns.append(CategoryColumn(dict(TITLES), other=0.0, null=0.0))
            terms.append(CategoryTerm(dict(TITLES), other=0.0, null=0.0))
        elif declaration.name == "employees":
            columns.append(NumberColumn())
            terms.append(NumberTerm(logarithm=True, low=0.0, high=20.0, slope=SIZE_SLOPE, offset=0.0, null=0.0))
        elif declaration.is_category:
            columns.append(CategoryColumn({}, other=0.0, null=0.0))
            terms.append(CategoryTerm({}, other=0.0, null=0.0))
        else:
            columns.append(NumberColumn())
            terms.append(NO_TERM)
    scorer = Scorer(
        tuple(columns), LinearPart(INTERCEPT, tuple(terms)), (), prior_margin=0.0, prior_weight=0.0,
        linear_weight=1.0, calibration=Calibration(),
    )  # fmt: skip
    golden = golden_rows(scorer, [[None if d.is_category else 0.0 for d in chosen]])
    path = write_bundle(
        home.bundles, scorer, declarations=chosen, company=COMPANY, target=COMPANY.target("won"), as_of=as_of,
        snapshot=snapshot, proven=True, golden=golden,
    )  # fmt: skip
    return path.name


def _records(rows: dict[str, object], table: str, occurred: np.ndarray) -> dict[str, object]:
    return rows | {
        "source": ["crm"] * len(occurred),
        "source_id": [f"{table}-{i}" for i in range(len(occurred))],
        "occurred_at": occurred,
        "recorded_at": occurred + 1,
    }


def _table(table: object, rows: dict[str, object]) -> pa.Table:
    schema = table.arrow_schema()  # type: ignore[attr-defined]
    size = len(rows["source"])  # type: ignore[arg-type]
    filled = {name: rows.get(name, [None] * size) for name in schema.names}
    return pa.table({k: pa.array(v, schema.field(k).type, from_pandas=True) for k, v in filled.items()}, schema)


def history(fault: Fault, *, per_week: int, seed: int) -> dict[object, pa.Table]:
    """Every table of the company's history up to NOW."""
    generator = np.random.default_rng(seed)
    begins = TRAINED - WEEKS_OF_HISTORY * WEEK
    count = per_week * ((NOW - begins) // WEEK)
    created = np.sort(begins + generator.integers(0, NOW - begins, count))
    industry = generator.choice(list(INDUSTRIES), count, p=[0.2, 0.4, 0.3, 0.1])
    title = generator.choice(list(TITLES), count, p=[0.2, 0.4, 0.4])
    employees = np.round(np.exp(generator.normal(4.5, 1.4, count)))
    broken = created >= fault.since
    if fault.industry not in ("kept", "missing"):
        industry = np.where(broken, fault.industry, industry)
    odds = np.exp(margins(industry, title, employees)) * np.where(broken, fault.win_factor, 1.0)
    winning = won_a_day(odds / (1 + odds))
    total = winning + LOST_A_DAY
    closed = created + (generator.exponential(1 / total) * DAY).astype(np.int64)
    stage = np.where(generator.random(count) < winning / total, "won", "lost")
    shown = np.where(broken & (fault.industry == "missing"), None, industry.astype(object))
    lead_id = np.array([f"L{i:05d}" for i in range(count)])
    known = closed < NOW
    viewed, viewer = _views(generator, created, np.minimum(closed, NOW), fault)
    account = {"account_id": np.char.replace(lead_id, "L", "A")}
    return {
        LEADS: _table(LEADS, _records({"lead_id": lead_id} | account, "lead", created)),
        LEAD_ATTRIBUTES: _table(
            LEAD_ATTRIBUTES,
            _records({"lead_id": lead_id, "name": ["job_title_band"] * count, "text": title}, "title", created),
        ),
        ACCOUNT_ATTRIBUTES: pa.concat_tables(
            [
                _table(ACCOUNT_ATTRIBUTES, _records(account | of | {"name": [name] * count}, name, created))
                for name, of in (("industry", {"text": shown}), ("employees", {"number": employees}))
            ]
        ),
        STAGE_CHANGES: _table(
            STAGE_CHANGES, _records({"lead_id": lead_id[known], "stage": stage[known]}, "stage", closed[known])
        ),
        TOUCHPOINTS: _table(
            TOUCHPOINTS,
            _records(
                {"lead_id": lead_id[viewer], "kind": ["page_view"] * len(viewer), "actor": ["lead"] * len(viewer)},
                "view",
                viewed,
            ),
        ),
    }


def _views(
    generator: np.random.Generator, created: np.ndarray, until: np.ndarray, fault: Fault
) -> tuple[np.ndarray, np.ndarray]:
    counts = generator.poisson((until - created) / WEEK)
    viewer = np.repeat(np.arange(len(created)), counts)
    viewed = created[viewer] + (generator.random(len(viewer)) * (until - created)[viewer]).astype(np.int64) + 1
    kept = fault.page_views | (viewed < fault.since)
    return viewed[kept], viewer[kept]


def build_world(
    folder: Path, fault: Fault = Fault(), *, null_industry: float = 0.0, per_week: int = 40, seed: int = 1
) -> World:
    home = Home.at(folder)
    with Store.open(home) as store:
        store.save_company(COMPANY, now=NOW)
        store.append_all(history(fault, per_week=per_week, seed=seed), now=NOW)  # type: ignore[arg-type]
        snapshot = take_snapshot(store, home, now=NOW)
        bundle = _champion(home, snapshot.hash, as_of=TRAINED, null_industry=null_industry)
        policy = Policy(
            target="won", threshold=0.20, cut_a=0.2, cut_b=0.1, cut_c=0.05, method="capacity",
            capacity_per_week=ordinary_handovers(per_week), threshold_low=0.15, threshold_high=0.25,
            handovers_per_week=ordinary_handovers(per_week), expected_yield=0.25, as_of=TRAINED,
        )  # fmt: skip
        deploy(store, bundle, policy, at=TRAINED, action="promote")
    return World(home, policy, bundle)


ROWS, TRAINED_ROWS = 3_000, 2_000


def build_row_world(folder: Path, *, drift_from: int = 2**62, seed: int = 5) -> World:
    """Data without dates: ROWS leads in file order, the champion trained on the first TRAINED_ROWS."""
    generator = np.random.default_rng(seed)
    number = np.arange(1, ROWS + 1)
    title = generator.choice(list(TITLES), ROWS, p=[0.2, 0.4, 0.4])
    title = np.where(number >= drift_from, "部長", title)
    length = np.round(generator.exponential(200, ROWS))
    margin = -1.5 + np.array([TITLES[t] for t in title]) + 0.1 * np.log1p(length)
    won = generator.random(ROWS) < 1 / (1 + np.exp(-margin))
    at = number * ROW_STEP
    lead_id = number.astype(str)
    company = Company(time="row", targets=(Target("won", "won", ROW_HORIZON),))

    def known(rows: dict[str, object], name: str, occurred: np.ndarray) -> dict[str, object]:
        return _records(rows, name, occurred) | {"recorded_at": occurred}

    tables = {
        LEADS: _table(LEADS, known({"lead_id": lead_id}, "lead", at)),
        LEAD_ATTRIBUTES: pa.concat_tables(
            [
                _table(LEAD_ATTRIBUTES, known({"lead_id": lead_id, "name": [name] * ROWS} | of, name, at))
                for name, of in (("job_title_band", {"text": title}), ("message_length", {"number": length}))
            ]
        ),
        STAGE_CHANGES: _table(
            STAGE_CHANGES,
            known({"lead_id": lead_id, "stage": np.where(won, "won", "lost")}, "stage", at + ROW_OUTCOME_DELAY),
        ),
    }
    home = Home.at(folder)
    with Store.open(home) as store:
        store.save_company(company, now=NOW)
        store.append_all(tables, now=NOW)  # type: ignore[arg-type]
        snapshot = take_snapshot(store, home, now=NOW)
        chosen = tuple(d for d in declarations(company) if d.name in ("job_title_band", "message_length"))
        parts = {
            "job_title_band": (CategoryColumn(dict(TITLES), 0.0, 0.0), CategoryTerm(dict(TITLES), 0.0, 0.0)),
            "message_length": (NumberColumn(), NumberTerm(True, 0.0, 20.0, slope=0.1, offset=0.0, null=0.0)),
        }
        scorer = Scorer(
            tuple(parts[d.name][0] for d in chosen), LinearPart(-1.5, tuple(parts[d.name][1] for d in chosen)), (),
            prior_margin=0.0, prior_weight=0.0, linear_weight=1.0, calibration=Calibration(),
        )  # fmt: skip
        bundle = write_bundle(
            home.bundles, scorer, declarations=chosen, company=company, target=company.target("won"),
            as_of=(TRAINED_ROWS + 1) * ROW_STEP, snapshot=snapshot.hash, proven=True,
        ).name  # fmt: skip
        policy = Policy(
            target="won", threshold=0.5, cut_a=0.5, cut_b=0.3, cut_c=0.2, method="capacity", capacity_per_week=None,
            threshold_low=0.45, threshold_high=0.55, handovers_per_week=0.0, expected_yield=0.55,
        )  # fmt: skip
        deploy(store, bundle, policy, at=NOW - WEEK, action="promote")
    return World(home, policy, bundle)


def ordinary_handovers(per_week: int) -> float:
    """Leads a week whose true probability is at least .20, by integration over the population."""
    generator = np.random.default_rng(99)
    industry = generator.choice(list(INDUSTRIES), 200_000, p=[0.2, 0.4, 0.3, 0.1])
    title = generator.choice(list(TITLES), 200_000, p=[0.2, 0.4, 0.4])
    employees = np.round(np.exp(generator.normal(4.5, 1.4, 200_000)))
    odds = np.exp(margins(industry, title, employees))
    return round(float((odds / (1 + odds) >= 0.20).mean() * per_week), 1)


def deploy(store: Store, bundle: str, policy: Policy, *, at: int, action: str) -> Deployment:
    store.save_policy(policy.policy_id, "won", policy.to_json(), now=at)
    return store.deploy(
        Deployment(0, "won", "champion", bundle, "1", policy.policy_id, action, at, "someone", "test")  # type: ignore[arg-type]
    )
