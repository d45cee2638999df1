"""What cannot be used: rows put aside with their place and reason, files refused before anything is stored."""

from __future__ import annotations

import re

import pytest

from data.errors import DataRefused

BODY = """
[[files]]
path = "leads.csv"
[files.lead]
id = "id"
created = "created"
[files.columns]
seats = { type = "number" }
[[files.stages]]
stage = { column = "status", words = { "won" = "won", "Lost!" = "lost" } }
at = "closed"
"""
PREFIXED = """
source = "crm"
id_prefix = "c-"
[company]
timezone = "UTC"
[targets.won]
stage = "won"
horizon = "90d"
"""
CP932 = ('path = "leads.csv"', 'path = "leads.csv"\nencoding = "cp932"')
SOUND = "id,created,seats,status,closed\nok,2026-01-01,3,won,2026-02-01\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("b,32.13.2026,3,won,2026-02-01", [("created", "32.13.2026", "not a date such as")]),
        (",2026-01-01,3,won,2026-02-01", [("id", "", "no lead id")]),
        ("b,,3,won,2026-02-01", [("created", "", "no occurred at")]),
        ("b,2026-01-01,many,won,2026-02-01", [("seats", "many", "not a number such as")]),
        ("b,2026-01-01,3,closed won,2026-02-01", [("status", "closed won", "unknown stage; translate it")]),
        ("b,2026-01-01,3,won,soon", [("closed", "soon", "not a date")]),
        ("b,2026-01-01,3,won,", [("closed", "", "no occurred at")]),
        ("b,2026-01-01,3,won,2025-12-31", [("closed", "2025-12-31T00:00:00+00:00", "before the lead was created")]),
        ("b,2026-12-01,3,,", [("created", "2026-12-01T00:00:00+00:00", "a time after this import")]),
        ("b,2026-01-01,3,,2026-02-01", [("status", "", "no stage")]),
        ("b,2026-01-01,3,won,2027-01-01", [("closed", "2027-01-01T00:00:00+00:00", "a time after this import")]),
        ("ok,2026-01-05,4,won,2026-02-05", [("id", "ok", "the same lead id again with other content")]),
        ("b,2026-01-01,3,won,2026-02-01,extra", [("", "", "6 fields where the header has 5")]),
        ("b,2026-01-01", [("", "", "2 fields where the header has 5")]),
    ],
)  # fmt: skip
def test_a_bad_row_is_put_aside_with_its_place_and_reason(desk, line: str, expected: list) -> None:
    desk.write("leads.csv", SOUND + line + "\n")
    desk.load(BODY)
    told = desk.rejected()
    assert {(file, row) for file, row, *_ in told} == {("leads.csv", 2)}
    assert sorted((c, v) for _, _, c, v, _ in told) == sorted((c, v) for c, v, _ in expected)
    for _, _, column, value, reason in told:
        assert any(c == column and v == value and reason.startswith(said) for c, v, said in expected), reason
    assert "ok" in desk.rows("leads")["lead_id"].tolist()
    assert desk.rows("stage_changes").query("lead_id == 'ok'")["stage"].tolist() == ["won"]


def test_times_no_calendar_knows_are_put_aside_and_the_rest_is_loaded(desk) -> None:
    """Milliseconds declared as seconds lie in the year 58,000; digits enough and the product would overflow."""
    body = BODY.replace('created = "created"', 'created = { column = "created", format = "epoch_s" }')
    desk.write(
        "leads.csv",
        "id,created,seats,status,closed\nok,1767225600,3,,\nms,1767225600000,3,,\nhuge,99999999999999999,3,,\n",
    )
    desk.load(body)
    told = [(row, column, value) for _, row, column, value, _ in desk.rejected() if column == "created"]
    assert told == [(2, "created", "1767225600000"), (3, "created", "99999999999999999")]
    assert desk.rows("leads")["lead_id"].tolist() == ["ok"]


def test_a_change_at_the_edge_of_the_calendar_is_put_aside(desk) -> None:
    """The first midnight of the calendar in Tokyo lies before it in UTC."""
    desk.write("leads.csv", SOUND + "b,2026-01-01,3,won,0001-01-01\n")
    desk.load(BODY, PREFIXED.replace("UTC", "Asia/Tokyo").replace('id_prefix = "c-"', ""))
    assert {(row, column) for _, row, column, _, _ in desk.rejected()} == {(2, "closed")}


def test_the_same_row_twice_is_no_mistake(desk) -> None:
    desk.write("leads.csv", SOUND + SOUND.splitlines()[1] + "\n")
    desk.load(BODY)
    assert desk.rejected() == []
    assert [len(desk.rows(t)) for t in ("leads", "stage_changes", "lead_attributes")] == [1, 1, 1]


