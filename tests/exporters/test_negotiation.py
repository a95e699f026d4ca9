import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import choose_encoder

from exporters.negotiation import OPENMETRICS, TEXT, accepts_gzip, content_type

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
