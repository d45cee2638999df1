"""Shows that the simulated world is as hard as it claims: `python -m data.simulator.proof`.

Learns from one simulated company and is judged against the truth of another
(another seed), in expectation over outcomes, so that little noise is left:
what the oracle gains over the prior, which part of that logistic regression,
boosted trees and trees that see no behaviour can reach.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data.simulator.block_tables import SampledRows, tables_of_block
from data.simulator.history import SampleShares, block_sizes
from data.simulator.truth import States, expected_auc, expected_log_loss, oracle, true_probabilities
from data.simulator.world import World

HALF_LIVES = {"interest": 7.0, "intent": 14.0}
KINDS = (
    "page_view", "pricing_view", "download", "seminar", "email_opened", "email_clicked", "inquiry", "call", "meeting",
)  # fmt: skip
STRONG = ("pricing_view", "download", "inquiry", "seminar", "meeting")


@dataclass(frozen=True)
class Sample:
    """Rows of one simulated company with plain features, as anyone would build them from the tables."""

    rows: SampledRows
    features: pd.DataFrame
    wins_a_lead: float
    touchpoints_a_lead: float


@dataclass(frozen=True)
class Proof:
    """Properties of a world; gains are parts of the oracle's log-loss gain over the prior."""

    truth_rows: int
    base_rate: float
    oracle_auc: float
    logistic: float
    trees: float
    fit_only: float
    logistic_auc: float
    trees_auc: float
    touchpoints_a_lead: float
    wins_a_lead: float

    @property
    def behaviour_share(self) -> float:
        """Part of the gain that nothing known of the lead's attributes can give."""
        return 1 - self.fit_only


def sample(world: World, leads: int, seed: int, shares: SampleShares) -> Sample:
    blocks = [tables_of_block(world, seed, b, n, shares) for b, n in enumerate(block_sizes(leads))]
    rows = SampledRows.joined([block.sampled for block in blocks])
    names = ("leads", "accounts", "touchpoints", "stage_changes")
    tables = {name: pa.concat_tables([block.tables[name] for block in blocks]) for name in names}
    wins = sum(block.wins for block in blocks) / leads
    return Sample(rows, features(tables, rows, world), wins, len(tables["touchpoints"]) / leads)


def features(tables: dict[str, pa.Table], rows: SampledRows, world: World) -> pd.DataFrame:
    """One line a row, in its order: attributes as text, counts, recencies and decayed sums as of the row."""
    import duckdb

    as_of = pa.array(States(rows.lanes, rows.first_day, rows.second).as_of(world) / 1e6)
    asked = pa.table({"place": pa.array(np.arange(len(as_of))), "lead_id": rows.lead_id, "t": as_of})
    with duckdb.connect() as connection:
        for name, table in {**tables, "asked": asked}.items():
            connection.register(name, table)
        frame = connection.execute(_statement()).df()
    return frame.drop(columns=["place", "lead_id", "t"])


def _statement() -> str:
    counts = ", ".join(
        f"count(*) filter (kind = '{kind}' and age < {days}) as {kind}_{days}d"
        for kind in KINDS
        for days in (7, 30, 90)
    )
    sums = f"""coalesce(sum(pow(2, -age / {HALF_LIVES["interest"]})), 0) as interest,
        coalesce(sum(pow(2, -age / {HALF_LIVES["intent"]})) filter (kind in {STRONG}), 0) as intent,
        min(age) as last, min(age) filter (kind = 'pricing_view') as last_pricing, count(kind) as ever"""
    return f"""
        with seen as (
            select place, kind, (t - epoch(occurred_at::timestamptz)) / 86400 as age
            from asked join touchpoints using (lead_id)
            where actor = 'lead' and epoch(recorded_at::timestamptz) < t and epoch(occurred_at::timestamptz) < t
        ), behaviour as (select place, {counts}, {sums} from seen group by place),
        steps as (
            select place, arg_max(stage, epoch(occurred_at::timestamptz)) as stage,
                count(*) filter (stage = 'recycled') as recycled, max(epoch(occurred_at::timestamptz)) as entered
            from asked join stage_changes using (lead_id)
            where epoch(recorded_at::timestamptz) < t and epoch(occurred_at::timestamptz) < t group by all
        )
        select asked.*, leads.* exclude (lead_id, person_id, account_id, campaign, source_id, occurred_at, recorded_at,
                job_title, region),
            industry, employee_band, country, behaviour.* exclude (place),
            coalesce(stage, 'new') as stage, coalesce(recycled, 0) as recycled,
            (t - coalesce(entered, epoch(leads.occurred_at::timestamptz))) / 86400 as stage_age,
            (t - epoch(leads.occurred_at::timestamptz)) / 86400 as lead_age
        from asked join leads using (lead_id) left join accounts using (account_id)
        left join behaviour using (place) left join steps using (place) order by place"""