def test_a_lead_won_before_it_was_registered_may_count_from_its_creation(desk) -> None:
    desk.write("leads.csv", "id,created,seats,status,closed\na,2026-01-10,1,won,2026-01-01\n")
    desk.load(BODY + 'before_creation = "at_creation"\n')
    lead, stage = desk.rows("leads").iloc[0], desk.rows("stage_changes").iloc[0]
    assert stage["occurred_at"] == stage["recorded_at"] == lead["occurred_at"]


def test_touchpoints_of_nobody_and_of_unknown_kind(desk) -> None:
    desk.write("leads.csv", SOUND)
    desk.write(
        "t.csv",
        "who,at,what,by\nok,2026-01-02,page_view,lead\nx,2026-01-02,call,lead\nok,2026-01-02,fax,lead\nok,2026-01-02,call,dog\n",
    )
    desk.load(
        BODY
        + '[[files]]\npath = "t.csv"\n[[files.touchpoints]]\nlead = "who"\nat = "at"\nkind = "what"\nactor = "by"\n'
    )
    assert sorted((row, column, value, reason[:13]) for _, row, column, value, reason in desk.rejected()) == [
        (2, "who", "x", "no such lead "),
        (3, "what", "fax", "unknown kind;"),
        (4, "by", "dog", "unknown actor"),
    ]
    assert desk.rows("touchpoints")["kind"].tolist() == ["page_view"]


def test_one_id_with_two_contents(desk) -> None:
    desk.write("leads.csv", SOUND)
    desk.write("t.csv", "n,who,at\n1,ok,2026-01-02\n1,ok,2026-01-03\n1,ok,2026-01-02\n")
    body = '[[files]]\npath = "t.csv"\n[[files.touchpoints]]\nid = "n"\nlead = "who"\nat = "at"\n'
    body += 'kind = { value = "call" }\n'
    desk.load(BODY + body)
    assert [(row, column, value, reason[:26]) for _, row, column, value, reason in desk.rejected()] == [
        (2, "n", "1", "the same record again with")
    ]


def test_a_rejection_speaks_as_its_file_does(desk) -> None:
    """Two files of one table, each by its own column names, time zone and spelling of ids."""
    desk.write("leads.csv", SOUND)
    desk.write("tokyo.csv", "n,who,いつ\n1,ok,2026-06-03 09:00\n2,nobody,2026-03-01\n")
    desk.write("utc.csv", "key,lead,when\n1,ok,2026-06-03T09:00Z\n3,noone,2026-03-01\n")
    body = '[[files]]\npath = "tokyo.csv"\ntimezone = "Asia/Tokyo"\n[[files.touchpoints]]\nid = "n"\nlead = "who"\n'
    body += 'at = "いつ"\nkind = { value = "call" }\n[[files]]\npath = "utc.csv"\n[[files.touchpoints]]\nid = "key"\n'
    body += 'lead = "lead"\nat = "when"\nkind = { value = "call" }\n'
    desk.load(BODY + body, head=PREFIXED)
    assert sorted(told[:4] for told in desk.rejected()) == [
        ("tokyo.csv", 1, "いつ", "2026-06-03T09:00:00+09:00"),
        ("tokyo.csv", 2, "who", "nobody"),
        ("utc.csv", 1, "when", "2026-06-03T09:00:00+00:00"),
        ("utc.csv", 2, "lead", "noone"),
    ]


def test_a_value_told_twice_and_a_time_that_no_column_holds(desk) -> None:
    """What contradicts is the value; a time worked out from creation stands in no column."""
    desk.write("leads.csv", "id,created,status\nok,2026-01-01,\nnew,2026-05-20,lost\n")
    desk.write("more.csv", "lead,seats,since\nok,3,2026-01-05\nok,4,2026-01-06\n")
    desk.load(
        BODY.split("[files.columns]", maxsplit=1)[0]
        + '[[files.stages]]\nstage = { column = "status", words = { lost = "lost" } }\nknown_after = "30d"\n'
        + '[[files]]\npath = "more.csv"\n[files.join]\nlead = "lead"\n[files.columns]\nseats = { type = "number" }\n'
        + 'since = { type = "date" }\n'
    )
    assert sorted(told[:4] for told in desk.rejected()) == [
        ("leads.csv", 2, "", "2026-06-18T23:59:59.999999+00:00"),
        ("more.csv", 2, "seats", "4"),
        ("more.csv", 2, "since", "2026-01-06T00:00:00+00:00"),
    ]


