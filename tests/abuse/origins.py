"""Pages of others, proxies that are none, and names that point at us."""

from __future__ import annotations

from tests.abuse.attack import Target, attack
from tests.abuse.client import POLLING, ask, head, upgrade

HOST = "rt.example.com"

FOREIGN = [
    "https://evil.example",
    f"https://{HOST}.evil.example",
    f"https://evil{HOST}",
    f"https://{HOST}:444",
    f"http://{HOST}@evil.example",
    f"https://{HOST}%00.evil.example",
    "null",
    "file://",
    f"https://{HOST}, https://evil.example",
    f"{HOST}",
    "https://",
    f"https://{HOST.upper()}.",
    "*",
]


@attack(
    "F1",
    "WebSockets and polls of pages of other origins, by every trick of spelling",
    server={"origins": ["https://app.example.com"]},
)
def foreign_origins(target: Target) -> None:
    while not target.over():
        for origin in FOREIGN:
            for data in (
                upgrade("/socket.io/?EIO=4&transport=websocket", f"Origin: {origin}"),
                head("GET", POLLING, f"Origin: {origin}"),
                head("OPTIONS", POLLING, f"Origin: {origin}", "Access-Control-Request-Method: POST"),
            ):
                status = ask(target, data)
                target.seen[f"status {status}"] += 1
                target.check(status == 403, f"Origin {origin} was answered {status}")


@attack(
    "A5",
    "an X-Forwarded-For of one's own choice, where the peer is no trusted proxy",
    server={"connections_per_address": 20},
)
def forged_forwarding(target: Target) -> None:
    number = 0
    while not target.over():
        number += 1
        status = ask(
            target,
            head(
                "GET",
                POLLING,
                f"X-Forwarded-For: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                f"Forwarded: for=10.0.0.{number & 255}",
                f"X-Real-IP: 10.0.0.{number & 255}",
            ),
        )
        target.seen[f"status {status}"] += 1
    target.check(target.seen["status 200"] <= 40, f"{target.seen['status 200']} places by forged addresses")


@attack(
    "A15",
    "DNS rebinding: the admin listener under a name that is none of ours",
    server={"admin": ["127.0.0.2:0"]},
)
def rebinding(target: Target) -> None:
    assert target.admin is not None
    admin = Target(*target.admin, tokens=[], until=target.until)
    while not target.over():
        for path in ("/admin/status", "/admin/sessions", "/", "/metrics"):
            data = head("GET", path).replace(HOST.encode(), b"evil.example")
            status = ask(admin, data)
            target.seen[f"status {status}"] += 1
            target.check(status not in {0, 200}, f"{path} was answered {status} under another name")
