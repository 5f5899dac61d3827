"""No path leads out: on the wire as it is written, since a client would tidy it up. See also test_console_served.py."""

from __future__ import annotations

import pytest

from tests.security.house import ADMIN, House
from tests.security.lines import Answer, line_to

UP = (
    "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "..%252f..%252f..%252fetc%252fpasswd", "%252e%252e%252f%252e%252e%252fetc%252fpasswd", "/etc/passwd",
    "//etc/passwd", "%2fetc%2fpasswd", "..%5c..%5c..%5cetc%5cpasswd", "..\\..\\etc\\passwd", "main.js%00.jpg", "%00",
    "....//....//etc/passwd", "%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd", "..;/..;/etc/passwd", "main.js/../../keys.py",
    "file:///etc/passwd", "http://127.0.0.1/", "../api/keys.py", "..%2fapi%2fkeys.py", "%2e%2e%2f.env", "x" * 5000,
)  # fmt: skip
PREFIXES = (
    "/",
    "/console/",
    "/docs/",
    "/api/rollout/samples/",
    "/static/",
    "/console/../",
    "/api/rollout/../",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_path_leads_to_another_file(house: House, prefix: str) -> None:
    """Once as it is, once as a picture; with an admin's key. What leads nowhere is 404, whatever it looks like."""
    for end in UP:
        for path in (prefix + end, f"{prefix}{end}.jpg"):
            answer = asked(house, path)
            assert answer.status in {400, 404}, (path, answer)
            assert b"root:" not in answer.body
            assert b"import " not in answer.body
    assert asked(house, "/console/main.js").status == 200


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "yolo26/../rtdetr", "yolo26%00", "%2e%2e", "yolo26%2f1"]
)
def test_no_detector_is_a_path(house: House, name: str) -> None:
    """Its name becomes a model's, and that a part of an address."""
    answer = asked(house, f"/api/detect?detector={name}", method="POST", body=b"\xff\xd8\xff")
    assert answer.status in {400, 422}
    assert asked(house, f"/api/rollout/history?detector={name}").status == 422


def asked(house: House, path: str, method: str = "GET", body: bytes = b"") -> Answer:
    head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {ADMIN}\r\nContent-Length: {len(body)}\r\n\r\n"
    with line_to(house.backend.port) as line:
        line.say(head.encode() + body)
        answer = line.answer()
    assert answer is not None
    return answer
