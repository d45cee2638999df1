"""The parts of a scorer as plain data: what a bundle's JSON files say.

A scorer is one sum in margin (log-odds) space

    margin = shift + slope × (w₀·prior + w₁·linear(x) + Σ wⱼ·partⱼ(x))
    partⱼ  = boosterⱼ(x), or boosterⱼ(x) + linear(x) where booster j stands on the linear part

and every part is itself a sum over features, so the whole is
base + Σ contributions, and base + fit + behaviour.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class NumberColumn:
    """How one number reaches the trees: null becomes `null` (None: missing); what is
    larger than `cap` is cut to it."""

    null: float | None = None
    cap: float | None = None


@dataclass(frozen=True)
class CategoryColumn:
    """How one category reaches the trees: its smoothed log-odds; unseen and rare levels share `other`."""

    levels: dict[str, float]
    other: float
    null: float


@dataclass(frozen=True)
class NumberTerm:
    """One number in the linear part: slope × clip(f(x), low, high) + offset, f the identity or sign·log1p.

    `null` is the whole term where the value is missing. Terms are centred:
    their weighted mean over the training rows is 0.
    """

    logarithm: bool
    low: float
    high: float
    slope: float
    offset: float
    null: float


@dataclass(frozen=True)
class CategoryTerm:
    """One category in the linear part: the term of each level; unseen and rare levels share `other`."""

    levels: dict[str, float]
    other: float
    null: float


@dataclass(frozen=True)
class LinearPart:
    intercept: float
    terms: tuple[NumberTerm | CategoryTerm, ...]
    """One a declaration, in their order; a feature without use has a zero term."""


@dataclass(frozen=True)
class BoosterPart:
    text: str
    """LightGBM's native model text."""
    weight: float
    on_linear: bool = False
    """Fitted on the linear part's margin, which is then added to its own with the same weight."""


@dataclass(frozen=True)
class Calibration:
    """margin → shift + slope × margin, slope ≥ 0; `none` is 0 + 1 × margin."""

    method: Literal["none", "intercept", "platt"] = "none"
    slope: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Scorer:
    """All that turns a row of feature values into a margin; columns and terms in declaration order."""

    columns: tuple[NumberColumn | CategoryColumn, ...]
    linear: LinearPart
    boosters: tuple[BoosterPart, ...]
    prior_margin: float
    prior_weight: float
    linear_weight: float
    calibration: Calibration

    @property
    def linear_share(self) -> float:
        """The linear part's weight, alone and beneath boosters that stand on it."""
        return self.linear_weight + sum(b.weight for b in self.boosters if b.on_linear)


NO_TERM = NumberTerm(logarithm=False, low=0.0, high=0.0, slope=0.0, offset=0.0, null=0.0)


def encodings_document(scorer: Scorer) -> list[dict[str, Any]]:
    return [{"type": _type_of(c), **asdict(c)} for c in scorer.columns]


def linear_document(linear: LinearPart) -> dict[str, Any]:
    terms = [{"type": _type_of(t), **asdict(t)} for t in linear.terms]
    return {"intercept": linear.intercept, "terms": terms}


def linear_from_document(raw: dict[str, Any]) -> LinearPart:
    return LinearPart(float(raw["intercept"]), tuple(_term(term) for term in raw["terms"]))


def blend_document(scorer: Scorer) -> dict[str, Any]:
    boosters = [
        {"file": booster_file(i), "weight": b.weight, "on_linear": b.on_linear} for i, b in enumerate(scorer.boosters)
    ]
    return {
        "prior_margin": scorer.prior_margin,
        "prior_weight": scorer.prior_weight,
        "linear_weight": scorer.linear_weight,
        "boosters": boosters,
    }


def booster_file(index: int) -> str:
    return f"boosters/{index:02d}.txt"


def scorer_from_documents(
    encodings: list[dict[str, Any]],
    linear: dict[str, Any],
    blend: dict[str, Any],
    calibration: dict[str, Any],
    booster_texts: dict[str, str],
) -> Scorer:
    """The inverse of the documents above; KeyError or TypeError where one is malformed."""
    boosters = tuple(
        BoosterPart(booster_texts[b["file"]], float(b["weight"]), bool(b["on_linear"])) for b in blend["boosters"]
    )
    return Scorer(
        columns=tuple(_column(raw) for raw in encodings),
        linear=linear_from_document(linear),
        boosters=boosters,
        prior_margin=float(blend["prior_margin"]),
        prior_weight=float(blend["prior_weight"]),
        linear_weight=float(blend["linear_weight"]),
        calibration=Calibration(**calibration),
    )


def _type_of(part: NumberColumn | CategoryColumn | NumberTerm | CategoryTerm) -> str:
    return "category" if isinstance(part, CategoryColumn | CategoryTerm) else "number"


def _column(raw: dict[str, Any]) -> NumberColumn | CategoryColumn:
    fields = {k: v for k, v in raw.items() if k != "type"}
    return CategoryColumn(**fields) if raw["type"] == "category" else NumberColumn(**fields)


def _term(raw: dict[str, Any]) -> NumberTerm | CategoryTerm:
    fields = {k: v for k, v in raw.items() if k != "type"}
    return CategoryTerm(**fields) if raw["type"] == "category" else NumberTerm(**fields)
