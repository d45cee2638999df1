"""How good each rung was forward in time: the figures `train` prints and MLflow keeps.

Everything is computed on slices that lie after what the model had seen. A
random split is scored too, only to show by how much it flatters (the
optimism gap).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from training.backtest import PRIOR, Tested, candidate_name, prepare, sampled, try_boosters, try_logistics
from training.blend import log_loss
from training.boosters import shape_of
from training.evidence import Evidence, evidence_of
from training.fitting import Choice, Fitted, Options
from training.matrix import Matrix
from training.naive_bayes import naive_bayes_margins
from training.slices import random_folds

ECE_BINS = 10
SPLIT_ROWS = 20_000
BLEND = "blend"
NAIVE_BAYES = "naive Bayes"


@dataclass(frozen=True)
class Figures:
    """All weighted by the rows' weights; auc and pr_auc are NaN where only one kind of outcome is there."""

    rows: int
    won: int
    auc: float
    pr_auc: float
    log_loss: float
    brier: float
    ece: float
    """Expected calibration error over ten equally filled bins."""


@dataclass(frozen=True)
class Decile:
    """One tenth of the rows, best first: its rate over the mean rate, and the share of wins in it and those above."""

    lift: float
    captured: float


@dataclass(frozen=True)
class Report:
    rungs: dict[str, Figures]
    """Pooled over the slices, by rung; the blend as chosen without the slice it is tested on."""
    creation: dict[str, Figures]
    """The same on rows at creation only."""
    by_slice: tuple[dict[str, Figures], ...]
    deciles: tuple[Decile, ...]
    """Of the blend."""
    random_split: Figures
    random_evidence: Evidence
    """Of the logistic in the random split."""
    margins: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    @property
    def optimism_gap(self) -> float:
        """AUC of the blend in a random split minus its AUC forward in time."""
        return self.random_split.auc - self.rungs[BLEND].auc


def figures(margin: np.ndarray, label: np.ndarray, weight: np.ndarray) -> Figures:
    probability = expit(margin)
    mixed = 0 < label.sum() < len(label)
    return Figures(
        rows=len(label),
        won=int(label.sum()),
        auc=float(roc_auc_score(label, margin, sample_weight=weight)) if mixed else float("nan"),
        pr_auc=float(average_precision_score(label, margin, sample_weight=weight)) if mixed else float("nan"),
        log_loss=log_loss(margin, label, weight),
        brier=float(np.average((probability - label) ** 2, weights=weight)),
        ece=calibration_error(probability, label, weight),
    )


def calibration_error(probability: np.ndarray, label: np.ndarray, weight: np.ndarray) -> float:
    """Σ over ten equally filled bins of share × |mean probability − rate|."""
    return float(sum(share * abs(said - came) for share, said, came in calibration_curve(probability, label, weight)))


def calibration_curve(
    probability: np.ndarray, label: np.ndarray, weight: np.ndarray, bins: int = ECE_BINS
) -> list[tuple[float, float, float]]:
    """(share of weight, mean probability, rate) of each bin, by rising probability."""
    curve = []
    for part in np.array_split(np.argsort(probability, kind="stable"), bins):
        mass = weight[part].sum()
        if mass > 0:
            said, came = (
                np.average(probability[part], weights=weight[part]),
                np.average(label[part], weights=weight[part]),
            )
            curve.append((float(mass / weight.sum()), float(said), float(came)))
    return curve


def deciles(margin: np.ndarray, label: np.ndarray, weight: np.ndarray) -> tuple[Decile, ...]:
    won, mean = float(weight @ label), float(np.average(label, weights=weight))
    found, captured = [], 0.0
    for part in np.array_split(np.argsort(-margin, kind="stable"), 10):
        mass = float(weight[part].sum())
        here = float(weight[part] @ label[part])
        captured += here
        found.append(Decile(here / mass / mean if mass and mean else float("nan"), captured / won if won else 0.0))
    return tuple(found)


