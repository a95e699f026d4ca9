"""What a real Prometheus makes of the real page."""

from pathlib import Path

from tests.builders import NOW
from tests.exporters.factories import HOSTILE, rich_state
from tests.exporters.library import families
from tests.real.prometheus import Prometheus


def test_the_target_is_up(scraped: Prometheus) -> None:
    assert [s.value for s in scraped.query('up{job="claude-tracker"}')] == [1]


def test_the_figures_arrive_as_they_are(scraped: Prometheus) -> None:
    ratios = scraped.query('claude_usage_utilization_ratio{window="5h"}')
    assert {s.labels["account"]: s.value for s in ratios} == {
        "home": 0.42,
        "user@client.com": 1.04,
        HOSTILE: 0,
        "nul\N{REPLACEMENT CHARACTER} cr\r ls\u2028 half\N{REPLACEMENT CHARACTER}": 0.5,
    }


def test_every_sample_of_the_page_arrives(scraped: Prometheus) -> None:
    ours = [s.name for f in families(rich_state(NOW), NOW) for s in f.samples]
    theirs = scraped.query('count by (__name__) ({__name__=~"claude_usage_.+"})')
    assert {s.labels["__name__"] for s in theirs} == {
        *ours,
        "claude_usage_event_loop_lag_seconds",
    }


def test_the_countdown_is_that_of_the_scrape(scraped: Prometheus) -> None:
    drift = scraped.query(
        "claude_usage_reset_timestamp_seconds - claude_usage_reset_seconds"
        " - timestamp(claude_usage_reset_seconds)"
    )
    assert drift
    assert all(-1 < s.value < 2 for s in drift)


def test_the_plan_joins_on_the_account(scraped: Prometheus) -> None:
    joined = scraped.query(
        "claude_usage_up * on (account) group_left (plan) claude_usage_account_info"
    )
    assert {s.labels["account"]: s.labels.get("plan") for s in joined}["home"] == "max_20x"


def test_it_scrapes_openmetrics_with_units(scraped: Prometheus) -> None:
    metadata = scraped.ask("metadata", metric="claude_usage_reset_seconds")["data"]
    assert metadata["claude_usage_reset_seconds"][0]["unit"] == "seconds"


def test_the_process_is_measured_too(scraped: Prometheus) -> None:
    assert scraped.query("process_resident_memory_bytes > 1e6")


def test_the_queries_of_the_documentation_are_understood(scraped: Prometheus) -> None:
    page = Path("docs/metrics.md").read_text(encoding="utf-8")
    queries = page.partition("## Queries\n\n```\n")[2].partition("```")[0].splitlines()
    answers = [scraped.query(query) for query in queries]
    assert all(answers[:2])
    assert {s.labels.get("plan") for s in answers[3]} > {"max_20x"}
