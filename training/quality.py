"""How the whole procedure does against its peers: figures by case, and the paired difference to the best of them.

The best peer of a case is chosen in hindsight, by log loss on the test rows
themselves: nobody could have known which it would be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data.simulator.truth import expected_auc
from training.blend import row_losses
from training.calibration import clustered_mean
from training.compiled import CompiledScorer
from training.evaluation import calibration_error
from training.fitting import Options, fit_scorer
from training.matrix import Matrix, informative
from training.peers import Peer
from training.points import points_scorer
from training.quality_cases import Case, Pair

OURS, POINTS, PRIOR, ORACLE = "ours", "points", "prior", "oracle"
INTERVAL = 1.96
ECE_GOAL = 0.03
DRAWS = 200
WORKERS = 2
SUREST = 1e-6
"""Probabilities are cut here and at 1 − this before their log loss is taken, for all alike."""

Verdict = Literal["better", "not worse", "worse"]


@dataclass(frozen=True)
class Quality:
    """Of one method on one case."""

    auc: float
    log_loss: float
    ece: float
    seconds: float
    """Of fitting and scoring, all pairs together."""


@dataclass(frozen=True)
class Result:
    case: str
    kind: str
    fits: int
    rows: int
    """Test rows, each counted once however many repeats."""
    base_rate: float
    training_rate: float
    figures: dict[str, Quality]
    ece_chance: float
    """95% of perfectly calibrated models that say what ours says have at most this ECE at these rows."""
    best_peer: str
    difference: float
    """Log loss of ours minus that of the best peer, paired by row."""
    low: float
    high: float
    """95% interval of the difference; rows of a person, account or group of equal rows count together."""
    of_points: float | None = None
    """Log loss of ours minus that of the points rung's margin, where it was run."""
    one_regime: bool = False

    @property
    def verdict(self) -> Verdict:
        """worse: beyond the interval; better: a lower log loss; else not worse."""
        if self.low > 0:
            return "worse"
        return "better" if self.difference < 0 else "not worse"

    @property
    def calibrated(self) -> bool | None:
        """Whether the goal is met; None where the test rows follow another law than the training rows."""
        return self.figures[OURS].ece <= max(ECE_GOAL, self.ece_chance) if self.one_regime else None

    def part_of_oracle(self, name: str) -> tuple[float, float] | None:
        """(of the oracle's AUC above one half, of its gain in log loss over the true rate)."""
        if ORACLE not in self.figures:
            return None
        best, found = self.figures[ORACLE], self.figures[name]
        rate = self.base_rate
        nothing = float(-rate * np.log(rate) - (1 - rate) * np.log1p(-rate))
        return (found.auc - 0.5) / (best.auc - 0.5), (nothing - found.log_loss) / (nothing - best.log_loss)

    def to_dict(self) -> dict[str, Any]:
        parts = {n: self.part_of_oracle(n) for n in self.figures} if ORACLE in self.figures else {}
        return {**asdict(self), "verdict": self.verdict, "calibrated": self.calibrated, "parts_of_oracle": parts}


@dataclass(frozen=True)
class Answers:
    """Of one method: probabilities of each pair's test rows."""

    probability: list[np.ndarray]
    seconds: float


def measure(case: Case, peers: dict[str, Peer], options: Options, *, tell: Callable[[str], None]) -> Result:
    """Fits ours and every peer on each pair of the case."""
    pairs = list(case.pairs())
    methods = {**peers, **_own(case, options)}

    def asked(name: str) -> Answers:
        return _asked(name, methods[name], pairs, lambda text: tell(f"{case.name}: {text}"))

    with threadpool_limits(1), ThreadPoolExecutor(WORKERS) as pool:
        # The slowest first.
        answers = dict(zip(reversed(methods), pool.map(asked, reversed(methods)), strict=True))
    return compared(case, pairs, {name: answers[name] for name in methods})


def ours(options: Options) -> Peer:
    """The whole procedure on the training rows."""

    def fit(train: Matrix, test: Matrix) -> np.ndarray:
        fitted = fit_scorer(train, options)
        kept = test.keep_features([d.name for d in fitted.declarations])
        return np.asarray(expit(CompiledScorer(fitted.scorer, fitted.declarations).margins(kept.columns)))

    return fit


def points(train: Matrix, test: Matrix) -> np.ndarray:
    """The points rung's margin read as log-odds, which it does not claim to be."""
    useful = informative(train)
    kept = test.keep_features([d.name for d in useful.declarations])
    return np.asarray(expit(CompiledScorer(points_scorer(useful), useful.declarations).margins(kept.columns)))


