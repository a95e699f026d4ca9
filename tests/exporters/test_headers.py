from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import choose_encoder

from exporters.headers import OPENMETRICS, TEXT, accepts_gzip, content_type, host_check_for

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
    check = host_check_for(listen, machine="box")
    assert check.refusal({"Host": host}) == (None if known else ELSEWHERE)


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
    check = host_check_for("127.0.0.1", machine="box")
    assert check.refusal({"Host": "localhost:15707", **headers}) == refusal


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
    assert host_check_for("127.0.0.1", "box", hosts).knows(host) is known


PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_53 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_5 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_2_53, OPENMETRICS),
        (PROMETHEUS_3_5, OPENMETRICS),
        (FIREFOX, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("application/*", TEXT),
        ("application/json", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS),
        # a version that we do not speak is not answered with one that we do, under a false name
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=99.1.0,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;version=", OPENMETRICS),
        ("application/openmetrics-text;version", OPENMETRICS),
        # the client's preference counts
        ("application/openmetrics-text;q=0,text/plain", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0.9,text/plain;q=0.2", OPENMETRICS),
        ("text/plain;q=0.2,application/openmetrics-text;version=1.0.0;q=0.9", OPENMETRICS),
        ("application/openmetrics-text;q=0.5,*/*;q=0.8", TEXT),
        ("application/openmetrics-text;q=0.5,text/*;q=0.8", TEXT),
        ("application/openmetrics-text;q=0.5,text/plain;q=0,*/*;q=0.8", OPENMETRICS),
        # what cannot be read counts as not wanted
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=inf", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=high", TEXT),
        (",;=;,,q=1;", TEXT),
    ],
)
def test_the_form_of_the_page_is_one_that_the_client_reads(accept: str, expected: str) -> None:
    assert content_type(accept) == expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("gzip", True),
        ("gzip, deflate", True),
        ("deflate, gzip;q=0.5", True),
        ("GZIP", True),
        ("*", True),
        ("", False),
        ("deflate", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=rubbish", False),
    ],
)
def test_the_page_is_compressed_only_for_those_who_accept_gzip(
    accept_encoding: str, expected: bool
) -> None:
    assert accepts_gzip(accept_encoding) is expected


@given(st.text(alphabet=st.sampled_from('aqv=;,/*."01 \t\\é')))
def test_no_header_raises(header: str) -> None:
    assert content_type(header) in (TEXT, OPENMETRICS)
    assert accepts_gzip(header) in (True, False)


def test_the_library_alone_would_answer_wrong() -> None:
    """Once this fails, our own negotiation can go."""
    _, answered = choose_encoder("application/openmetrics-text;version=9.0.0;q=0,text/plain")
    assert "version=9.0.0" in answered
