"""A calibrated probability in plain words: about 1 in N.

The claim is the model's own and no more: what share of leads like this one is
expected to reach the stage within the horizon.
"""

from __future__ import annotations

from data.times import DAY, HOUR
from serving.contract import Language


def odds(probability: float, stage: str, horizon: int | None, lang: Language) -> str:
    """A calibrated probability as "about 1 in N", for reaching `stage` within `horizon` (None: at all)."""
    if lang == "ja":
        within = "" if horizon is None else f"{_span(horizon, 'ja')}以内に"
        reach = _REACH_JA.get(stage, f"「{stage}」に到達する")
        return f"このようなリードは、{_share_ja(probability)}が{within}{reach}見込みです"
    within = "" if horizon is None else f" within {_span(horizon, 'en')}"
    reach = _REACH_EN.get(stage, f"reach “{stage}”")
    return f"Of leads like this, {_share_en(probability)} can be expected to {reach}{within}"


_REACH_JA = {"won": "成約する", "sql": "有効(SQL)と判断される", "opportunity": "商談化する", "mql": "MQLになる"}
_REACH_EN = {
    "won": "be won",
    "sql": "be qualified by sales (SQL)",
    "opportunity": "become an opportunity",
    "mql": "become an MQL",
}
_ROUND_SHARES = tuple((k, n) for k, n in ((1, 4), (3, 10), (1, 3), (4, 10), (1, 2), (6, 10), (7, 10), (8, 10), (9, 10)))


def share(probability: float) -> tuple[int, int]:
    """The plainest fraction (k, n) near a probability: k of n.

    >>> share(0.34), share(0.04), share(0.72), share(0.0123)
    ((1, 3), (1, 25), (7, 10), (1, 81))
    """
    if probability >= 0.225:
        return min(_ROUND_SHARES, key=lambda kn: abs(probability - kn[0] / kn[1]))
    n = 1 / max(probability, 1e-9)
    digits = max(0, len(str(int(n))) - 2)
    return 1, int(round(n, -digits))


def _share_ja(probability: float) -> str:
    if probability > 0.95:
        return "10件中9件以上"
    k, n = share(probability)
    if n > 1000:
        return "1,000件に1件未満"
    return f"およそ{n:,}件に1件" if k == 1 else f"{n}件中およそ{k}件"


def _share_en(probability: float) -> str:
    if probability > 0.95:
        return "more than 9 in 10"
    k, n = share(probability)
    return "fewer than 1 in 1,000" if n > 1000 else f"about {k} in {n:,}"


def _span(horizon: int, lang: Language) -> str:
    if horizon % DAY == 0:
        return f"{horizon // DAY}日" if lang == "ja" else f"{horizon // DAY} days"
    return f"{horizon / HOUR:g}時間" if lang == "ja" else f"{horizon / HOUR:g} hours"