def evaluate(matrix: Matrix, fitted: Fitted, options: Options) -> Report:
    """`matrix` is what `fit_scorer` was given."""
    # The folds hold places in the order in which `fit_scorer` put the rows.
    useful = matrix.take(np.lexsort((matrix.as_of, matrix.cycle_start)))
    useful = useful.keep_features([d.name for d in fitted.declarations])
    margins = [_rung_margins(useful, fitted, number) for number in range(len(fitted.slices))]
    rows = [s.rows for s in fitted.slices]
    label, weight = (np.concatenate([getattr(r, name) for r in rows]) for name in ("label", "weight"))
    creation = np.concatenate([r.creation for r in rows])
    pooled = {name: np.concatenate([m[name] for m in margins]) for name in margins[0]}
    by_chance, evidence = _random_split(useful, fitted.choice, options)
    return Report(
        rungs={name: figures(m, label, weight) for name, m in pooled.items()},
        creation={name: figures(m[creation], label[creation], weight[creation]) for name, m in pooled.items()},
        by_slice=tuple(
            {name: figures(m, r.label, r.weight) for name, m in of_slice.items()}
            for of_slice, r in zip(margins, rows, strict=True)
        ),
        deciles=deciles(pooled[BLEND], label, weight),
        random_split=by_chance,
        random_evidence=evidence,
        margins=pooled[BLEND],
        label=label,
        weight=weight,
    )


def flat_metrics(report: Report) -> dict[str, float]:
    """name → value for the registry: `blend.auc`, `creation.blend.log_loss`, `slice1.prior.brier`, …"""
    tables = {"": report.rungs, "creation.": report.creation}
    tables |= {f"slice{k}.": table for k, table in enumerate(report.by_slice, 1)}
    flat = {
        f"{prefix}{_slug(rung)}.{name}": float(value)
        for prefix, table in tables.items()
        for rung, found in table.items()
        for name, value in asdict(found).items()
    }
    flat |= {f"random.blend.{name}": float(value) for name, value in asdict(report.random_split).items()}
    flat |= {f"decile{k}.lift": d.lift for k, d in enumerate(report.deciles, 1)}
    flat |= {f"decile{k}.captured": d.captured for k, d in enumerate(report.deciles, 1)}
    flat["optimism_gap.auc"] = report.optimism_gap
    return {name: value for name, value in flat.items() if np.isfinite(value)}


def _slug(rung: str) -> str:
    return rung.replace(", ", "_").replace(" ", "_")


def _rung_margins(matrix: Matrix, fitted: Fitted, number: int) -> dict[str, np.ndarray]:
    tested, choice = fitted.slices[number], fitted.choice
    past = sampled(matrix.take(tested.fold.train), SPLIT_ROWS, seed=0)
    names = [*(lo.name for lo in choice.logistics), *(candidate_name(c) for c in choice.boosters), PRIOR]
    alone = {name: tested.margins[name] for name in names}
    return {BLEND: fitted.honest[number], **alone, NAIVE_BAYES: naive_bayes_margins(past, tested.rows)}


def _random_split(matrix: Matrix, choice: Choice, options: Options) -> tuple[Figures, Evidence]:
    """One random fifth, groups and equal rows kept together, by the chosen blend."""
    matrix = sampled(matrix, SPLIT_ROWS, seed=options.seed)
    fold = random_folds(matrix, 5, seed=options.seed)[0]
    tested = Tested(matrix.take(fold.test), fold)
    prepared = prepare(matrix.take(fold.train), seed=options.seed)
    try_logistics(prepared, tested, choice.logistics, directed=options.monotone)
    try_boosters(
        prepared,
        tested,
        [setting for setting, _ in choice.boosters],
        shape_of(matrix.declarations, separate=options.separate, monotone=options.monotone),
        logistic=choice.logistic,
        directed=options.monotone,
        seed=options.seed,
    )
    found = figures(choice.blend(tested), tested.rows.label, tested.rows.weight)
    return found, evidence_of([tested], [tested.margins[choice.logistic.name]])
