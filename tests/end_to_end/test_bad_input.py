"""Bad input at the front door: one clear message with file, row and column, and nothing that was there lost."""

from __future__ import annotations

import gzip
import io
import re
import resource
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.home import Home
from data.store.operational import Store
from data.tables import BY_NAME
from leadscore import run

MB = 1 << 20
NOW = "2026-06-01T00:00:00Z"
HEADER = "id,created,plan,status,closed"
SOUND = f"{HEADER}\nok,2026-01-01,pro,won,2026-02-01\n"
MAPPING = """
source = "crm"
[company]
timezone = "UTC"
[targets.won]
stage = "won"
horizon = "90d"
[[files]]
path = "{path}"
encoding = "{encoding}"
[files.lead]
id = "id"
created = "created"
[files.columns]
plan = {{ type = "category" }}
[[files.stages]]
stage = {{ column = "status", words = {{ won = "won", lost = "lost" }} }}
at = "closed"
"""
Write = Callable[[Path], object]


def text(content: str, encoding: str = "utf-8") -> Write:
    return lambda path: path.write_bytes(content.encode(encoding))


def after_sound(line: str) -> Write:
    return text(SOUND + line + "\n")


def parquet(columns: dict[str, object], **options: object) -> Write:
    def write(path: Path) -> None:
        rows = pd.DataFrame({"id": ["a"], "created": ["2026-01-01"], "plan": ["pro"], "status": ["won"]})
        table = pa.Table.from_pandas(rows.assign(closed="2026-02-01"), preserve_index=False)
        for name, values in columns.items():
            table = pa.table({c: table[c] if c in table.column_names else values for c in table.column_names})
            table = table.set_column(table.schema.get_field_index(name), name, [values])
        pq.write_table(table, path, **options)

    return write


def cut_off(path: Path) -> None:
    parquet({})(path)
    path.write_bytes(path.read_bytes()[:-40])


def damaged_inside(path: Path) -> None:
    parquet({}, compression="NONE")(path)
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(bytes(content))


def many_rows_in_few_bytes(path: Path) -> None:
    columns = {name: pa.array([0]).take(pa.array([0] * 2_000_000)) for name in HEADER.split(",")}
    pq.write_table(pa.table(columns), path)


def one_long_text_in_every_row(path: Path) -> None:
    few = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["z" * MB]))
    columns = dict.fromkeys(HEADER.split(","), few)
    pq.write_table(pa.table(columns), path, dictionary_pagesize_limit=16 * MB)


