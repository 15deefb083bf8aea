"""Which requests reach Dagster's app: the whole rule, request by request."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dagster_project.origin_guard import guard

HOST = "127.0.0.1:3000"
PROXY = "hotline.example.org"
MUTATION = "mutation { setNuxSeen }"


def url(host: str, scheme: str = "http") -> str:
    return f"{scheme}://{host}"


async def _page(_request: object) -> PlainTextResponse:
    return PlainTextResponse("reached")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def app(*announced: str) -> Starlette:
    routes = [Route("/{path:path}", _page, methods=["GET", "POST", "PUT"]), WebSocketRoute("/graphql", _socket)]
    guarded = Starlette(routes=routes)
    guard(guarded, announced)
    return guarded


def asked(
    method: str, path: str, headers: list[tuple[str, str]], *announced: str, scope_type: str = "http"
) -> int | str:
    """The status of the answer; of a WebSocket that is opened, its first message."""
    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": scope_type, "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 3000), "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"} if scope_type == "websocket" else {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(*announced)(scope, receive, send))
    return sent[0].get("status", sent[0]["type"])


def get(*headers: tuple[str, str], host: str = HOST, path: str = "/", announced: tuple[str, ...] = ()) -> int | str:
    return asked("GET", path, [("Host", host), *headers], *announced)


def post(*headers: tuple[str, str], host: str = HOST, announced: tuple[str, ...] = ()) -> int | str:
    return asked("POST", "/graphql", [("Host", host), *headers], *announced)


JSON = ("Content-Type", "application/json")


def test_a_client_that_is_no_browser_goes_on_working() -> None:
    assert get() == 200
    assert get(path="/graphql?query=" + quote("{ version }")) == 200
    assert post(JSON) == 200
    assert post(("Content-Type", "application/json; charset=utf-8")) == 200
    assert post(("Content-Type", "application/graphql")) == 200
    assert post() == 200  # no body: the query may be in the URL
    assert asked("GET", "/graphql", [("Host", HOST)], scope_type="websocket") == "websocket.accept"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:3000", "127.0.0.1:8080", "LOCALHOST:3000"])
def test_the_announced_address_is_served_at_any_port(host: str) -> None:
    assert get(host=host) == 200
    assert post(JSON, ("Origin", url(host)), ("Sec-Fetch-Site", "same-origin"), host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:3000", "localhost.", "127.0.0.1.", "127.0.0.1.evil.example",
     "localhost.evil.example", "evil.localhost",
     "[::1]:3000", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.0.0.2", "2130706433", "127.1",
     "0x7f.0.0.1", "127.0.0.1:3000@evil.example", "user@127.0.0.1", "127.0.0.1:3000.evil.example", "127.0.0.1:x",
     "127.0.0.1, evil.example", "www.localhost", "", " ", PROXY, f"{PROXY}.evil.example"],
)  # fmt: skip
def test_another_host_is_refused(host: str) -> None:
    assert get(host=host) == 400
    assert post(JSON, host=host) == 400
    assert asked("GET", "/graphql", [("Host", host)], scope_type="websocket") == 400


def test_no_host_or_a_second_one_is_refused() -> None:
    assert asked("GET", "/", []) == 400
    evil = [("Host", HOST), ("Host", "evil.example"), ("Origin", url("evil.example")), JSON]
    assert asked("POST", "/graphql", evil) == 403
    assert asked("POST", "/graphql", [*reversed(evil)]) == 400


ELSEWHERE = [
    "evil.example", "127.0.0.1:8000", "127.0.0.1", "localhost:3000", "127.0.0.1:3000.evil.example", "127.0.0.1.:3000",
    "@".join(["127.0.0.1:3000", "evil.example"]), "evil.example/127.0.0.1:3000", "[::1]:3000", PROXY,
]  # fmt: skip


@pytest.mark.parametrize(
    "origin",
    ["null", "", "file://", "chrome-extension://127.0.0.1:3000", "127.0.0.1:3000",
     *(url(each, scheme) for each in ELSEWHERE for scheme in ("http", "https"))],
)  # fmt: skip
def test_another_origin_is_refused(origin: str) -> None:
    assert post(JSON, ("Origin", origin)) == 403
    assert get(("Origin", origin)) == 403
    assert post(JSON, ("Origin", origin), ("Sec-Fetch-Site", "same-origin")) == 403
    assert post(JSON, ("Origin", url(HOST)), ("Origin", origin)) == 403
    opened = asked("GET", "/graphql", [("Host", HOST), ("Origin", origin)], scope_type="websocket")
    assert opened == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, cross-site", "x"])
def test_another_site_is_refused(site: str) -> None:
    assert post(JSON, ("Sec-Fetch-Site", site)) == 403
    assert get(("Sec-Fetch-Site", site)) == 403
    for dest in ("image", "iframe", "object", "embed", "script"):
        assert get(("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", dest)) == 403
    opened = asked("GET", "/graphql", [("Host", HOST), ("Sec-Fetch-Site", site)], scope_type="websocket")
    assert opened == 403


LINK = (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"))


def test_a_link_from_elsewhere_opens_a_page_and_posts_nothing() -> None:
    assert get(*LINK, path="/runs/some-run") == 200
    assert post(*LINK, JSON) == 403
    assert get(*LINK, path="/graphql?query=" + quote(MUTATION)) == 405
    assert asked("GET", "/graphql", [("Host", HOST), *LINK], scope_type="websocket") == 403


@pytest.mark.parametrize(
    "query",
    [MUTATION, "mutation A { setNuxSeen } query B { version }", "query B { version } mutation A { setNuxSeen }",
     "# a comment\nmutation { setNuxSeen }", "\ufeff mutation{a:setNuxSeen}", ",,, mutation { setNuxSeen }",
     "fragment f on Query { version } mutation { setNuxSeen }", "mutation ($a: String) @skip(if: true) { setNuxSeen }",
     "subscription { locationStateChangeEvents { __typename } }", "{a" * 20_000,
     "mutation { setNuxSeen", "mutation { a " + "{a" * 900 + "}" * 901],
)  # fmt: skip
def test_get_only_reads(query: str) -> None:
    written = quote(query)
    for path in (
        f"/graphql?query={written}",
        f"/graphql/?query={written}",
        f"//graphql?query={written}",
        f"/graphql?operationName=B&query={written}&variables=%7B%7D&extensions=%7B%7D",
        f"/graphql?query=%7Bversion%7D&query={written}",
        f"/graphql?query={written}&query=%7Bversion%7D",
        f"/graphql?%71uery={written}",
    ):
        for method in ("GET", "HEAD"):
            assert asked(method, path, [("Host", HOST)]) == 405, (method, path[:80])
    accepted = asked("GET", f"/graphql?query={written}", [("Host", HOST), ("Accept", "text/html"), JSON])
    assert accepted == 405


def test_a_search_of_a_page_is_no_mutation() -> None:
    assert get(path="/assets?query=mutation") == 200
    assert get(path="/assets?query=") == 200


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/plain;charset=UTF-8", "text/plain; application/json", "application/x-www-form-urlencoded",
     "multipart/form-data; boundary=application/json", "multipart/form-data", "text/html", "application/jsonx",
     "application/x-www-form-urlencoded; application/graphql", "TEXT/PLAIN; a=application/json"],
)  # fmt: skip
def test_what_a_form_can_send_is_refused(content_type: str) -> None:
    assert post(("Content-Type", content_type)) == 415
    assert post(JSON, ("Content-Type", content_type)) == 415
    assert asked("PUT", "/report_asset_check/x", [("Host", HOST), ("Content-Type", content_type)]) == 415


def test_the_name_of_the_proxy_is_served_where_it_was_announced() -> None:
    for announced in (PROXY, f"{PROXY}:8443"):
        own = ("Origin", url(announced, "https"))
        assert get(host=PROXY, announced=(announced,)) == 200
        assert post(JSON, own, host=announced, announced=(announced,)) == 200
        assert post(JSON, own, announced=(announced,)) == 200  # the proxy does not pass the host on
        assert get(host="evil.example", announced=(announced,)) == 400
        assert post(JSON, ("Origin", url("evil.example", "https")), host=PROXY, announced=(announced,)) == 403
        assert post(JSON, ("Origin", url(f"{PROXY}:9000", "https")), host=PROXY, announced=(announced,)) == 403
        assert get(announced=(announced,)) == 200