def test_contact_data_are_masked_among_the_rejected(desk) -> None:
    desk.write(
        "leads.csv",
        "id,created,seats\na,2026-01-01,wada@seiran.co.jp\nb,2026-01-01,+81 3 0442 5373\n=1+2,2026-13-01,3\n",
    )
    desk.load(BODY.split("[[files.stages]]", maxsplit=1)[0])
    assert sorted(value for *_, value, _ in desk.rejected()) == ["2026-13-01", "•••", "•••"]
    text = desk.results[-1].rejected_file.read_text(encoding="utf-8")
    assert "wada" not in text
    assert "0442" not in text


@pytest.mark.parametrize(
    ("content", "encoding", "change", "said"),
    [
        ("", "utf-8", None, "leads.csv: received an empty file; expected a header line"),
        ("id,created\na,1\n", "utf-8", None, r"received 'id', 'created'; expected also 'closed', 'seats', 'status'"),
        ("id;created;seats;status;closed\n", "utf-8", None, r"is the separator really ','\?"),
        ("id,created,seats,status,closed,id\n", "utf-8", None, "'id' more than once"),
        ("id,created,seats,status,closed\n山,2026-01-01,3,won,\n", "cp932", None, 'line 2, byte .* encoding = "cp932"'),
        ("id,created,seats,status,closed\n山,2026-01-01,3,won,\n", "utf-8", CP932, 'valid UTF-8.*encoding = "utf-8"'),
        ("id,created,seats,status,closed\n", "utf-16", None, 'encoding = "utf-16"'),
        (SOUND, "utf-8", ("leads.csv", "none.csv"), "file none.csv: received no such file.*--data DIR"),
        (SOUND, "utf-8", ('id = "id"', 'id = "ID"'), r"expected also 'ID'"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_as_declared_is_refused_whole(desk, content, encoding, change, said) -> None:
    desk.write("leads.csv", content, encoding)
    with pytest.raises(DataRefused) as refusal:
        desk.load(BODY.replace(*change) if change else BODY)
    assert re.search(said, str(refusal.value), re.S), str(refusal.value)
    assert len(desk.rows("leads")) == 0


@pytest.mark.parametrize(
    ("rest", "said"),
    [('"' + "z,\n" * 200_000, "is a quote left open?"), ("a\x00b\n", "a NUL character")],
)
def test_a_value_that_no_store_should_hold(desk, rest: str, said: str) -> None:
    desk.write("leads.csv", f"id,created,plan\na,2026-01-01,pro\nb,2026-01-01,{rest}")
    desk.load(BODY.split("[files.columns]", maxsplit=1)[0] + '[files.columns]\nplan = { type = "category" }\n')
    assert [(row, column) for _, row, column, _, reason in desk.rejected() if said in reason] == [(2, "plan")]
    assert desk.attribute("a", "plan") == ["pro"]
    assert desk.attribute("b", "plan") == []


def test_a_row_too_large_to_be_one_is_refused(desk) -> None:
    desk.write("leads.csv", "id,created,plan\na,2026-01-01," + "z" * (40 << 20) + "\nb,2026-01-01,pro\n")
    with pytest.raises(DataRefused, match="a row of more than 16 MB"):
        desk.load(BODY.split("[files.columns]", maxsplit=1)[0])


def test_a_compressed_file_is_refused(desk) -> None:
    (desk.folder / "leads.csv").write_bytes(b"\x1f\x8b\x08\x00rest")
    with pytest.raises(DataRefused, match=r"compressed.*unpack"):
        desk.load(BODY)


def test_a_file_that_breaks_off_its_encoding_far_down_stores_nothing(desk) -> None:
    rows = "".join(f"{n},2026-01-01,3,won,2026-02-01\n" for n in range(200_000))
    (desk.folder / "leads.csv").write_bytes((SOUND + rows).encode() + "山,2026-01-01,3,won,\n".encode("cp932"))
    with pytest.raises(DataRefused, match=r"leads.csv, after row"):
        desk.load(BODY)
    assert len(desk.rows("leads")) == 0


def test_a_header_without_rows_is_an_import_of_nothing(desk) -> None:
    desk.write("leads.csv", SOUND.splitlines()[0] + "\n")
    result = desk.load(BODY)
    assert result.rows_read == {"leads.csv": 0}
    assert not result.changed


def test_quoted_newlines_do_not_shift_row_numbers(desk) -> None:
    desk.write(
        "leads.csv", 'id,created,seats,status,closed\n"a\nb",2026-01-01,3,won,2026-02-01\nc,no,3,won,2026-02-01\n'
    )
    desk.load(BODY)
    assert [(row, value) for _, row, _, value, _ in desk.rejected()] == [(2, "no")]