def gzip_bomb(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(256):
            out.write(bytes(MB))


def huge_cell(path: Path) -> None:
    with path.open("w") as out:
        out.write(SOUND + "b,2026-01-01,")
        for _ in range(200):
            out.write("z" * MB)
        out.write(",won,2026-02-01\n")


def endless_line(path: Path) -> None:
    with path.open("w") as out:
        for _ in range(100):
            out.write("z" * MB)


def workbook(path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("[Content_Types].xml", "<Types/>")
        out.writestr("xl/workbook.xml", "<workbook/>")
    path.write_bytes(packed.getvalue())


LATIN = f"{HEADER}\nb,2026-01-01,café à la crème brûlée,won,2026-02-01\nc,2026-01-01,Müller Größe,,\n"
JAPANESE = f"{HEADER}\nb,2026-01-01,東京の株式会社テスト,won,2026-02-01\n"

ROWS: list[tuple[str, Write, list[tuple[int, str, str]]]] = [
    # what is wrong, how the file is written, (row, column, reason) of each rejection
    ("unparsable date", after_sound("b,32.13.2026,pro,,"), [(2, "created", "not a date such as")]),
    ("unknown stage", after_sound("b,2026-01-01,pro,frozen,2026-02-01"), [(2, "status", "unknown stage")]),
    ("stage before creation", after_sound("b,2026-01-01,pro,won,2025-12-31"), [(2, "closed", "before the lead")]),
    ("creation in the future", after_sound("b,2027-01-01,pro,,"), [(2, "created", "after this import")]),
    ("stage in the future", after_sound("b,2026-01-01,pro,won,2027-01-01"), [(2, "closed", "after this import")]),
    ("one key, two contents", after_sound("ok,2026-01-05,pro,,"), [(2, "id", "the same lead id again")]),
    ("too many fields", after_sound("b,2026-01-01,pro,won,2026-02-01,x"), [(2, "", "6 fields where the header has 5")]),
    ("too few fields", after_sound("b,2026-01-01"), [(2, "", "2 fields where the header has 5")]),
    ("NUL inside a value", after_sound("b,2026-01-01,p\x00ro,,"), [(2, "plan", "a NUL character")]),
    ("a quote left open", after_sound('b,2026-01-01,"' + "z,\n" * 100_000), [(2, "", "fields where|quote left open")]),
    ("a value of 200 kB", after_sound(f"b,2026-01-01,{'z' * 200_000},,"), [(2, "plan", "more than 100,000 bytes")]),
    ("a BOM", text(SOUND, "utf-8-sig"), []),
    ("no rows", text(HEADER + "\n"), []),
]
FILES: list[tuple[str, str, str, Write | None, str]] = [
    # what is wrong, name of the file, declared encoding, how it is written, the message
    ("no such file", "leads.csv", "utf-8", None, r"file leads\.csv: received no such file"),
    ("a folder", "leads.csv", "utf-8", lambda path: path.mkdir(), r"file leads\.csv: received a folder"),
    ("nothing in it", "leads.csv", "utf-8", text(""), r"leads\.csv: received an empty file"),
    ("a column missing", "leads.csv", "utf-8", text("id,created\n"), r"leads\.csv, header.*'closed'"),
    ("a name twice", "leads.csv", "utf-8", text(f"{HEADER},plan\n"), r"leads\.csv, header: received 'plan' more than"),
    ("another separator", "leads.csv", "utf-8", text(SOUND.replace(",", ";")), r"is the separator really"),
    ("cp932 as UTF-8", "leads.csv", "utf-8", text(JAPANESE, "cp932"), r'line 2, byte.*encoding = "cp932"'),
    ("latin-1 as UTF-8", "leads.csv", "utf-8", text(LATIN, "latin-1"), r'line 2, byte.*encoding = "cp1252"'),
    ("UTF-16 as UTF-8", "leads.csv", "utf-8", text(JAPANESE, "utf-16"), r'encoding = "utf-16"'),
    ("UTF-16 without BOM", "leads.csv", "utf-8", text(SOUND, "utf-16-le"), r'encoding = "utf-16-le"'),
    ("UTF-8 as cp932", "leads.csv", "cp932", text(JAPANESE), r'leads\.csv, encoding.*encoding = "utf-8"'),
    ("UTF-8 as latin-1", "leads.csv", "latin-1", text(LATIN), r'encoding = "utf-8"'),
    ("cp932 as latin-1", "leads.csv", "latin-1", text(JAPANESE, "cp932"), r'encoding = "cp932"'),
    ("latin-1 as cp932", "leads.csv", "cp932", text(LATIN, "latin-1"), r'encoding = "cp1252"'),
    ("a cell of 200 MB", "leads.csv", "utf-8", huge_cell, r"leads\.csv, after row .*a row of more than 16 MB"),
    ("a line without end", "leads.csv", "utf-8", endless_line, r"leads\.csv, first lines.*more than 1,048,576 char"),
    ("a gzip bomb", "leads.csv.gz", "utf-8", gzip_bomb, r"leads\.csv\.gz: received a compressed file.*unpack"),
    ("a gzip bomb called CSV", "leads.csv", "utf-8", gzip_bomb, r"leads\.csv: received a compressed file"),
    ("a workbook called CSV", "leads.csv", "utf-8", workbook,
     r"leads\.csv: received an Excel workbook.*save it as CSV"),
    ("Parquet called CSV", "leads.csv", "utf-8", parquet({}), r"leads\.csv: received a Parquet file"),
    ("CSV called Parquet", "leads.parquet", "utf-8", text(SOUND), r"leads\.parquet: .*expected a whole Parquet"),
    ("Parquet cut off", "leads.parquet", "utf-8", cut_off, r"leads\.parquet: .*expected a whole Parquet"),
    ("Parquet damaged inside", "leads.parquet", "utf-8", damaged_inside,
     r"leads\.parquet.*expected a whole Parquet"),
    ("nested Parquet", "leads.parquet", "utf-8", parquet({"plan": pa.array([{"a": 1}])}),
     r"column plan \(struct.*nested"),
    ("rows out of nothing", "leads.parquet", "utf-8", many_rows_in_few_bytes, r"2,000,000 rows in .* bytes"),
    ("texts out of nothing", "leads.parquet", "utf-8", one_long_text_in_every_row,
     r"column id, after row 0: .*of text"),
]  # fmt: skip
IN_MEMORY = 400 * MB
"""More than any of these may take beyond what stands already."""


@pytest.fixture(autouse=True)
def at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_NOW", NOW)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("begun")
    (place / "first.csv").write_text(f"{HEADER}\nfirst,2026-01-01,free,lost,2026-01-09\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LEADSCORE_NOW", NOW)
        assert imported(place, "first.csv") == 0
    return place


@pytest.fixture
def place(begun: Path, tmp_path: Path) -> Path:
    """A home that has one lead already, and a folder for files."""
    shutil.copytree(begun / "home", tmp_path / "home")
    return tmp_path


def imported(place: Path, name: str, encoding: str = "utf-8") -> int:
    (place / "mapping.toml").write_text(MAPPING.format(path=name, encoding=encoding))
    return run(["--home", str(place / "home"), "import", str(place / "mapping.toml")])


def stored(place: Path) -> dict[str, list[str]]:
    with Store.open(Home.at(place / "home")) as store:
        return {name: sorted(store.read(BY_NAME[name])["lead_id"].to_pylist()) for name in ("leads", "stage_changes")}


@pytest.mark.parametrize(("write", "rejections"), [c[1:] for c in ROWS], ids=[c[0] for c in ROWS])
def test_bad_rows_are_put_aside_and_good_ones_kept(
    place: Path, capsys: pytest.CaptureFixture[str], write: Write, rejections: list[tuple[int, str, str]]
) -> None:
    write(place / "leads.csv")
    assert imported(place, "leads.csv") == 0
    told = sorted((place / "home" / "imports").glob("*/rejected.csv"))
    if not rejections:
        assert told == []
    else:
        found = pd.read_csv(told[-1], keep_default_na=False, dtype={"value": str})
        assert set(found["file"]) == {"leads.csv"}
        for row, column, reason in rejections:
            hits = found[(found["row"] == row) & (found["column"] == column)]
            assert any(re.search(reason, text) for text in hits["reason"]), found
        # A whole line that cannot be split is nobody's column; every other rejection names one of the header.
        assert set(found["column"]) <= {*HEADER.split(","), ""}
        assert set(found[found["column"] == ""]["reason"].str.contains("fields where the header has")) <= {True}
        assert "rejected rows and reasons:" in capsys.readouterr().out
    there = stored(place)
    assert "first" in there["leads"]
    if rejections or (place / "leads.csv").stat().st_size > 60:
        assert "ok" in there["leads"]
        assert there["stage_changes"].count("ok") == 1


@pytest.mark.parametrize(("name", "encoding", "write", "message"), [c[1:] for c in FILES], ids=[c[0] for c in FILES])
def test_a_file_that_is_not_what_it_should_be_is_refused_in_words(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, encoding: str, write: Write | None, message: str
) -> None:
    if write is not None:
        write(place / name)
    before, standing = stored(place), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert imported(place, name, encoding) == 1
    said = re.sub(r"\s+", " ", capsys.readouterr().err).strip()
    assert said.startswith("refused: ")
    assert re.search(message, said), said
    assert stored(place) == before
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - standing) * 1024 < IN_MEMORY


@pytest.mark.parametrize("name", ["leads.csv", "leads.parquet", "leads"])
def test_data_where_a_mapping_belongs_is_told_how_to_write_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (parquet({}) if name.endswith("parquet") else text(SOUND))(tmp_path / name)
    assert run(["--home", str(tmp_path / "home"), "import", str(tmp_path / name)]) == 2
    assert f"leadscore mapping draft {tmp_path / name}" in re.sub(r"\s+", " ", capsys.readouterr().err)


def test_drafting_a_mapping_leaves_no_empty_home(tmp_path: Path) -> None:
    text(SOUND)(tmp_path / "leads.csv")
    assert run(["--home", str(tmp_path / "home"), "mapping", "draft", str(tmp_path / "leads.csv")]) == 0
    assert (tmp_path / "mapping.toml").is_file()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("write", [gzip_bomb, endless_line, workbook, text(""), lambda path: path.mkdir()])
def test_drafting_from_what_is_no_table_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Write
) -> None:
    write(tmp_path / "leads.csv")
    assert run(["--home", str(tmp_path / "home"), "mapping", "draft", str(tmp_path / "leads.csv")]) in (1, 2)
    assert "leads.csv" in capsys.readouterr().err
    assert not (tmp_path / "mapping.toml").exists()


@pytest.mark.parametrize(
    ("content", "encoding", "plan"),
    [
        (JAPANESE, "cp932", "東京の株式会社テスト"),
        (JAPANESE, "shift_jis", "東京の株式会社テスト"),
        (JAPANESE, "euc_jp", "東京の株式会社テスト"),
        (JAPANESE, "utf-16", "東京の株式会社テスト"),
        (JAPANESE, "utf-8", "東京の株式会社テスト"),
        (LATIN, "latin-1", "café à la crème brûlée"),
        (LATIN, "cp1252", "café à la crème brûlée"),
        (JAPANESE.replace("東京の株式会社テスト", "東京"), "cp932", "東京"),
        (JAPANESE.replace("東京の株式会社テスト", "ﾃｽﾄ ｶﾅ"), "cp932", "ﾃｽﾄ ｶﾅ"),
    ],
)
def test_an_encoding_rightly_declared_is_read(place: Path, content: str, encoding: str, plan: str) -> None:
    text(content, encoding)(place / "leads.csv")
    assert imported(place, "leads.csv", encoding) == 0
    with Store.open(Home.at(place / "home")) as store:
        told = store.read(BY_NAME["lead_attributes"], lead_ids=["b"])
    assert told["text"].to_pylist() == [plan]
