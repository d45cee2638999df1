"""Plots kept with a model: calibration, gain, and which features moved the margin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import expit

from training.bundle import Bundle
from training.evaluation import Report, calibration_curve
from training.matrix import Matrix

SHOWN_ROWS = 1_000


def draw_plots(folder: Path, report: Report, bundle: Bundle, matrix: Matrix, *, seed: int) -> list[Path]:
    """Writes calibration.png, gain.png and contributions.png; returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _calibration(folder / "calibration.png", report),
        _gain(folder / "gain.png", report),
        _contributions(folder / "contributions.png", bundle, matrix, seed),
    ]


def _calibration(path: Path, report: Report) -> Path:
    from matplotlib.figure import Figure

    curve = calibration_curve(expit(report.margins), report.label, report.weight)
    said, came = [c[1] for c in curve], [c[2] for c in curve]
    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    top = max(*said, *came) * 1.1
    axes.plot([0, top], [0, top], linestyle=":", color="grey", label="perfect")
    axes.plot(said, came, marker="o", label="blend, forward in time")
    axes.set(xlabel="predicted probability", ylabel="rate of outcomes", title="Calibration by tenths")
    axes.legend()
    return _saved(figure, path)


def _gain(path: Path, report: Report) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    tenths = np.arange(11) / 10
    axes.plot(tenths, tenths, linestyle=":", color="grey", label="at random")
    axes.plot(tenths, [0.0, *(d.captured for d in report.deciles)], marker="o", label="blend, forward in time")
    axes.set(xlabel="share of leads, best first", ylabel="share of outcomes among them", title="Gain")
    axes.legend()
    return _saved(figure, path)


def _contributions(path: Path, bundle: Bundle, matrix: Matrix, seed: int) -> Path:
    import shap
    from matplotlib import pyplot

    chosen = np.random.default_rng(seed).permutation(len(matrix))[:SHOWN_ROWS]
    rows = matrix.take(chosen).keep_features([d.name for d in bundle.declarations])
    names = [d.name for d in bundle.declarations]
    table = bundle.score_columns(dict(zip(names, rows.columns, strict=True)))
    colours = bundle.scorer.encoded(rows.columns)
    shap.summary_plot(
        table.contributions, colours, feature_names=names, show=False, max_display=20, rng=np.random.default_rng(seed)
    )
    figure = pyplot.gcf()
    try:
        return _saved(figure, path)
    finally:
        pyplot.close(figure)


def _saved(figure: object, path: Path) -> Path:
    # Metadata would carry the library's version into otherwise equal files.
    figure.savefig(path, dpi=90, bbox_inches="tight", metadata={"Software": None})  # type: ignore[attr-defined]
    return path
