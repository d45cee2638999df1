"""Examines leads beside each other: repeated rows, equal rows with other outcomes, categories that arrive late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.doctor import Finding, Ward, percent

ENOUGH_COLUMNS = 6
"""Where fewer are known of a lead, equal leads are no surprise."""
LATE = 0.25
"""Share of the newest leads that are compared with the rest."""
NEW_LEVELS = 0.05
SHORT_OF_LEVELS = 2_000
"""An attribute with more levels than this is an id rather than a category."""


def findings(ward: Ward) -> list[Finding]:
    if ward.attributes.empty:
        return []
    return [*_repeated(ward), *_unseen(ward)]


def signatures(ward: Ward) -> pd.Series:
    """A number a lead, in the order of `leads`: equal for one account and equal attributes at creation."""
    values = _filled(ward)
    marks = _hashes(values["value"]) * (_hashes(values["name"]) | np.uint64(1))
    # A sum does not depend on the order of the attributes; wrapping around is harmless.
    by_lead = pd.Series(marks).groupby(values["lead_id"].to_numpy()).sum()
    accounts = _hashes(ward.leads["account_id"].fillna(""))
    return ward.leads["lead_id"].map(by_lead).fillna(0).astype("uint64") + accounts


def _filled(ward: Ward) -> pd.DataFrame:
    """What is known of leads at their creation: what is not known makes nobody alike."""
    return ward.first_values[ward.first_values["value"] != ""]


def _hashes(texts: pd.Series) -> NDArray[np.uint64]:
    """Each different text is hashed once."""
    places, different = pd.factorize(texts)
    return pd.util.hash_array(np.asarray(different, dtype=object))[places]


def _repeated(ward: Ward) -> Iterator[Finding]:
    described = ward.leads["lead_id"].map(_filled(ward)["lead_id"].value_counts()).fillna(0).to_numpy()
    enough = described >= ENOUGH_COLUMNS
    if not enough.any() or not ward.company.targets:
        return
    target = ward.company.targets[0]
    won = np.isfinite(ward.reached(target).to_numpy())
    pairs = pd.DataFrame({"mark": signatures(ward), "won": won})[enough]
    repeats = int(pairs.duplicated().sum())
    outcomes = pairs.groupby("mark")["won"].nunique()
    contradicting = int((outcomes > 1).sum())
    if not repeats and not contradicting:
        return
    evidence = (
        f"{repeats:,} of {len(pairs):,} leads repeat an earlier lead in every attribute and in the outcome; "
        f"{contradicting:,} groups of equal leads contradict each other in the outcome"
    )
    grave = repeats + contradicting > 0.02 * len(pairs)
    step = "keep equal leads in one fold when you validate; find out whether they are the same deal twice"
    yield Finding("warn" if grave else "ok", "leads", "duplicate leads, equal in every attribute", evidence, step)


def _unseen(ward: Ward) -> Iterator[Finding]:
    """Categories among the newest leads that no earlier lead had."""
    cut = int(len(ward.leads) * (1 - LATE))
    if cut < 100:
        return
    newest = set(ward.leads["lead_id"].iloc[cut:])
    texts = ward.attributes["name"][ward.attributes["text"].notna()].unique()
    values = ward.first_values[ward.first_values["name"].isin(texts)]
    late = values["lead_id"].isin(newest).to_numpy()
    for name, rows in values.assign(late=late).groupby("name"):
        old, new = rows[~rows["late"]]["value"], rows[rows["late"]]["value"]
        new = new[new != ""]
        if new.empty or old.nunique() > SHORT_OF_LEVELS:
            continue
        unseen = new[~new.isin(old)]
        if len(unseen) / len(new) > NEW_LEVELS:
            what = "categories arrive that were never seen before"
            evidence = (
                f"{percent(len(unseen) / len(new))} of the newest {len(new):,} leads hold one of {unseen.nunique():,} "
                f"levels that none of the {len(old):,} leads before them had"
            )
            step = "expect no more of this column than the average of what is new; retrain when new ones come"
            yield Finding("warn", f"attribute {name}", what, evidence, step)
