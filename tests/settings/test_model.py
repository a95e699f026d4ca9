"""The settings of alerts: rules, channels and an account's exceptions, and the rule book that they make."""

from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path

import pytest

from monitor.core.alerts.rules import DEFAULT_RULES, AlertKind, Override, Rule, RuleBook, Urgency
from monitor.core.errors import SettingsError
from monitor.core.state import Display, Theme
from monitor.settings import Settings, policy_of, rule_book
from monitor.settings.model import (
    AlertmanagerSettings,
    AppriseSettings,
    ChannelSettings,
    CommandSettings,
    DisplaySettings,
    NotificationSettings,
    WebhookSettings,
)
from monitor.settings.reader import parse
from monitor.settings.schema import QuietHours

PATH = Path("config.toml")

FULL = """\
[notifications]
channels = ["desktop", "webhook", "command", "alertmanager", "apprise"]
fan_out = true
quiet_hours = "22:00-07:00"

[notifications.rules.pace]
enabled = true
windows = ["5h", "7d_opus"]
accounts = ["user@example.com"]
for = "10m"
channels = ["webhook"]
urgency = "critical"

[notifications.rules.free]
enabled = false

[channels.command]
argv = ["/usr/local/bin/on-alert", "--claude"]
timeout_secs = 2.5
[channels.webhook]
url = "https://ntfy.sh/my-topic?up=1"
form = "ntfy"
token = "webhook"
[channels.alertmanager]
url = "http://127.0.0.1:9093/"
[channels.apprise]
urls = "apprise"

[[accounts]]
name = "user@example.com"
thresholds = [90, 50]
silent = ["pace", "reset"]

[[accounts]]
name = "other@example.com"
silent = []
"""


def settings(text: str) -> Settings:
    return parse(text.encode(), PATH)


def test_every_key_is_read() -> None:
    read = settings(FULL)
    assert read.notifications == NotificationSettings(
        channels=("desktop", "webhook", "command", "alertmanager", "apprise"),
        fan_out=True,
        quiet_hours=QuietHours(time(22), time(7)),
        rules={
            **DEFAULT_RULES,
            AlertKind.PACE: Rule(
                windows=("5h", "7d_opus"),
                accounts=("user@example.com",),
                hold=timedelta(minutes=10),
                channels=("webhook",),
                urgency=Urgency.CRITICAL,
            ),
            AlertKind.FREE: Rule(enabled=False),
        },
    )
    assert read.channels == ChannelSettings(
        CommandSettings(("/usr/local/bin/on-alert", "--claude"), 2.5),
        WebhookSettings("https://ntfy.sh/my-topic?up=1", "ntfy", "webhook", 10),
        AlertmanagerSettings("http://127.0.0.1:9093"),
        AppriseSettings("apprise"),
    )
    assert read.overrides == {
        "user@example.com": Override((0.5, 0.9), frozenset({AlertKind.PACE, AlertKind.RESET})),
        "other@example.com": Override(None, frozenset()),
    }


def test_how_the_table_is_drawn_is_read() -> None:
    assert settings("").display == DisplaySettings(Theme.AUTO, ascii=False)
    read = settings('[display]\ntheme = "light"\nascii = true\n')
    assert read.display == DisplaySettings(Theme.LIGHT, ascii=True)
    assert policy_of(read).display == Display(Theme.LIGHT, ascii=True)
    with pytest.raises(SettingsError, match="theme"):
        settings('[display]\ntheme = "lihgt"\n')


def test_without_any_of_it_every_rule_is_as_it_was() -> None:
    assert settings("") == Settings(PATH)
    assert rule_book(settings("")) == RuleBook(rules=DEFAULT_RULES)


def test_a_rule_keeps_what_its_table_does_not_say() -> None:
    rules = settings("[notifications.rules.login]\nurgency = 'critical'").notifications.rules
    assert rules[AlertKind.LOGIN] == Rule(hold=timedelta(minutes=5), urgency=Urgency.CRITICAL)
    assert {**rules, AlertKind.LOGIN: DEFAULT_RULES[AlertKind.LOGIN]} == DEFAULT_RULES


def test_a_webhook_needs_no_more_than_its_url() -> None:
    read = settings("[channels.webhook]\nurl = 'http://localhost:1/x/'").channels
    assert read.webhook == WebhookSettings("http://localhost:1/x/", "json", None, 10)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("", "threshold limit reset early_reset pace"),
        ("[notifications]\nenabled = false", ""),
        ("[notifications]\nreset = false", "threshold limit pace"),
        (
            "[notifications]\nreset = false\n[notifications.rules.reset]\nenabled = true",
            "threshold limit pace",
        ),
        ("[notifications.rules.limit]\nenabled = false", "threshold reset early_reset pace"),
        ("[notifications.rules.pace]\nwindows = ['7d']", "threshold limit reset early_reset"),
        ("[notifications.rules.pace]\naccounts = ['b']", "threshold limit reset early_reset"),
        (
            "[[accounts]]\nname = 'a'\nsilent = ['threshold', 'limit']",
            "reset early_reset pace",
        ),
    ],
)
def test_which_rules_speak_of_a_window_of_an_account(text: str, spoken: str) -> None:
    book = rule_book(settings(text))
    of_windows = ("threshold", "limit", "reset", "early_reset", "pace")
    assert [k for k in of_windows if book.applies(AlertKind(k), "a", "5h")] == spoken.split()


