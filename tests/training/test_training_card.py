"""The model card: escaped, self-contained, in two languages; and what is kept beside it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from training.card_rendering import Card, Image, Items, Section, Tabular, Text
from training.environment import environment

NASTY = """<script>alert("1")</script> & 'x' | `y` *z*"""


class Seen(HTMLParser):
    """Tags, attributes and text of a page, and whether every tag is closed in order."""

    VOID = frozenset({"meta", "img", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def card(tmp_path: Path) -> Card:
    picture = tmp_path / "gain.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    blocks = (
        Text(NASTY),
        Items((NASTY, "b")),
        Tabular((NASTY, "b"), ((NASTY, "1"),)),
        Tabular(("", ""), (("a", NASTY),)),
        Image(picture, NASTY),
    )
    return Card(NASTY, "en", (Section(NASTY, blocks),))


def test_nothing_a_company_named_becomes_markup(card: Card) -> None:
    seen = Seen()
    seen.feed(card.html())
    assert "script" not in seen.tags
    assert seen.text.count(NASTY) == 9, "title twice, and once in every place it was put"


def test_the_page_loads_nothing_from_anywhere(card: Card) -> None:
    seen = Seen()
    seen.feed(card.html())
    assert {link.partition(":")[0] for link in seen.links} == {"data"}
    assert not re.search(r"@import|url\(", card.html())


def test_markdown_tables_keep_their_cells(card: Card) -> None:
    lines = [line for line in card.markdown().splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)
    assert "<script>" not in card.markdown().replace("\\<", "")


def test_the_environment_names_what_the_numbers_come_from() -> None:
    found = json.loads(environment())
    assert found["packages"]["lightgbm"]
    assert found["python"].startswith("3.")
