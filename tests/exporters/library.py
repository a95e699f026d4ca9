"""The same metrics as prometheus_client would make them anew for each scrape: what our own page is held to."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporters.metrics import COUNTDOWN, Fleet, Row, label_text, titles_of
from exporters.prometheus import FAMILIES, SUFFIXES
from monitor.core.state import State


def families(state: State, now: datetime) -> Iterator[Metric]:
    accounts = state.accounts
    rows = [
        Row(title, account, name == state.logged_in, state.policy, now)
        for title, (name, account) in zip(
            titles_of(accounts.values()), accounts.items(), strict=True
        )
    ]
    for family in (*FAMILIES, COUNTDOWN):
        metric = Metric(family.name, family.help, family.kind, family.unit)
        samples = [*family.of_all(Fleet(state, now))]
        for row in rows:
            samples += family.of_account(row)
        for values, value in samples:
            if value is not None:
                labels = dict(zip(family.labels, map(label_text, values), strict=True))
                metric.add_sample(f"{family.name}{SUFFIXES[family.kind]}", labels, value)
        yield metric


class Collected(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


def rendered(state: State, now: datetime, *, openmetrics: bool) -> bytes:
    collected = Collected(families(state, now))
    if openmetrics:
        page: bytes = generate_openmetrics(collected)  # type: ignore[no-untyped-call]  # the library's own gap
        return page
    return generate_latest(collected)
