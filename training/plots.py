"""Plots kept with a model: calibration, calibration over time, gain, and which features moved the margin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.assessment import Assessment
from training.bundle import Bundle
from training.intervals import Interval
from training.matrix import Matrix

SHOWN_ROWS = 1_000
BLUE, GREY, ORANGE = "#2f6f9f", "#8a94a0", "#c8641c"
MANY = 8
"""Names under an axis beyond this many are turned."""


def draw_plots(folder: Path, found: Assessment, bundle: Bundle, matrix: Matrix, *, seed: int) -> list[Path]:
    """Writes calibration.png, over_time.png, gain.png and contributions.png; returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _calibration(folder / "calibration.png", found),
        _over_time(folder / "over_time.png", found),
        _gain(folder / "gain.png", found),
        _contributions(folder / "contributions.png", bundle, matrix, seed),
    ]


def _calibration(path: Path, found: Assessment) -> Path:
    figure, axes = _axes(5.5, 5)
    said, came = np.array([c[0] for c in found.curve]), [c[1] for c in found.curve]
    top = max(float(said.max()), *(c.high for c in came)) * 1.05
    axes.plot([0, top], [0, top], linestyle=":", color=GREY, label="perfect")
    axes.errorbar(said, *_drawn(came), fmt="o-", color=BLUE, capsize=2, label="blend, 95% intervals")
    axes.set(xlabel="predicted probability", ylabel="rate of outcomes", title="Calibration by tenths, forward in time")
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend(frameon=False, loc="upper left")
    return _saved(figure, path)


def _over_time(path: Path, found: Assessment) -> Path:
    cells = found.over_time
    figure, axes = _axes(max(6.0, 0.55 * len(cells) + 2), 4)
    places = np.arange(len(cells))
    came = [c.came for c in cells]
    axes.errorbar(places, *_drawn(came), fmt="o", color=BLUE, capsize=2, label="came, 95% intervals")
    axes.plot(places, [c.said for c in cells], color=ORANGE, marker="_", markersize=12, label="predicted")
    turned = len(cells) > MANY
    axes.set_xticks(places, [c.name for c in cells], rotation=40 if turned else 0, ha="right" if turned else "center")
    axes.set(ylabel="rate of outcomes", title="Predicted and actual, by when lead cycles began")
    axes.set_ylim(0, max(c.high for c in came) * 1.15)
    axes.legend(frameon=False, loc="upper left", ncols=2)
    return _saved(figure, path)


def _gain(path: Path, found: Assessment) -> Path:
    figure, axes = _axes(5.5, 5)
    tenths = np.arange(11) / 10
    low, value, high = ([0.0, *(getattr(g, end) for g in found.gain)] for end in ("low", "value", "high"))
    axes.plot(tenths, tenths, linestyle=":", color=GREY, label="at random")
    axes.fill_between(tenths, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95% interval")
    axes.plot(tenths, value, marker="o", color=BLUE, label="blend")
    axes.set(xlabel="share of rows, best first", ylabel="share of outcomes among them", title="Gain, forward in time")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower right")
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


def _axes(width: float, height: float):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _drawn(found: Sequence[Interval]) -> tuple[list[float], list[list[float]]]:
    """Values, and the lengths of their error bars downwards and upwards."""
    down, up = [f.value - f.low for f in found], [f.high - f.value for f in found]
    return [f.value for f in found], [down, up]


def _saved(figure: object, path: Path) -> Path:
    # Metadata would carry the library's version into otherwise equal files.
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})  # type: ignore[attr-defined]
    return path
