"""Sections of the model card about how sure the figures are, when, for whom, and at what price."""

from __future__ import annotations

from collections.abc import Iterator

from training.assessment import Assessment
from training.card_rendering import Block, Items, Section, Tabular, Text
from training.card_sentences import (
    Say,
    change_sentence,
    cost_sentence,
    fair_sentence,
    handed,
    level,
    regime_sentences,
    shown,
    sure,
)
from training.dates import day
from training.fairness import FairColumn
from training.intervals import Cell
from training.regimes import Look
from training.rows import History


def assessment_sections(history: History, found: Assessment, say: Say) -> Iterator[Section]:
    yield Section(say("How sure the figures are", "成績の確かさ"), (Text(sure(found, say)), Text(handed(found, say))))
    yield _time(found, say)
    if found.segments:
        yield _segments(found, say)
    if found.fairness:
        yield _fairness(found, say)
    yield Section(
        say("Regime", "データの局面"),
        (Items(tuple(regime_sentences(history, found, say))), *_looks(history, found, say)),
    )
    if found.costs:
        yield Section(
            say("What additive and monotone cost", "加法性と単調性の代償"),
            (Items(tuple(cost_sentence(cost, say) for cost in found.costs)),),
        )


def heads(first: str, say: Say) -> tuple[str, ...]:
    return (
        first,
        say("rows", "行"),
        say("outcomes", "成果"),
        say("predicted", "予測"),
        say("came", "実績"),
        "ECE",
        "log loss",
        "Brier",
    )


def cell_row(cell: Cell, say: Say) -> tuple[str, ...]:
    """As `heads`; a rate that is wrong beyond noise is marked."""
    mark = "" if not cell.off else " ↑" if cell.bias.low > 0 else " ↓"
    return (
        level(cell.name, say),
        f"{cell.rows:,}",
        f"{cell.outcomes:,}",
        f"{cell.said:.1%}{mark}",
        shown(cell.came, 1, percent=True),
        shown(cell.ece, 3),
        shown(cell.log_loss, 4),
        shown(cell.brier, 4),
    )


def _time(found: Assessment, say: Say) -> Section:
    words = say(
        "By when the lead cycles began; months with too few outcomes are joined. Intervals as above; an arrow marks "
        "probabilities that were too high (↑) or too low (↓) beyond noise.",
        "リードサイクルの開始時期別。成果の少ない月はまとめました。区間の求め方は上と同じです。"
        "矢印は、確率がばらつきを超えて高すぎた(↑)、低すぎた(↓)ことを示します。",
    )
    rows = tuple(cell_row(cell, say) for cell in found.over_time)
    return Section(say("Over time", "時期別"), (Text(words), Tabular(heads(say("began", "開始"), say), rows)))


def _segments(found: Assessment, say: Say) -> Section:
    blocks: list[Block] = []
    for segmented in found.segments:
        rows = tuple(cell_row(cell, say) for cell in segmented.cells)
        blocks.append(Tabular(heads(segmented.column, say), rows))
    words = say(
        "Levels with fewer than 20 lead cycles with the outcome (or without) are joined.",
        "成果あり(またはなし)のサイクルが20件に満たない値は「その他」にまとめました。",
    )
    return Section(say("Segments", "区分別"), (Text(words), *blocks))


def _fairness(found: Assessment, say: Say) -> Section:
    words = say(
        "Columns that the mapping names as protected. They are never features; whether other features stand in for "
        "them is what these rates show.",
        "マッピングで保護対象とした列です。特徴量には使いません。ほかの特徴量が代わりをしていないかを示します。",
    )
    blocks: list[Block] = [Text(words)]
    for column in found.fairness:
        blocks += [Tabular(fair_heads(column, say), tuple(fair_rows(column, say))), Text(fair_sentence(column, say))]
    return Section(say("Fairness", "公平性"), tuple(blocks))


def fair_heads(column: FairColumn, say: Say) -> tuple[str, ...]:
    return (
        column.column,
        say("rows", "行"),
        say("outcomes", "成果"),
        say("selected", "しきい値以上"),
        say("of outcomes", "成果ありのうち"),
        say("predicted", "予測"),
        say("came", "実績"),
        "ECE",
    )


def fair_rows(column: FairColumn, say: Say) -> Iterator[tuple[str, ...]]:
    for group in column.groups:
        cell = group.cell
        note = say(" (too few to judge)", "(判断には少数)") if group.too_small else ""
        yield (
            level(cell.name, say) + note,
            f"{cell.rows:,}",
            f"{cell.outcomes:,}",
            f"{group.selection_rate:.1%}",
            f"{group.true_positive_rate:.1%}",
            f"{cell.said:.1%}",
            shown(cell.came, 1, percent=True),
            shown(cell.ece, 3),
        )


def _looks(history: History, found: Assessment, say: Say) -> Iterator[Block]:
    """What could be seen before each slice."""
    rows = tuple(_look_row(history, k, seen, say) for k, seen in enumerate(found.regimes.before_slices, 1))
    if rows:
        yield Text(say("What was known before each slice of the backtest:", "各検証区間の前に分かっていたこと:"))
        yield Tabular((say("slice", "区間"), say("begins", "開始"), say("seen before it", "その前に見えた変化")), rows)


def _look_row(history: History, number: int, seen: Look, say: Say) -> tuple[str, ...]:
    newest = {change.what: change for change in seen.changes}
    told = [change_sentence(history, c, say).rstrip("。") for c in newest.values()]
    more = len(seen.changes) - len(newest)
    told += [say(f"{more} earlier ones", f"ほかに以前の変化{more}件")] if more else []
    return str(number), day(history, seen.at), "; ".join(told) or say("no change beyond chance", "偶然を超える変化なし")