def test_an_accounts_thresholds_take_the_place_of_the_usual_ones() -> None:
    text = "[notifications]\nthresholds = [70]\n[[accounts]]\nname = 'a'\nthresholds = [90, 50]"
    book = rule_book(settings(text))
    assert (book.thresholds_of("a"), book.thresholds_of("b")) == ((0.5, 0.9), (0.7,))


WEBHOOK = "[channels.webhook]\n"

PACE = "[notifications.rules.pace]\n"

MISTAKES = [
    "# rules",
    "[notifications.rules.pase]\nenabled = true",
    "[notifications.rules.summary]\nenabled = true",
    "[notifications]\nrules = 'pace'",
    PACE + "hold = '5m'",
    PACE + "enabled = 'yes'",
    PACE + "for = 10",
    PACE + "for = '10 minutes'",
    PACE + "for = '1000d'",
    PACE + "windows = ['6h']",
    PACE + "windows = ['7d_Opus']",
    PACE + "windows = ['5h', '5h']",
    PACE + "windows = []",
    PACE + "accounts = []",
    PACE + "accounts = ['']",
    PACE + "channels = []",
    PACE + "channels = ['pigeon']",
    PACE + "channels = ['webhook']",
    PACE + "urgency = 'critcal'",
    "[notifications.rules.login]\nwindows = ['5h']",
    "[notifications.rules.exhausted]\naccounts = ['a']",
    "[notifications.rules.reset]\nfor = '10m'",
    "# notifications",
    "[notifications]\nfan_out = 1",
    "[notifications]\nquiet_hours = '22-7'",
    "[notifications]\nquiet_hours = '22:00-24:00'",
    "[notifications]\nquiet_hours = '22:00-22:00'",
    "[notifications]\nquiet_hours = 22:00:00",
    "# channels",
    "[notifications]\nchannels = ['desktop', 'command']",
    "[notifications]\nchannels = ['webhok']",
    "[channels.desktop]\nx = 1",
    "[channels]\nwebhook = 'https://ntfy.sh/x'",
    "[channels.command]\ntimeout_secs = 5",
    "[channels.command]\nargv = []",
    "[channels.command]\nargv = 'on-alert --claude'",
    "[channels.command]\nargv = ['']",
    '[channels.command]\nargv = ["a", "b\\u0000"]',
    "[channels.command]\nargv = ['a']\ntimeout_secs = 0",
    WEBHOOK + "form = 'ntfy'",
    WEBHOOK + "url = 'http://ntfy.sh/x'",
    WEBHOOK + "url = 'ntfy.sh/x'",
    WEBHOOK + "url = 'https://me:word@ntfy.sh/x'",
    WEBHOOK + "url = 'https://ntfy.sh/x'\nform = 'discord'",
    WEBHOOK + "url = 'https://ntfy.sh/x'\nbearer = 'abc'",
    WEBHOOK + "url = 'https://ntfy.sh/x'\ntoken = 'tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2'",
    WEBHOOK + "url = 'https://ntfy.sh/x'\ntoken = ''",
    WEBHOOK + "url = 'https://ntfy.sh/x'\ntoken = 'a'\n[[accounts]]\nname = 'a'",
    "[channels.alertmanager]",
    "[channels.alertmanager]\nurl = 'http://alerts.example.com'",
    "[channels.alertmanager]\nurl = 'http://127.0.0.1:9093?x'",
    "[channels.apprise]",
    "[channels.apprise]\nurls = 'tgram://bottoken/ChatID'",
    "# accounts",
    "[[accounts]]\nname = 'a'\nthresholds = [0]",
    "[[accounts]]\nname = 'a'\nsilent = ['resets']",
    "[[accounts]]\nname = 'a'\nsilent = 'pace'",
]


def words(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(text)
    return f"{caught.value}\n{caught.value.excerpt}".rstrip("\n")


def test_what_is_said_of_each_mistake(golden: Callable[[str, str], None]) -> None:
    said = (m if m.startswith("#") else words(m) for m in MISTAKES)
    golden("settings_errors_of_alerts.txt", "\n\n".join(said) + "\n")


@pytest.mark.parametrize(
    "secret",
    [
        "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2",
        "sk-ant-oat01-abcdef",
        "Bearer abc.def",
        "xoxb-1-2-abc",
        "https://hooks.example.com/T0/B0/secret",
        "0123456789abcdef0123456789abcdef",
        "x" * 61,
    ],
)
def test_a_secret_in_the_place_of_its_entrys_name_is_not_repeated(secret: str) -> None:
    said = words(f"{WEBHOOK}url = 'https://ntfy.sh/x'\ntoken = '{secret}'")
    assert secret not in said
    assert "keyring set claude-tracker webhook" in said


@pytest.mark.parametrize(
    "url",
    [
        "http://ntfy.sh/top-secret",
        "http://127.0.0.1.example.com/secret",
        "http://10.0.0.1/secret",
        "https://me:secret@example.com/",
        "ftp://example.com/secret",
        "https:///secret",
        "https://example.com:port/secret",
        "https://[::1/secret",
        "https://example.com/se cret",
        "https://example.com/secret\\n",
        "",
    ],
)
def test_an_address_that_alerts_may_not_be_sent_to_is_not_repeated(url: str) -> None:
    said = words(f'{WEBHOOK}url = "{url}"')
    assert "channels.webhook.url" in said
    assert "secret" not in said
