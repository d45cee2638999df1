"""One lead in words on the terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from serving.contract import Language, Reason, TargetAnswer
from serving.words import FIXED_LINE_EN, FIXED_LINE_JA

_WORDS = {
    "ja": {
        "grade": "グレード",
        "score": "スコア",
        "fit": "企業との適合度",
        "behaviour": "関心・行動",
        "up": "プラス要因",
        "down": "マイナス要因",
        "none": "特筆すべき要因なし",
        "past_target": "このリードは目標に到達済みか、終了しています",
        "no_consent": "本人の同意がないため、スコアを算出しません",
        "unproven": "実績が少ないため、確率は算出しません",
        "met": "引き渡しの基準に達しています",
        "unmet": "引き渡しの基準に達していません",
        "line": FIXED_LINE_JA,
    },
    "en": {
        "grade": "Grade",
        "score": "score",
        "fit": "Fit",
        "behaviour": "Behaviour",
        "up": "Speaks for it",
        "down": "Speaks against it",
        "none": "Nothing stands out",
        "past_target": "This lead has reached the target already, or has ended",
        "no_consent": "The person does not allow scoring",
        "unproven": "Too few outcomes yet for a probability",
        "met": "Reaches the hand-over threshold",
        "unmet": "Below the hand-over threshold",
        "line": FIXED_LINE_EN,
    },
}
_BAR_CELLS = 12
_FULL_BAR = 3.0
"""Margin at which a bar is full: odds of 20 to 1."""
_STYLES = {"A": "bold green", "B": "green", "C": "yellow", "D": "dim"}


def show_answer(console: Console, lead_id: str, answer: TargetAnswer, lang: Language) -> None:
    """Grade, score, odds, the two bars, the reasons given, the fixed line."""
    console.print(Group(*_lines(lead_id, answer, lang)))


def _lines(lead_id: str, answer: TargetAnswer, lang: Language) -> list[RenderableType]:
    words = _WORDS[lang]
    title = Text.assemble((lead_id, "bold"), f"  {answer.target}")
    if answer.margin is None or answer.grade is None:
        return [title, Text(words[answer.status])]
    head = Text.assemble(
        (f"{words['grade']} {answer.grade}", _STYLES[answer.grade]), f"   {words['score']} {answer.score}"
    )
    spoken = (answer.odds.ja if lang == "ja" else answer.odds.en) if answer.odds else words["unproven"]
    lines: list[RenderableType] = [
        title,
        head,
        Text(spoken or ""),
        Text(words["met" if answer.threshold_met else "unmet"]),
    ]
    if answer.little_known:
        lines.append(
            Text((answer.little_known.text_ja if lang == "ja" else answer.little_known.text_en) or "", "yellow")
        )
    return [*lines, "", _bars(answer, lang), "", *_reasons(answer.reasons, lang), "", Text(words["line"], "dim")]


def _bars(answer: TargetAnswer, lang: Language) -> Table:
    table = Table.grid(padding=(0, 2))
    for part, value in (("fit", answer.fit), ("behaviour", answer.behaviour)):
        table.add_row(_WORDS[lang][part], _bar(value or 0.0))
    return table


def _bar(value: float) -> Text:
    """A bar left (−) or right (+) of the middle; a full half is `_FULL_BAR`."""
    cells = round(min(abs(value) / _FULL_BAR, 1.0) * _BAR_CELLS)
    left = ("█" * cells if value < 0 else "").rjust(_BAR_CELLS, "·")
    right = ("█" * cells if value > 0 else "").ljust(_BAR_CELLS, "·")
    return Text.assemble((left, "red" if value < 0 else "dim"), "│", (right, "green" if value > 0 else "dim"))


def _reasons(reasons: list[Reason], lang: Language) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for direction, mark in (("up", "↑"), ("down", "↓")):
        told = [r for r in reasons if r.direction == direction]
        if told:
            lines.append(Text(_WORDS[lang][direction], "bold"))
            lines += [Padding(Text(f"{mark} {r.text_ja if lang == 'ja' else r.text_en}"), (0, 0, 0, 2)) for r in told]
    return lines or [Text(_WORDS[lang]["none"])]
