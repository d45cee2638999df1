"""What one window showed: everything the decision may read, and nothing else.

Pure data, frozen. What was not or could not be measured is None or empty; the
rules that would need it then say so and stay silent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

PROBABILITY = "probability"
"""The column that holds the champion's probability beside the features."""

LEVEL = 0.01
"""False-discovery rate over the features, and false-alarm rate of the scores, per window."""
MATERIAL = 0.05
"""Least share of rows that must have moved before a shift is worth words, however certain it is."""
EMPTIED = 0.20
"""Rise of the missing share that is called a field no longer being filled."""
UNSEEN = 0.10
"""Share of values never seen in the reference that is called new."""
LEAST_ROWS = 50
"""Rows below which nothing is said about drift."""
LEAST_MATURED = 200
LEAST_CONVERSIONS = 20
"""Matured leads, and conversions among them, below which nothing is said about performance."""


@dataclass(frozen=True)
class Shift:
    """One column of the window against its reference; figures come from Evidently's result."""

    column: str
    psi: float
    critical: float
    """PSI that stationary windows of this size exceed with chance LEVEL."""
    share_moved: float
    """Effect size, 0 to 1: rows that would have to change bins."""
    p_value: float
    p_adjusted: float
    """Benjamini–Hochberg over all features; for a score the p-value itself."""
    missing: float = 0.0
    missing_reference: float = 0.0
    unseen: float = 0.0

    @property
    def alarmed(self) -> bool:
        return self.p_adjusted <= LEVEL and self.share_moved >= MATERIAL

    @property
    def emptied(self) -> bool:
        """A field that stopped being filled."""
        return self.alarmed and self.missing - self.missing_reference >= EMPTIED

    @property
    def full_of_unseen(self) -> bool:
        return self.alarmed and self.unseen >= UNSEEN


@dataclass(frozen=True)
class Feed:
    """How many records one feed brought in the window, against its own weeks."""

    name: str
    count: float
    """Records a week in the window."""
    low: float
    high: float
    """Least and most records in a week of the reference."""

    @property
    def dried_up(self) -> bool:
        return self.count < self.low / 5

    @property
    def flooded(self) -> bool:
        return self.count > self.high * 5


@dataclass(frozen=True)
class Freshness:
    """How long nothing has been heard at all."""

    silent_days: float
    """From the newest touchpoint or new lead to the window's end."""
    usual: float
    """The longest silence in the weeks before."""
    newest: str
    """ISO time of the newest record."""

    @property
    def stale(self) -> bool:
        return self.silent_days > self.usual + 2


@dataclass(frozen=True)
class VersionChange:
    """A deployment row that came into force inside the window."""

    kind: Literal["model", "policy"]
    action: str
    at: int
    """Microseconds UTC."""
    by: str
    can_be_undone: bool
    """Whether an earlier row is there to go back to."""
    score: Shift | None = None
    """This window as answered now, against the window before as answered then."""


@dataclass(frozen=True)
class Guardrail:
    """A limit that an answer or a schema broke."""

    name: Literal["schema", "skew", "errors", "latency"]
    value: float
    limit: float


@dataclass(frozen=True)
class OperatingPoint:
    """Hand-overs a week at the threshold in force."""

    handovers_per_week: float
    low: float
    high: float
    """The capacity interval: what ordinary weeks give around the capacity."""
    capacity_per_week: float | None

    @property
    def outside(self) -> bool:
        return not self.low <= self.handovers_per_week <= self.high


@dataclass(frozen=True)
class Matured:
    """The champion on leads whose outcome is known, against what it would give if it were right.

    Each bound is the LEVEL quantile of the figure over outcomes drawn from the
    champion's own probabilities on the same rows, widened by a tolerance.
    """

    rows: int
    conversions: int
    base_rate: float
    predicted: float
    auc: float | None
    auc_bound: float
    log_loss: float
    log_loss_bound: float
    ece: float
    ece_bound: float
    lift: float | None
    """Base rate among the tenth with the highest probability, over the base rate of all."""

    @property
    def enough(self) -> bool:
        return self.rows >= LEAST_MATURED and self.conversions >= LEAST_CONVERSIONS

    @property
    def ranking_holds(self) -> bool:
        return self.auc is None or self.auc >= self.auc_bound

    @property
    def calibration_holds(self) -> bool:
        return self.ece <= self.ece_bound

    @property
    def worse(self) -> bool:
        """Log loss or AUC beyond the champion's own bound."""
        return self.enough and (self.log_loss > self.log_loss_bound or not self.ranking_holds)


@dataclass(frozen=True)
class Evidence:
    rows: int
    """Rows of the window: one per open lead and week."""
    reference_rows: int
    features: tuple[Shift, ...] = ()
    score: Shift | None = None
    """The champion's probabilities, window against training slice."""
    recent: Shift | None = None
    """The same, against the same window earlier."""
    feeds: tuple[Feed, ...] = ()
    freshness: Freshness | None = None
    change: VersionChange | None = None
    guardrails: tuple[Guardrail, ...] | None = None
    """None: not measured."""
    operating: OperatingPoint | None = None
    moved: tuple[Literal["base_rate", "cost", "capacity"], ...] | None = None
    """Terms of the policy that moved; None: not measured."""
    matured: Matured | None = None
    worse_windows: int = 0
    """Consecutive windows, this one included, in which `matured.worse` held."""
    frozen: bool = False

    @property
    def judges_drift(self) -> bool:
        return self.rows >= LEAST_ROWS

    @property
    def scores_moved(self) -> bool:
        """The champion's probabilities moved: the world did, since the model is one and the same."""
        return self.judges_drift and self.score is not None and self.score.alarmed

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
