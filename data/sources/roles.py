"""Which file holds leads and which what happened to them, and which column plays which part: guesses for a draft."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.sources.guesses import Guess, guessed
from data.sources.values import as_text

ID = re.compile(r"(^|[_\s.])(id|uuid|guid|key|no|number|code)$|Id$|ID$|番号$|コード$|No\.?$", re.I)
CREATED = re.compile(
    r"creat|regist|first_contact|signup|入力日|登録|作成|受付|発生|問い?合わせ日|inquiry_?date|^date$|added", re.I
)
WON_DATE = re.compile(r"won|convert|close|contract|成約|受注|契約|order_?date|purchase", re.I)
OUTCOME = re.compile(
    r"^y$|^target$|^label$|outcome|convert|^won$|is_won|^status$|^revenue$|purchased|bought|subscribed|result|"
    r"^stage$|lifecyclestage|成約|受注|結果|ステータス|商談状況",
    re.I,
)
WON_WORD = re.compile(
    r"^(yes|y|true|1|won|win|converted|closed[ -_]?won|success|customer|成約|受注|契約|あり|はい|○)$", re.I
)
LOST_WORD = re.compile(
    r"^(no|n|false|0|lost|loss|not[ _]converted|closed[ -_]?lost|disqualified|unqualified|失注|不成立|なし|いいえ|×)$",
    re.I,
)
KIND = re.compile(r"kind|type|event|activity|action|種別|種類|アクション|イベント", re.I)
ACCOUNT = re.compile(r"account|company|organi[sz]ation|corporate|会社|企業|法人", re.I)
PERSON = re.compile(r"person|contact|user|visitor", re.I)


@dataclass
class Looked:
    """One file: a sample of its rows, a guess a column, and the part it seems to play."""

    path: Path
    encoding: str
    separator: str
    rows: pa.Table
    whole: bool
    """Whether the sample is the whole file."""
    guesses: dict[str, Guess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.guesses = {name: guessed(name, self.values(name)) for name in self.rows.column_names}

    def values(self, column: str) -> pa.Array:
        found = self.rows.column(column).combine_chunks()
        return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found

    def looking(self, *looks: str) -> list[Guess]:
        return [g for g in self.guesses.values() if g.look in looks]

    @property
    def id(self) -> str:
        """The column that names the rows, or empty."""
        unique = [g for g in self.guesses.values() if g.unique and g.look not in {"date", "mail", "name", "phone"}]
        named = [g.name for g in unique if ID.search(g.name)]
        plain = [n for n in named if re.fullmatch(r"(lead|mql|contact|prospect|deal|customer)?[_ ]?id", n, re.I)]
        return next(iter(plain or named), next((g.name for g in unique if g.look == "text"), ""))

    @property
    def created(self) -> str:
        dates = [g for g in self.looking("date") if g.filled > 0.9]
        named = [g.name for g in dates if CREATED.search(g.name)]
        plain = [n for n in named if re.fullmatch(r"(lead|mql|contact|prospect|deal|customer)?[_ ]?id", n, re.I)]
        return next(iter(plain or named), next((g.name for g in dates), ""))

    @property
    def outcome(self) -> str:
        """The column that says how it ended: by its name, else by a last column of yes and no."""
        few = [g for g in self.guesses.values() if 1 < g.distinct <= 30 and g.look in {"category", "code"}]
        named = [g.name for g in few if OUTCOME.search(g.name) and any(WON_WORD.match(w) for w in g.words)]
        last = self.guesses[self.rows.column_names[-1]]
        yes_no = last.distinct == 2 and any(WON_WORD.match(w) for w in last.words)
        return last.name if yes_no else next(iter(named), "")

    @property
    def won_date(self) -> str:
        found = [g.name for g in self.looking("date") if WON_DATE.search(g.name) and g.name != self.created]
        return next(iter(found), "")

    def filled_only_where(self, column: str, outcome: str, word: str) -> bool:
        """Whether a column holds something for one outcome only: a leak."""
        filled = pc.not_equal(pc.fill_null(pc.utf8_trim_whitespace(as_text(self.values(column))), ""), "")
        won = pc.equal(pc.utf8_trim_whitespace(as_text(self.values(outcome))), word)
        both, either = pc.and_(filled, won), pc.and_(filled, pc.invert(won))
        return bool(pc.sum(both).as_py()) and not pc.sum(either).as_py() and len(filled) > 50


def lead_file(files: Sequence[Looked]) -> Looked:
    """The file whose ids the others refer to; else the one that has ids and creation times; else the first."""
    named = [f for f in files if f.id]
    return max(named, key=lambda f: (_referred(f, files), bool(f.created), -files.index(f)), default=files[0])


def _referred(file: Looked, files: Sequence[Looked]) -> int:
    return sum(bool(reference(other, file)) for other in files if other is not file)


def reference(file: Looked, leads: Looked) -> str:
    """The column of `file` that holds ids of `leads`, or empty."""
    if not leads.id:
        return ""
    ids = pc.unique(as_text(leads.values(leads.id)))
    shares = {}
    for guess in file.looking("text", "category", "number", "code"):
        found = as_text(file.values(guess.name)).drop_null()
        shares[guess.name] = (pc.sum(pc.is_in(found, value_set=ids)).as_py() or 0) / max(len(found), 1)
    same = [n for n, share in shares.items() if n == leads.id and share > 0.5]
    best = max(shares, key=lambda n: shares[n], default="")
    return next(iter(same), best if best and shares[best] > 0.8 else "")
