from datetime import timedelta

import pytest

from monitor.channels.phrases import duration, sentences


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
