"""Who may use the server: other machines with a token only."""

import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HEALTH = "/health"  # answered without a token, for programs that restart servers


def is_loopback(host: str | None) -> bool:
    """Return whether a host name or address is that of this machine, which no other machine reaches."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def token_problem(token: str) -> str:
    """Return why no request could bring a token in its header; empty if one can."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if not token.isprintable():
        return "has a line break or another character that no header can contain"
    return "" if token == token.strip() else "begins or ends with a space"


def guarded(app: ASGIApp, token: str | None) -> ASGIApp:
    """Return an application that refuses requests without the token.

    Without a token, it refuses those for another host than this machine: a page in a browser of this machine could
    otherwise send requests under a name of its own that leads here.
    """

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope, token) if scope["type"] == "http" else None
        await (refusal or app)(scope, receive, send)

    return guard


def _refusal(scope: Scope, token: str | None) -> JSONResponse | None:
    headers = Headers(scope=scope)
    if token is None:
        if is_loopback(_host(headers.get("host", ""))):
            return None
        return JSONResponse({"error": "the host of the address is not this machine; use http://127.0.0.1."}, 403)
    expected = f"Bearer {token}".encode()
    if scope["path"] == HEALTH or hmac.compare_digest(headers.get("authorization", "").encode("latin-1"), expected):
        return None
    sentence = "the token is missing or wrong; send the header Authorization: Bearer TOKEN."
    return JSONResponse({"error": sentence}, 401, {"WWW-Authenticate": "Bearer"})


def _host(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None