def prove(
    world: World,
    *,
    leads: int = 50_000,
    truth_rows: int = 3_000,
    continuations: int = 1_000,
    seed: int = 11,
    trees: bool = True,
) -> Proof:
    """Learn from `leads` leads, judge on about `truth_rows` rows of another, three in four on the weekly grid."""
    past = sample(world, leads, seed, SampleShares(monday=0.15, created=0.5))
    there = sample(world, 20_000, seed + 1, SampleShares(monday=truth_rows * 3.9e-6, created=truth_rows * 1.3e-5))
    rows = there.rows
    states = States(rows.lanes, rows.first_day, rows.second)
    truth = true_probabilities(world, states, continuations=continuations, seed=seed)["won"]
    known = np.isfinite(past.rows.outcomes["won"])
    train, label, test = past.features[known], past.rows.outcomes["won"][known], there.features
    guesses = {
        "logistic": _logistic(train, label, test),
        "trees": _trees(train, label, test) if trees else np.full(len(test), label.mean()),
        # Attributes tell of the outcome through their fit alone, so knowing that number is knowing all of them.
        "fit_only": _trees(_fit_alone(past)[known], label, _fit_alone(there)),
    }
    best = oracle(truth, continuations)
    gain = best["log_loss_prior"] - best["log_loss"]
    part = {k: (best["log_loss_prior"] - expected_log_loss(guess, truth)) / gain for k, guess in guesses.items()}
    auc = {f"{k}_auc": expected_auc(guesses[k], truth) for k in ("logistic", "trees")}
    per_lead = {"touchpoints_a_lead": past.touchpoints_a_lead, "wins_a_lead": past.wins_a_lead}
    return Proof(len(truth), best["base_rate"], best["auc"], **part, **auc, **per_lead)


def _fit_alone(known: Sample) -> pd.DataFrame:
    return pd.DataFrame({"fit": known.rows.lanes.fit})


def _logistic(train: pd.DataFrame, label: NDArray[np.float64], test: pd.DataFrame) -> NDArray[np.float64]:
    """One-hot categories, logarithms of counts and ages, L2; as a careful analyst would set it up."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    words = [c for c in train if not pd.api.types.is_numeric_dtype(train[c])]
    numbers = [c for c in train if c not in words]
    logs = make_pipeline(
        SimpleImputer(strategy="constant", fill_value=999), FunctionTransformer(np.log1p), StandardScaler()
    )
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), (logs, numbers)),
        LogisticRegression(C=0.3, max_iter=200),
    )
    return model.fit(train, label).predict_proba(test)[:, 1]


def _trees(train: pd.DataFrame, label: NDArray[np.float64], test: pd.DataFrame) -> NDArray[np.float64]:
    import lightgbm

    words = [c for c in train if not pd.api.types.is_numeric_dtype(train[c])]
    kinds = {c: pd.CategoricalDtype(sorted(train[c].dropna().unique())) for c in words}
    settings = {"objective": "binary", "learning_rate": 0.05, "num_leaves": 12, "min_data_in_leaf": 60,
                "lambda_l2": 5.0, "num_threads": 1, "verbosity": -1, "seed": 1, "feature_fraction": 0.5,
                "cat_smooth": 30}  # fmt: skip
    model = lightgbm.train(settings, lightgbm.Dataset(train.astype(kinds), label), 200)
    return np.asarray(model.predict(test.astype(kinds)))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--leads", type=int, default=50_000)
    ask.add_argument("--truth-rows", type=int, default=3_000)
    found = prove(World(), leads=ask.parse_args().leads, truth_rows=ask.parse_args().truth_rows)
    lines = {**found.__dict__, "behaviour_share": found.behaviour_share}
    print("\n".join(f"{name:>20} {value:.4f}" for name, value in lines.items()))


if __name__ == "__main__":
    main()