def compared(case: Case, pairs: Sequence[Pair], answers: dict[str, Answers]) -> Result:
    tests = [p.test for p in pairs]
    label, weight, group = (np.concatenate([getattr(t, n) for t in tests]) for n in ("label", "weight", "group"))
    row, repeat = np.concatenate([p.row for p in pairs]), np.concatenate([np.full(len(p.row), p.repeat) for p in pairs])
    said = {name: np.concatenate(a.probability) for name, a in answers.items()}
    losses = {name: row_losses(_margin(p), label) for name, p in said.items()}
    seconds = {name: a.seconds for name, a in answers.items()}
    if case.kind == "truth":
        said[ORACLE], seconds[ORACLE] = label, 0.0
        losses[ORACLE] = row_losses(_margin(label), label)
    figures = {n: Quality(*_repeated(said[n], label, weight, repeat, case.kind), seconds[n]) for n in said}
    best = min((n for n in figures if n not in (OURS, POINTS, ORACLE)), key=lambda n: figures[n].log_loss)
    difference, low, high = _interval(losses[OURS] - losses[best], row, weight, group)
    return Result(
        case=case.name,
        kind=case.kind,
        fits=len(pairs),
        rows=len(np.unique(row)),
        base_rate=float(np.average(label, weights=weight)),
        training_rate=float(np.mean([np.average(p.train.label, weights=p.train.weight) for p in pairs])),
        figures=figures,
        ece_chance=_chance_error(said[OURS][repeat == 0], weight[repeat == 0], exact=case.kind == "truth"),
        best_peer=best,
        difference=difference,
        low=low,
        high=high,
        of_points=figures[OURS].log_loss - figures[POINTS].log_loss if POINTS in figures else None,
        one_regime=case.one_regime,
    )


def tally(results: Iterable[Result]) -> dict[Verdict, int]:
    verdicts = [r.verdict for r in results]
    return {v: verdicts.count(v) for v in ("better", "not worse", "worse")}


def _own(case: Case, options: Options) -> dict[str, Peer]:
    return {OURS: ours(options)} | ({POINTS: points} if "conversions" in case.name else {})


def _asked(name: str, fit: Peer, pairs: Sequence[Pair], tell: Callable[[str], None]) -> Answers:
    began, found = time.monotonic(), []
    for number, pair in enumerate(pairs, 1):
        tell(name + (f", {number} of {len(pairs)}" if len(pairs) > 1 else ""))
        train = pair.train if name in (OURS, POINTS) or pair.flat is None else pair.flat
        test = pair.test
        if name not in (OURS, POINTS):
            train = informative(train)
            test = test.keep_features([d.name for d in train.declarations])
        found.append(fit(train, test))
    return Answers(found, time.monotonic() - began)


def _margin(probability: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probability, SUREST, 1 - SUREST)))


def _repeated(
    said: np.ndarray, label: np.ndarray, weight: np.ndarray, repeat: np.ndarray, kind: str
) -> tuple[float, float, float]:
    """(AUC, log loss, ECE), each the mean of the repeats'."""
    found = []
    for k in np.unique(repeat):
        p, y, w = said[repeat == k], label[repeat == k], weight[repeat == k]
        loss = float(np.average(row_losses(_margin(p), y), weights=w))
        auc = expected_auc(p, y) if kind == "truth" else float(roc_auc_score(y, p, sample_weight=w))
        found.append((auc, loss, calibration_error(p, y, w)))
    auc, loss, ece = np.mean(found, axis=0)
    return float(auc), float(loss), float(ece)


def _interval(
    difference: np.ndarray, row: np.ndarray, weight: np.ndarray, group: np.ndarray
) -> tuple[float, float, float]:
    """(mean, low, high); a row that was tested several times counts once, with its mean."""
    _, first, code = np.unique(row, return_index=True, return_inverse=True)
    each = np.bincount(code, difference) / np.bincount(code)
    mean, error = clustered_mean(each, weight[first], group[first])
    return mean, mean - INTERVAL * error, mean + INTERVAL * error


def _chance_error(probability: np.ndarray, weight: np.ndarray, *, exact: bool) -> float:
    """The 95% value of the ECE of outcomes drawn from the probabilities themselves; 0 where truth has no noise."""
    if exact:
        return 0.0
    random = np.random.default_rng(0)
    drawn = [
        calibration_error(probability, (random.random(len(probability)) < probability).astype(float), weight)
        for _ in range(DRAWS)
    ]
    return float(np.quantile(drawn, 0.95))
