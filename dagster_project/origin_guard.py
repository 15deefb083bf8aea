"""Requests that the UI refuses, because a page of another site can make an operator's browser send them.

The rule:

1. The `Host` is a name under which the UI was announced (Starlette's TrustedHostMiddleware): 400 otherwise.
2. `Sec-Fetch-Site` is `same-origin` or `none`, or the request opens a page in a tab (a link); and `Origin` is the
   address of the request itself or one that was announced: 403 otherwise, also for a WebSocket.
   Only browsers send these headers. A client that sends neither is not a browser and goes on working.
3. GET executes GraphQL queries only, no mutations, and nothing that is no GraphQL: 405 otherwise. It is what links and
   images send.
4. The body of any other request is JSON or GraphQL, if it has one: 415 otherwise. An HTML form can send neither.
"""

from graphql import GraphQLSyntaxError, OperationDefinitionNode, OperationType, parse
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost")
OWN_SITE = ("same-origin", "none")  # `same-site` is another port of this machine, or another subdomain
BODIES = ("", "application/json", "application/graphql")
READING = ("GET", "HEAD")


def guard(app: Starlette, announced: tuple[str, ...]) -> None:
    """Put the rule in front of `app`; `announced` are the proxy's names (`host` or `host:port`) besides loopback."""
    app.add_middleware(OriginGuard, announced=announced)
    hosts = [*LOOPBACK_NAMES, *(name.partition(":")[0] for name in announced)]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)


class OriginGuard:
    """ASGI middleware for points 2 to 4 of the rule."""

    def __init__(self, app: ASGIApp, announced: tuple[str, ...] = ()) -> None:
        self._app = app
        self._announced = announced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        await (refused or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if not (_is_own_site(scope, headers) and self._is_own_origin(headers)):
            return _refuse(
                403, "请求来自其他网站;经代理访问时,请用 --allowed-host 指明其名称 / the request comes from another "
                "site; behind a proxy, name it with --allowed-host",
            )  # fmt: skip
        if scope["type"] == "websocket":
            return None
        if scope["method"] in READING:
            queries = QueryParams(scope["query_string"]).getlist("query") if "graphql" in scope["path"] else []
            if not all(_only_reads(query) for query in queries):
                return _refuse(405, "GET 只能查询;请用 POST / GET only reads: send this by POST", Allow="POST")
        elif any(_media_type(each) not in BODIES for each in headers.getlist("content-type")):
            return _refuse(415, "请求正文须为 application/json / the body must be application/json")
        return None

    def _is_own_origin(self, headers: Headers) -> bool:
        own = [headers.get("host", "").lower(), *self._announced]  # the host that TrustedHostMiddleware has checked
        return all(
            origin.lower() in (f"{scheme}://{name}" for scheme in ("http", "https") for name in own)
            for origin in headers.getlist("origin")
        )


def _is_own_site(scope: Scope, headers: Headers) -> bool:
    opens_a_page = (
        scope["type"] == "http"
        and scope["method"] in READING
        and headers.getlist("sec-fetch-mode") == ["navigate"]
        and headers.getlist("sec-fetch-dest") == ["document"]
    )
    return opens_a_page or all(site in OWN_SITE for site in headers.getlist("sec-fetch-site"))


def _only_reads(query: str) -> bool:
    """Whether this is GraphQL and every operation a query.

    What cannot be parsed here does not count as reading: how deeply a text may be nested depends on the stack, and
    Dagster parses it again on another one.
    """
    try:
        definitions = parse(query).definitions
    except GraphQLSyntaxError:
        return False
    operations = [each for each in definitions if isinstance(each, OperationDefinitionNode)]
    return all(each.operation is OperationType.QUERY for each in operations)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _refuse(status: int, reason: str, **headers: str) -> PlainTextResponse:
    return PlainTextResponse(reason + "\n", status, headers)
