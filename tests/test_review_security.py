"""The review app under attack: foreign pages, names that point here, paths, sizes, markup, missing tokens."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("lancedb", reason="the extra [store] is not installed")
pytest.importorskip("fastapi", reason="the extra [review] is not installed")

from starlette.testclient import TestClient

from clipomaly.errors import ConfigError, OutputError
from clipomaly.review.security import CSRF_HEADER, MAX_BODY, Policy
from clipomaly.review.serve import ReviewOptions, serve
from clipomaly.store.decisions import Decisions, decisions_url
from clipomaly.vocabulary import load_vocabulary

from .review_store import client_of, make_store

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("attacked") / "store", 16)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with client_of(folder) as client:
        yield client


def first_id(client: TestClient) -> str:
    return client.get("/api/queue?limit=1").json()["ids"][0]


def written(folder: Path) -> int:
    return Decisions.open(decisions_url(folder)).count()


# --- whose name is it: DNS rebinding ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8470", True), ("localhost:8470", True), ("LOCALHOST", True), ("[::1]:8470", True),
        ("attacker.example", False), ("127.0.0.1.attacker.example", False), 
        ("localhost.attacker.example", False),
        ("attacker.example#@127.0.0.1", False), ("user@127.0.0.1", False), ("192.168.7.7", False),
        ("127.0.0.1/..", False), ("", False), ("[::1", False), ("127.0.0.1:port", False),
    ],
)  # fmt: skip
def test_only_our_own_names_are_answered(client: TestClient, host: str, good: bool) -> None:
    for path in ("/queue", "/api/session", "/static/style.css"):
        assert client.get(path, headers={"host": host}).status_code == (200 if good else 421)


def test_two_hosts_are_none(folder: Path) -> None:
    with client_of(folder) as client:
        answer = client.get("/queue", headers=[("host", "127.0.0.1"), ("host", "attacker.example")])
    assert answer.status_code == 421


def test_beyond_loopback_addresses_and_allowed_names() -> None:
    policy = Policy.make("0.0.0.0", names=["Review.Example"])
    assert policy.allows_host("192.168.7.7:8470")
    assert policy.allows_host("review.example")
    assert not policy.allows_host("attacker.example")


# --- foreign pages: CSRF ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/decisions", "/api/undo", "/api/taxonomy"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({CSRF_HEADER: ""}, 403),
        ({CSRF_HEADER: "guessed"}, 403),
        ({"origin": "http://attacker.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_foreign_page_writes_nothing(
    client: TestClient, folder: Path, path: str, headers: dict[str, str], status: int
) -> None:
    before = written(folder)
    body = {"who": "eve", "kind": "confirm", "findings": [first_id(client)], "name": "x"}
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == status
    assert written(folder) == before


def test_our_own_page_writes(client: TestClient, folder: Path) -> None:
    before = written(folder)
    headers = {"origin": "http://127.0.0.1:8470", "sec-fetch-site": "same-origin"}
    body = {"who": "ada", "kind": "confirm", "findings": [first_id(client)]}
    assert client.post("/api/decisions", json=body, headers=headers).status_code == 200
    assert written(folder) == before + 1


def test_nothing_writes_by_get_and_other_methods_are_unknown(client: TestClient, folder: Path) -> None:
    before = written(folder)
    for path in ("/api/decisions", "/api/undo"):
        assert client.get(path, params={"who": "eve", "kind": "confirm"}).status_code in (404, 405)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert client.request(method, "/api/taxonomy").status_code == 405
    assert written(folder) == before


def test_no_answer_is_readable_by_foreign_pages(client: TestClient) -> None:
    answer = client.get("/api/session", headers={"origin": "http://attacker.example"})
    assert not [h for h in answer.headers if h.startswith("access-control-")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


# --- paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["frame", "mask", "crop", "score"])
@pytest.mark.parametrize(
    "path",
    ["../../../../etc/passwd", "..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/etc/passwd",
     "%2Fetc%2Fpasswd", "..%5C..%5Cboot.ini", "x%00.jpg", "file:%2F%2F%2Fetc%2Fpasswd", "a'%20OR%20'1'='1",
     "%25s", "x" * 4000],
)  # fmt: skip
def test_pictures_are_named_by_ids_only(client: TestClient, kind: str, path: str) -> None:
    answer = client.get(f"/picture/{kind}/{path}")
    assert answer.status_code in (404, 422)
    assert b"root:" not in answer.content


@pytest.mark.parametrize(
    "path",
    ["../app.py", "..%2Fapp.py", "%2e%2e/security.py", "queue.html", "shell.html", "/etc/passwd", "x.js"],
)
def test_static_files_are_those_in_the_table(client: TestClient, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_a_quote_in_an_id_is_no_sql(client: TestClient) -> None:
    for value in ("x' OR 1=1 --", "x'); DROP TABLE decisions; --"):
        assert client.get(f"/api/findings/{value}").status_code in (404, 422)
        assert client.get("/api/queue", params={"camera": value, "run": value}).json()["total"] == 0


# --- sizes --------------------------------------------------------------------------------------------------


def test_a_body_beyond_the_limit_is_refused(client: TestClient, folder: Path) -> None:
    before = written(folder)
    big = b'{"who": "' + b"x" * MAX_BODY + b'"}'
    told = client.post("/api/decisions", content=big, headers={"content-type": "application/json"})
    assert told.status_code == 413

    def untold() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    answer = client.post("/api/decisions", content=untold(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    lies = client.post(
        "/api/decisions", content=b"{}", headers={"content-type": "application/json", "content-length": "-1"}
    )
    assert lies.status_code == 413
    assert written(folder) == before


def test_deep_or_broken_json_is_an_error_and_no_crash(client: TestClient) -> None:
    for content in (b"[" * 100_000, b'{"who": ', b"\xff\xfe", b"null", b"1e999", b'{"who": "\\ud800"}'):
        answer = client.post("/api/undo", content=content, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, (content[:20], answer.status_code)
    assert client.get("/api/session").status_code == 200


# --- markup in names ----------------------------------------------------------------------------------------


def test_stored_markup_stays_text(client: TestClient) -> None:
    first = first_id(client)
    body = {"who": EVIL[:60], "kind": "rename", "findings": [first], "name": EVIL, "comment": EVIL}
    assert client.post("/api/decisions", json=body).status_code == 200
    answer = client.get(f"/api/findings/{first}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["label"] == EVIL
    for page in ("/queue", "/grid", "/taxonomy", "/statistics"):
        html = client.get(page)
        assert "onerror" not in html.text, "pages hold no data: scripts put it there as text"
        policy = html.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    "name", ["\u202egnp.exe", "wheel\u200bchock", "l\u2028ine", "\ufeffdeer", "x\x85y", "a\x00"]
)
def test_names_of_characters_that_nobody_sees_are_refused(
    client: TestClient, folder: Path, name: str
) -> None:
    before, first = written(folder), first_id(client)
    for path, body in (
        ("decisions", {"who": "ada", "kind": "rename", "findings": [first], "name": name}),
        ("decisions", {"who": name, "kind": "confirm", "findings": [first]}),
        ("taxonomy", {"who": "ada", "kind": "merge", "name": "deer", "other": name}),
    ):
        answer = client.post(f"/api/{path}", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"].endswith(": it has characters that nobody can see")
    body = {"who": "ada", "kind": "rename", "findings": [first], "name": "x" * 121}
    assert client.post("/api/decisions", json=body).json()["error"] == "name: at most 120 characters"
    assert written(folder) == before


def test_names_cannot_write_into_the_exported_vocabulary(folder: Path, tmp_path: Path) -> None:
    names = ['a" = 1\\', 'n"]\\n[[known]]name="road', "x'''y", "#{}[]", "</script>", "می\u200cخواهم"]
    with client_of(folder) as client:
        ids = client.get("/api/queue?limit=16&status=open").json()["ids"]
        for finding, name in zip(ids, names, strict=False):
            body = {"who": "ada", "kind": "rename", "findings": [finding], "name": name}
            assert client.post("/api/decisions", json=body).status_code == 200
            body = {"who": "ada", "kind": "promote", "name": name, "force": True}
            assert client.post("/api/taxonomy", json=body).status_code == 200
        (tmp_path / "exported.toml").write_bytes(client.get("/api/taxonomy/export").content)
    known = [k.name for k in load_vocabulary(str(tmp_path / "exported.toml")).known]
    before = [k.name for k in load_vocabulary("cityscapes").known]
    assert sorted(known) == sorted([*before, *names])


@pytest.mark.parametrize(
    "query",
    [
        "until=9999-12-31",
        "since=0001-01-01",
        "min_score=1e308",
        "min_score=nan",
        "order=-score;drop",
        "limit=1e3",
        "offset=-1",
        "cluster=9" + "9" * 30,
        "condition=%3D",
        "status=open,evil",
        "name=%00",
        "text=%F0%28",
    ],
)
def test_filters_that_are_odd_are_answered(client: TestClient, query: str) -> None:
    for path in ("/api/queue", "/api/grid", "/api/live"):
        assert client.get(f"{path}?{query}").status_code < 500


def test_errors_of_visits_are_pages_and_what_was_asked_stays_text(client: TestClient, folder: Path) -> None:
    accept = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    gone = client.get("/<script>alert(1)</script>", headers=accept)
    assert gone.status_code == 404
    assert gone.headers["content-type"].startswith("text/html")
    assert "alert(1)" not in gone.text
    assert "There is no such page" in gone.text
    assert "script-src 'self'" in gone.headers["content-security-policy"]
    assert client.get("/api/nowhere", headers=accept).headers["content-type"] == "application/json"
    other = client.get("/queue", headers={**accept, "host": "attacker.example"})
    assert other.status_code == 421
    assert "--allow-host" in other.text
    assert "/queue" not in other.text.partition("<main")[2], "no way on for whoever is not let in"
    with client_of(folder, Policy.make("0.0.0.0")) as asked:
        answer = asked.get("/grid", headers=accept)
    assert answer.status_code == 401
    assert "open the address that the program printed" in answer.text


def test_an_exported_vocabulary_cannot_name_another_file(client: TestClient) -> None:
    given = client.get("/api/taxonomy/export").headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[a-z0-9_-]+-v\d+\.toml"', given)


@pytest.mark.parametrize(
    "path",
    ["/queue", "/api/session", "/api/findings/none", "/nowhere", "/static/style.css", "/picture/mask/x"],
)
def test_every_answer_bears_the_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


# --- tokens -------------------------------------------------------------------------------------------------


def test_loopback_is_the_default_and_other_addresses_have_a_token() -> None:
    assert ReviewOptions("x").host == "127.0.0.1"
    assert Policy.make("127.0.0.1").token is None
    made = {Policy.make(host).token for host in ("0.0.0.0", "192.168.7.7", "::", "review.example")}
    assert len(made) == 4
    assert all(t is not None and len(t) >= 32 for t in made)
    with pytest.raises(ConfigError, match="at least 16"):
        Policy.make("0.0.0.0", "short")


def test_without_the_token_nothing_is_told(folder: Path) -> None:
    policy = Policy.make("0.0.0.0")
    with client_of(folder, policy) as client:
        for path in (
            "/",
            "/queue",
            "/api/session",
            "/api/queue",
            "/static/queue.js",
            "/picture/mask/x",
            "/none",
        ):
            for given in ("", "?token=", "?token=wrong", f"?token={policy.session}"):
                answer = client.get(path + given, follow_redirects=False)
                assert answer.status_code == 401, path
                assert policy.secret not in answer.text
        before = written(folder)
        body = {"who": "eve", "kind": "confirm", "findings": ["x"]}
        assert client.post("/api/decisions", json=body).status_code == 401
        assert client.get("/queue", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/queue", headers={"cookie": "clipomaly-session=wrong"}).status_code == 401
        assert client.get("/queue", headers={"authorization": f"Bearer {policy.token}"}).status_code == 200
        assert written(folder) == before


def test_the_token_becomes_a_cookie_and_leaves_the_address(folder: Path) -> None:
    policy = Policy.make("0.0.0.0", "a-token-of-mine-1234")
    with client_of(folder, policy) as client:
        answer = client.get("/grid?name=a%26b&token=a-token-of-mine-1234", follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/grid?name=a%26b"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "a-token-of-mine" not in cookie
        assert client.get("/grid").status_code == 200, "the cookie is enough from now on"
        away = client.get("//attacker.example/x?token=a-token-of-mine-1234", follow_redirects=False)
        assert not away.headers.get("location", "/").startswith("//")


def test_a_port_in_use_and_a_lone_certificate_are_said(folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = ReviewOptions(str(folder), port=taken.getsockname()[1])
        with pytest.raises(OutputError, match="choose another --port"):
            serve(options, lambda _: None)
    with pytest.raises(ConfigError, match="belong together"):
        serve(ReviewOptions(str(folder), certificate=tmp_path / "c.pem"), lambda _: None)
