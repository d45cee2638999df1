"""The real BentoML server, asked over HTTP."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer
from serving_server import ROOT, Server, start_server, wait_until, wait_until_ready
from serving_worlds import LEADS, NOW, NOW_TEXT, WON, World, deploy, make_policy, make_world

from data.errors import UsageError
from data.home import Home
from data.store.history import lead_history
from data.store.ledger import Ledger
from data.store.operational import Store
from data.tables import CONSENTS, MERGES, Table
from data.times import DAY, render_instant
from serving.answer import Asked, answer_lead
from serving.champion import champions
from serving.commands import app
from serving.contract import Refusal, ScoreAnswer
from serving.refusals import STATUSES

WHOLE: dict[str, Any] = {
    "lead": {
        "lead_id": "X-1",
        "created_at": "2026-05-01T10:00:00+09:00",
        "attributes": {"channel": "web", "budget": 1500},
        "account": {"attributes": {"industry": "製造業", "employee_band": "100–299"}},
        "touchpoints": [
            {"kind": "pricing_view", "occurred_at": "2026-05-28T10:00:00+09:00"},
            {"kind": "download", "occurred_at": "2026-05-30T10:00:00+09:00", "channel": "web"},
        ],
    }
}


def metric(server: Server, name: str, **labels: str) -> float:
    """One figure of /metrics; 0 where it is not there yet."""
    text = server.ask({}, path="/metrics", method="GET").body.decode()
    for line in text.splitlines():
        if line.startswith(name) and all(f'{key}="{value}"' in line for key, value in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def run_python(program: str, argument: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, argument], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120
    )


# Answers


def test_a_lead_sent_whole_is_answered_for_every_target(server: Server) -> None:
    answered = server.ask(WHOLE)
    assert answered.status == 200
    answer = ScoreAnswer.model_validate(answered.json)
    assert (answer.lead_id, answer.as_of) == ("X-1", render_instant(NOW))
    assert answered.headers["x-request-id"] == answer.request_id
    assert [t.target for t in answer.targets] == ["won", "sql"]
    for target in answer.targets:
        assert target.base + target.fit + target.behaviour == pytest.approx(target.margin, abs=1e-9)
        assert 1 <= len(target.reasons) <= 5


def test_all_reasons_add_up_to_fit_and_behaviour(server: Server) -> None:
    for target in server.ask({**WHOLE, "reasons": "all"}).json["targets"]:
        total = sum(reason["contribution"] for reason in target["reasons"])
        assert total == pytest.approx(target["fit"] + target["behaviour"], abs=1e-9)
        assert [reason["rank"] for reason in target["reasons"]] == list(range(1, len(target["reasons"]) + 1))


def test_a_lead_by_id_gets_what_its_history_says(server: Server, world: World) -> None:
    answer = server.ask({"lead_id": "L0005", "targets": ["won"]}).json
    with Store.open(world.home) as store:
        force = champions(store, world.home)["won"]
        expected, _ = answer_lead(force, lead_history(store, "L0005", as_of=NOW), Asked("x", NOW, NOW))
    assert answer["targets"] == [json.loads(expected.model_dump_json())]


def test_a_source_and_its_own_id_name_the_same_lead(server: Server) -> None:
    by_source, by_id = server.ask({"lead_id": "test:leads-5"}).json, server.ask({"lead_id": "L0005"}).json
    assert (by_source["lead_id"], by_source["targets"]) == ("L0005", by_id["targets"])


def test_sent_whole_or_by_id_the_same_history_gets_the_same_answer(server: Server, world: World) -> None:
    with Store.open(world.home) as store:
        history = lead_history(store, "L0005", as_of=NOW)
    at = render_instant
    assert history.account is not None
    account = {a.name: a.text for a in history.account.attributes}
    lead = {
        "created_at": at(history.recorded_at),
        "attributes": {a.name: a.text if a.text is not None else a.number for a in history.attributes},
        "account": {"attributes": account},
        "touchpoints": [
            {"kind": t.kind, "occurred_at": at(t.occurred_at), "recorded_at": at(t.recorded_at), "channel": t.channel}
            for t in history.touchpoints
        ],
        "stage_changes": [{"stage": s.stage, "occurred_at": at(s.occurred_at)} for s in history.stages],
    }
    whole = server.ask({"lead": lead, "targets": ["won"], "reasons": "all"}).json["targets"][0]
    stored = server.ask({"lead_id": "L0005", "targets": ["won"], "reasons": "all"}).json["targets"][0]
    differing = {"account_activity", "account_breadth", "decision_maker", "lead_age"}  # other leads are not sent
    ours = {r["code"]: r["text_ja"] for r in whole["reasons"] if r["code"] not in differing}
    theirs = {r["code"]: r["text_ja"] for r in stored["reasons"] if r["code"] not in differing}
    assert len(set(ours.items()) & set(theirs.items())) >= 0.8 * len(theirs)


def test_as_of_looks_back(server: Server, world: World) -> None:
    with Store.open(world.home) as store:
        born = lead_history(store, "L0005", as_of=NOW).recorded_at + 1
    by_word = server.ask({"lead_id": "L0005", "as_of": "creation"}).json
    by_time = server.ask({"lead_id": "L0005", "as_of": render_instant(born)}).json
    now = server.ask({"lead_id": "L0005"}).json
    assert by_word["as_of"] == render_instant(born)
    assert by_word["targets"] == by_time["targets"] != now["targets"]


@pytest.mark.parametrize(
    ("lead_id", "status"), [("L0001", "no_consent"), ("L0011", "scored"), ("L0012", "past_target")]
)
def test_leads_that_get_no_score_say_why(server: Server, lead_id: str, status: str) -> None:
    target = server.ask({"lead_id": lead_id, "targets": ["won"]}).json["targets"][0]
    assert target["status"] == status
    assert (target["margin"] is None) == (status != "scored")


def test_a_withdrawal_also_stops_looking_back(server: Server) -> None:
    answer = server.ask({"lead_id": "L0001", "as_of": "creation"}).json
    assert {t["status"] for t in answer["targets"]} == {"no_consent"}


def test_consent_sent_with_a_whole_lead_is_heard(server: Server) -> None:
    words = [{"purpose": "scoring", "granted": False, "occurred_at": "2026-05-02T00:00:00Z"}]
    answer = server.ask({"lead": {**WHOLE["lead"], "consents": words}}).json
    assert {t["status"] for t in answer["targets"]} == {"no_consent"}


LATER = itertools.count(NOW - DAY)


def say(world: World, table: Table, **row: object) -> None:
    """One more record, later than all said before, in the store of a server that runs."""
    at = next(LATER)
    empty = dict.fromkeys(table.arrow_schema().names)
    stamp = {"source": "test", "source_id": f"said at {at}", "occurred_at": at, "recorded_at": at}
    with Store.open(world.home) as store:
        store.append(table, pa.Table.from_pylist([{**empty, **stamp, **row}], table.arrow_schema()), now=NOW)


@pytest.mark.parametrize(
    "request_",
    [
        {"lead_id": "L0050"},
        {"lead_id": "test:leads-50"},
        {"lead": {**WHOLE["lead"], "lead_id": "L0050"}},
        {"lead": {**WHOLE["lead"], "lead_id": "test:leads-50"}},
    ],
)
def test_a_withdrawal_counts_from_the_next_question_on(server: Server, world: World, request_: dict) -> None:
    def statuses() -> set[str]:
        return {t["status"] for t in server.ask(request_).json["targets"]}

    assert "no_consent" not in statuses()
    say(world, CONSENTS, person_id="P50", purpose="scoring", granted=False)
    assert statuses() == {"no_consent"}
    say(world, CONSENTS, person_id="P50", purpose="scoring", granted=True)
    assert "no_consent" not in statuses()
    say(world, CONSENTS, person_id="P50", purpose="marketing", granted=False)
    assert "no_consent" not in statuses()


def test_a_merged_lead_is_answered_for_by_the_one_that_goes_on(server: Server, world: World) -> None:
    before = server.ask({"lead_id": "L0053"}).json
    say(world, MERGES, subject="lead", from_id="L0053", into_id="L0054", undone=False)
    asked, survivor = (server.ask({"lead_id": lead}).json for lead in ("L0053", "L0054"))
    assert (before["lead_id"], asked["lead_id"], survivor["lead_id"]) == ("L0053", "L0054", "L0054")
    assert asked["targets"] == survivor["targets"]
    # As of before the merge nothing has changed.
    earlier = render_instant(NOW - 2 * DAY)
    assert server.ask({"lead_id": "L0053", "as_of": earlier}).json["lead_id"] == "L0053"
    # Who stands behind the merged lead speaks for the survivor too.
    say(world, CONSENTS, person_id="P53", purpose="scoring", granted=False)
    assert {t["status"] for t in server.ask({"lead_id": "L0054"}).json["targets"]} == {"no_consent"}


# Refusals


@pytest.mark.parametrize(
    ("request_", "status", "code", "field"),
    [
        (b"{", 400, "invalid_json", None),
        (b"\xff\xfe", 400, "invalid_json", None),
        ({}, 422, "missing_field", "lead"),
        ({"lead_id": "L0005", "mail": "taro@example.jp"}, 422, "unknown_field", "mail"),
        ({"lead_id": "L0005", "targets": ["won", "sold"]}, 422, "unknown_target", "targets.1"),
        ({"lead_id": "L0005", "as_of": "2026-05-01T00:00:00"}, 422, "invalid_value", "as_of"),
        ({"lead_id": "L0005", "as_of": "2020-05-01T00:00:00Z"}, 422, "invalid_value", "as_of"),
        ({"lead": {"attributes": {"shoe_size": 27}}}, 422, "unknown_attribute", "lead.attributes.shoe_size"),
        ({"lead_id": "nobody"}, 404, "unknown_lead", "lead_id"),
        ({"lead_id": "no:body"}, 404, "unknown_lead", "lead_id"),
        ({"lead_id": "'; DROP TABLE leads; --"}, 404, "unknown_lead", "lead_id"),
        (b'{"lead_id": "' + b"x" * 1_100_000 + b'"}', 413, "body_too_large", None),
    ],
)
def test_bad_requests_get_one_shape(server: Server, request_: Any, status: int, code: str, field: str | None) -> None:
    answered = server.ask(request_)
    assert answered.status == status == STATUSES[code]
    refusal = Refusal.model_validate(answered.json)
    assert (refusal.code, refusal.field) == (code, field)
    assert answered.headers["x-request-id"] == refusal.request_id
    assert "Traceback" not in answered.body.decode()


@pytest.mark.parametrize(
    ("path", "method", "kind", "status", "code"),
    [
        ("/v1/score", "POST", "text/plain", 415, "unsupported_media_type"),
        ("/v1/score", "POST", "multipart/form-data; boundary=x", 415, "unsupported_media_type"),
        ("/v1/score", "POST", "application/vnd.bentoml+pickle", 415, "unsupported_media_type"),
        ("/v1/score", "GET", "application/json", 405, "method_not_allowed"),
        ("/v1/scores", "POST", "application/json", 404, "unknown_route"),
        ("/", "GET", "application/json", 404, "unknown_route"),
        ("/../../etc/passwd", "GET", "application/json", 404, "unknown_route"),
    ],
)
def test_wrong_addresses_and_kinds_get_the_same_shape(
    server: Server, path: str, method: str, kind: str, status: int, code: str
) -> None:
    answered = server.ask({"lead_id": "L0005"}, path=path, method=method, kind=kind)
    assert answered.status == status
    assert Refusal.model_validate(answered.json).code == code


def test_what_clients_send_is_not_in_the_log(server: Server) -> None:
    for request in (
        {"lead_id": "秘密のリード"},
        {"lead_id": "L0005", "mail": "secret@example.jp"},
        {"lead": {"name": "山田"}},
    ):
        assert server.ask(request).status >= 400
    assert not re.search("秘密|secret@|山田|L0005", server.log.read_text())


# Health and figures


def test_health_and_documents_answer(server: Server) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs.json"):
        answered = server.ask({}, path=path, method="GET")
        assert answered.status == 200
        assert answered.headers["x-content-type-options"] == "nosniff"
    assert "/v1/score" in server.ask({}, path="/docs.json", method="GET").json["paths"]


def test_metrics_count_answers_and_refusals(server: Server) -> None:
    answered = metric(server, "leadscore_score_seconds_count", given="whole")
    refused = metric(server, "leadscore_rejected_total", code="unknown_lead")
    server.ask(WHOLE)
    server.ask({"lead_id": "nobody"})
    assert metric(server, "leadscore_score_seconds_count", given="whole") == answered + 1
    assert metric(server, "leadscore_rejected_total", code="unknown_lead") == refused + 1
    grade = server.ask(WHOLE).json["targets"][0]["grade"]
    assert metric(server, "leadscore_scores_total", target="won", grade=grade) >= 1


def test_no_figure_is_kept_for_addresses_that_are_not_there(server: Server) -> None:
    server.ask({}, path="/no-such-address-a1b2c3", method="GET")
    assert "a1b2c3" not in server.ask({}, path="/metrics", method="GET").body.decode()


def test_every_answer_reaches_the_ledger(server: Server, world: World) -> None:
    answer = server.ask({"lead_id": "L0007"}).json
    with Ledger.open(world.home) as ledger:

        def kept() -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = ledger.read(lead_ids=["L0007"]).to_pylist()
            return [row for row in rows if row["request_id"] == answer["request_id"]]

        wait_until(lambda: len(kept()) == 2, "the answer in the ledger")
        rows = {row["target"]: row for row in kept()}
    for target in answer["targets"]:
        row = rows[target["target"]]
        for name in ("margin", "probability", "score", "grade", "threshold_met", "status"):
            assert row[name] == target[name]
        assert row["policy_id"] == target["policy_version"]
        assert row["channel"] == "online"


def test_the_bentoml_client_can_ask(server: Server) -> None:
    ask = (
        "import bentoml, json, sys\n"
        "with bentoml.SyncHTTPClient(sys.argv[1]) as client:\n"
        "    print(json.dumps(client.score({'lead_id': 'L0005'}), default=lambda m: m.model_dump()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, server.url], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["lead_id"] == "L0005"


def test_the_service_loads_none_of_the_heavy_rooms(world: World) -> None:
    look = (
        "import sys, time\n"
        "import serving.service as s\n"
        "s._prepare_process(); s.service.to_asgi()\n"
        "from serving.desk import Desk; from serving.settings import ServingSettings; from data.home import Home\n"
        "desk = Desk(Home.at(sys.argv[1]), ServingSettings()); desk.open()\n"
        "deadline = time.monotonic() + 60\n"
        "while not desk.is_ready and time.monotonic() < deadline: time.sleep(0.05)\n"
        "desk.answer_by_id(desk.read(b'{\"lead_id\": \"L0005\"}'), 'r', s.now())\n"
        "desk.close()\n"
        "print(' '.join(m for m in ('mlflow', 'evidently', 'shap', 'ibis', 'duckdb') if m in sys.modules) or 'none')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", look, str(world.home.path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["none"], done.stdout + done.stderr


# A server of its own: swaps and endings


@pytest.fixture(scope="module")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("own") / "home")


def test_a_new_deployment_takes_over_without_a_restart_and_a_bad_one_does_not(own_world: World, tmp_path: Path) -> None:
    home = own_world.home
    server = start_server(home.path, tmp_path / "server.log")
    try:
        wait_until_ready(server)
        before = server.ask(WHOLE).json["targets"][0]
        with Store.open(home) as store:
            second = deploy(store, home, WON, 21)
            wait_until(lambda: version(server) == second.model_version, "the new model", server.log)
            after = server.ask(WHOLE).json["targets"][0]
            assert after["margin"] != before["margin"]

            retuned = make_policy("won", threshold=0.01)
            store.save_policy(retuned.policy_id, "won", retuned.to_json(), now=NOW)
            store.deploy(
                type(second)(0, "won", "champion", second.bundle_hash, "22", retuned.policy_id, "retune", NOW, "t", "t")
            )
            policy = lambda: server.ask(WHOLE).json["targets"][0]["policy_version"]  # noqa: E731
            wait_until(lambda: policy() == retuned.policy_id, "the new policy", server.log)
            assert server.ask(WHOLE).json["targets"][0]["margin"] == after["margin"]

            broken = deploy(store, home, WON, 23)
            damaged = home.bundles / broken.bundle_hash / "linear.json"
            damaged.write_bytes(damaged.read_bytes().replace(b"0", b"1", 1))
        wait_until(lambda: metric(server, "leadscore_swaps_refused_total", target="won") > 0, "the refusal", server.log)
        assert version(server) == "22"
        assert server.ask({}, path="/readyz", method="GET").status == 200
        assert "is refused" in server.log.read_text()
        asked = [server.ask({"lead_id": f"L{n:04d}"}).json["request_id"] for n in range(2, 12)]
        assert server.stop() == 0
        with Ledger.open(home) as ledger:
            kept = set(ledger.read(columns=["request_id"])["request_id"].to_pylist())
        assert set(asked) <= kept
    finally:
        if server.process.poll() is None:
            server.process.kill()


def version(server: Server) -> str:
    return str(server.ask(WHOLE).json["targets"][0]["model_version"])


# The command's own refusals


def serve(home: Home, *arguments: object) -> None:
    root = typer.Typer()

    @root.callback()
    def enter(ctx: typer.Context) -> None:
        ctx.obj = home

    root.add_typer(app)
    root(args=["serve", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example"])
def test_other_addresses_than_this_machine_are_refused_without_open(tmp_path: Path, host: str) -> None:
    with pytest.raises(UsageError, match="--host"):
        serve(Home.at(tmp_path), "--host", host)


def test_a_port_in_use_is_said(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="free port"):
        serve(Home.at(tmp_path), "--open", "--port", server.url.rsplit(":", 1)[1])


def test_the_world_is_what_these_tests_take_it_for(world: World) -> None:
    with Store.open(world.home) as store:
        assert len(store.lead_ids()) == LEADS
    assert time.strptime(NOW_TEXT[:10], "%Y-%m-%d")
