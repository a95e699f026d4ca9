from monitor.notify.phrases import sentences


def test_sentences_are_ended_and_joined_and_empty_ones_left_out() -> None:
    joined = sentences("the API said no", "", "Try again!", "it may help…")
    assert joined == "The API said no. Try again! It may help…"
