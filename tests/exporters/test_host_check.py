from http import HTTPStatus

import pytest

from exporters.host_check import guard_for

ELSEWHERE = HTTPStatus.MISDIRECTED_REQUEST
FORBIDDEN = HTTPStatus.FORBIDDEN
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
ANYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here


@pytest.mark.parametrize(
    ("listen", "host", "known"),
    [
        ("127.0.0.1", "127.0.0.1:15707", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost:15707", True),
        ("127.0.0.1", "LocalHost", True),
        ("127.0.0.1", "localhost.", True),
        ("127.0.0.1", "[::1]:15707", True),
        ("127.0.0.1", "[::1]", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example:15707", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "evil.example@localhost", False),
        ("127.0.0.1", "localhost:port", False),
        ("127.0.0.1", "[::1", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "192.168.1.5:15707", False),
        ("127.0.0.1", "box", False),
        ("192.168.1.5", "192.168.1.5:15707", True),
        ("192.168.1.5", "192.168.1.6:15707", False),
        ("192.168.1.5", "localhost", True),
        ("Box.LAN", "box.lan:15707", True),
        ("fd00::5", "[FD00::5]:15707", True),
        (ANYWHERE, "192.168.1.5:15707", True),
        (ANYWHERE, "[fd00::5]:15707", True),
        (ANYWHERE, "Box:15707", True),
        (ANYWHERE, "evil.example:15707", False),
        ("::", "192.168.1.5", True),
        ("", "192.168.1.5", True),
        ("", "evil.example", False),
    ],
)
def test_only_the_names_of_the_site_are_known(listen: str, host: str, known: bool) -> None:
    guard = guard_for(listen, machine="box")
    assert guard.refusal({"Host": host}) == (None if known else ELSEWHERE)


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({}, None),
        ({"Origin": "http://localhost:15707"}, None),
        ({"Sec-Fetch-Site": "none"}, None),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:15707"}, None),
        ({"Origin": "https://evil.example"}, FORBIDDEN),
        ({"Origin": "http://localhost:8080"}, FORBIDDEN),
        ({"Origin": "https://localhost:15707"}, None),
        ({"Origin": "http://[::1"}, FORBIDDEN),
        ({"Origin": "null"}, FORBIDDEN),
        ({"Origin": ""}, FORBIDDEN),
        ({"Sec-Fetch-Site": "cross-site"}, FORBIDDEN),
        ({"Sec-Fetch-Site": "same-site"}, FORBIDDEN),
        ({"Sec-Fetch-Site": "cross-site", **NAVIGATION}, None),
        ({"Sec-Fetch-Site": "cross-site", **NAVIGATION, "Sec-Fetch-Dest": "iframe"}, FORBIDDEN),
        ({"Sec-Fetch-Site": "cross-site", **NAVIGATION, "Sec-Fetch-Mode": "no-cors"}, FORBIDDEN),
        ({"Sec-Fetch-Site": "cross-site", **NAVIGATION, "Origin": "null"}, FORBIDDEN),
    ],
)
def test_what_another_site_asks_is_forbidden(
    headers: dict[str, str], refusal: HTTPStatus | None
) -> None:
    guard = guard_for("127.0.0.1", machine="box")
    assert guard.refusal({"Host": "localhost:15707", **headers}) == refusal


@pytest.mark.parametrize(
    ("hosts", "host", "known"),
    [
        (("host.docker.internal",), "host.docker.internal:15707", True),
        (("Host.Docker.Internal",), "host.docker.internal.", True),
        (("host.docker.internal",), "evil.example", False),
        (("*.svc.cluster.local",), "tracker.default.svc.cluster.local", True),
        (("*.svc.cluster.local",), "svc.cluster.local.evil.example", False),
        (("[fd00::7]",), "[fd00::7]:15707", True),
        (("*",), "anything.example", True),
        (("a", "b"), "localhost", True),
    ],
)
def test_the_settings_add_names_and_patterns(
    hosts: tuple[str, ...], host: str, known: bool
) -> None:
    assert guard_for("127.0.0.1", "box", hosts).knows(host) is known
