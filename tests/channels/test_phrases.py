from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.channels.phrases import duration, percent, sentences


@pytest.mark.parametrize(
    ("utilization", "whole"),
    [(0.0, 0), (0.29, 29), (0.57, 57), (0.799, 79), (0.996, 99), (0.99999999999, 99), (1.0, 100)],
)
def test_percent_is_rounded_down(utilization: float, whole: int) -> None:
    assert percent(utilization) == whole


@given(st.integers(0, 300))
def test_whole_percents_of_the_api_survive_the_ratio(whole: int) -> None:
    assert percent(whole / 100) == whole


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=6, hours=23, minutes=59), "6d 23h"),
        (timedelta(days=1), "1d 0h"),
        (timedelta(hours=2, minutes=14, seconds=59), "2h 14m"),
        (timedelta(minutes=38), "38m"),
        (timedelta(seconds=59), "less than a minute"),
    ],
)
def test_a_duration_has_its_two_largest_units(left: timedelta, words: str) -> None:
    assert duration(left) == words


def test_sentences_are_ended_and_joined_and_empty_ones_left_out() -> None:
    joined = sentences("the API said no", "", "Try again!", "it may help…")
    assert joined == "The API said no. Try again! It may help…"
