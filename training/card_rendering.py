"""A card as Markdown and as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Items:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Tabular:
    """Rows of text under heads; where all heads are empty, the first column names the others."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Image:
    path: Path
    caption: str


WIDE = 6
"""Columns from which on a table is set small, its figures unbroken."""

Block = Text | Items | Tabular | Image


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Card:
    title: str
    lang: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """Without the images, which stand beside it as files."""
        parts = [f"# {_marked(self.title)}"]
        for section in self.sections:
            blocks = [_block_markdown(block) for block in section.blocks if not isinstance(block, Image)]
            parts += [f"## {_marked(section.title)}", *blocks] if blocks else []
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        body = "\n".join(
            f"<section><h2>{html.escape(s.title)}</h2>\n" + "\n".join(_block_html(b) for b in s.blocks) + "\n</section>"
            for s in self.sections
        )
        title = html.escape(self.title)
        return (
            f'<!doctype html>\n<html lang="{html.escape(self.lang)}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
        )


_STYLE = """
:root { color-scheme: light dark }
body { margin: 0; font: 16px/1.6 system-ui, "Hiragino Sans", "Noto Sans JP", "Yu Gothic", sans-serif;
  color: #1c2430; background: #f6f7f9 }
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem }
h1 { font-size: 1.6rem; margin: .5rem 0 1rem }
h2 { font-size: 1.15rem; margin: 0 0 .5rem }
section { background: #fff; border: 1px solid #dde2e8; border-radius: .5rem; padding: 1rem 1.25rem; margin: 1rem 0;
  overflow-x: auto }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #e6eaee; vertical-align: top;
  overflow-wrap: anywhere }
td + td, th + th { font-variant-numeric: tabular-nums }
th { font-weight: 600; white-space: nowrap }
.wide { font-size: .8rem } .wide td { white-space: nowrap; text-align: right } .wide td:first-child { text-align: left }
.wide th[scope="col"]:not(:first-child) { text-align: right; padding-left: .6rem }
figure { margin: 1rem 0 } figure img { max-width: 100%; height: auto; background: #fff }
figcaption { color: #5a6675; font-size: .9rem }
@media (prefers-color-scheme: dark) {
  body { color: #e4e8ee; background: #14181d } section { background: #1c2229; border-color: #313a44 }
  th, td { border-color: #313a44 } figcaption { color: #9aa7b5 }
}
"""


def _block_markdown(block: Block) -> str:
    if isinstance(block, Items):
        return "\n".join(f"- {_marked(item)}" for item in block.items)
    if isinstance(block, Tabular):
        lines = [block.heads, tuple("---" for _ in block.heads), *block.rows]
        return "\n".join("| " + " | ".join(_marked(cell) for cell in line) + " |" for line in lines)
    return _marked(block.text) if isinstance(block, Text) else ""


def _block_html(block: Block) -> str:
    if isinstance(block, Text):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Items):
        return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in block.items) + "</ul>"
    if isinstance(block, Image):
        data = base64.b64encode(block.path.read_bytes()).decode()
        words = html.escape(block.caption, quote=True)
        return (
            f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'
        )
    head = "<tr>" + "".join(f'<th scope="col">{html.escape(h)}</th>' for h in block.heads) + "</tr>"
    kind = ' class="wide"' if len(block.heads) >= WIDE else ""
    return f"<table{kind}>{head if any(block.heads) else ''}{''.join(_row_html(r) for r in block.rows)}</table>"


def _row_html(row: tuple[str, ...]) -> str:
    first, *rest = (html.escape(cell) for cell in row)
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"


def _marked(text: str) -> str:
    """Text that Markdown shows as it stands: no markup of its own, no cell ended early."""
    for sign in ("\\", "`", "*", "_", "<", "[", "|", "#"):
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())
