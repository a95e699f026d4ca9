"""TLS, client certificates, passwords and headers by a `web.yml`: the file, the site, and a real Prometheus."""

import asyncio
import base64
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import bcrypt
import pytest
from aiohttp import ClientError, ClientSession, TCPConnector

from exporters import web_config
from exporters.server import Site
from exporters.web_config import MOST_WAITING, SiteConfig, WebConfigFile, load_web_config
from monitor.core.errors import SettingsError
from tests.builders import NOW
from tests.exporters.factories import rich_state
from tests.exporters.fakes import served
from tests.real.need import need
from tests.real.prometheus import prometheus
from tests.real.tls import Certificate, self_signed

HASH = bcrypt.hashpw(b"right", b"$2b$04$abcdefghijklmnopqrstuu").decode()
USERS = f"basic_auth_users:\n  ann: {HASH}\n"
EXAMPLE = Path(__file__).parents[2] / "grafana" / "deploy" / "web.yml"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("client"), "client.example")


def secured(tls: Certificate, more: str = "") -> str:
    return f"tls_server_config:\n  cert_file: {tls.cert}\n  key_file: {tls.key}\n{more}"


def written(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


def trusting(tls: Certificate, client: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.cert))
    if client:
        context.load_cert_chain(client.cert, client.key)
    return context


@asynccontextmanager
async def site_of(path: Path) -> AsyncIterator[Site]:
    config = SiteConfig(web_config=path)
    async with Site(lambda: rich_state(NOW), lambda: NOW, config) as site:
        yield site


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def status(site: Site, context: ssl.SSLContext | bool = True, auth: str = "") -> int:
    async with (
        ClientSession(connector=TCPConnector(ssl=context)) as session,
        session.get(
            f"{site.url}metrics", headers={"Authorization": auth} if auth else {}
        ) as answer,
    ):
        assert answer.headers["Server"] == "claude-tracker"
        return answer.status


async def test_tls_is_spoken_and_nothing_else(
    tls: Certificate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_of(written(tmp_path, secured(tls))) as site:
        assert site.url.startswith("https://")
        assert await status(site, trusting(tls)) == 200
        async with ClientSession() as session:
            with pytest.raises(ClientError):
                await session.get(site.url.replace("https", "http"))
        with pytest.raises(ClientError):
            await status(site)  # nobody vouches for the certificate
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


async def test_older_versions_are_refused(tls: Certificate, tmp_path: Path) -> None:
    async with site_of(written(tmp_path, secured(tls, "  min_version: TLS13\n"))) as site:
        old = trusting(tls)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ClientError):
            await status(site, old)
        assert await status(site, trusting(tls)) == 200


async def test_clients_need_a_certificate_where_that_is_demanded(
    tls: Certificate, client: Certificate, tmp_path: Path
) -> None:
    more = f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {client.cert}\n"
    async with site_of(written(tmp_path, secured(tls, more))) as site:
        with pytest.raises(ClientError):
            await status(site, trusting(tls))
        assert await status(site, trusting(tls, client)) == 200
    named = f"{more}  client_allowed_sans: [other.example]\n"
    async with site_of(written(tmp_path, secured(tls, named))) as site:
        assert await status(site, trusting(tls, client)) == 403


async def test_a_name_and_a_password_are_demanded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_of(written(tmp_path, USERS)) as site:
        assert await status(site) == 401
        for name, password in (("ann", "wrong"), ("bob", "right"), ("ann", ""), ("", "right")):
            assert await status(site, auth=basic(name, password)) == 401
        for _ in range(2):
            assert await status(site, auth=basic("ann", "right")) == 200
    assert "right" not in caplog.text


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic ?", "Basic YW5u", "Bearer right", "Basic 4pyT"]
)
async def test_what_is_no_login_is_not_allowed(tmp_path: Path, header: str) -> None:
    file = WebConfigFile(written(tmp_path, USERS))
    await file.load()
    assert await file.allows(header) is False


async def test_a_password_is_hashed_once_and_never_on_the_loop(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(11)).decode()
    file = WebConfigFile(written(tmp_path, f"basic_auth_users:\n  ann: {slow}\n"))
    await file.load()
    right = basic("ann", "right")
    begun = time.perf_counter()
    task = asyncio.create_task(file.allows(right))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0.001)
    first = time.perf_counter() - begun
    assert turns > 10
    begun = time.perf_counter()
    assert await file.allows(right)
    assert time.perf_counter() - begun < first / 5


async def test_those_who_guess_do_not_hold_up_who_is_known(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(8)).decode()
    file = WebConfigFile(written(tmp_path, f"basic_auth_users:\n  ann: {slow}\n"))
    await file.load()
    right = basic("ann", "right")
    assert await file.allows(right)
    guesses = [
        asyncio.create_task(file.allows(basic("ann", str(number))))
        for number in range(3 * MOST_WAITING)
    ]
    await asyncio.sleep(0)
    assert await file.allows(right)
    assert not all(guess.done() for guess in guesses)
    answers = await asyncio.gather(*guesses)
    assert answers.count(False) == MOST_WAITING
    assert answers.count(None) == 2 * MOST_WAITING


async def test_headers_are_added_and_replace_ours(tmp_path: Path) -> None:
    text = "http_server_config:\n  headers:\n    Content-Security-Policy: default-src 'none'\n"
    text += "    Strict-Transport-Security: max-age=60\n"
    async with site_of(written(tmp_path, text)) as site, ClientSession(site.url) as session:
        answer = await session.get("/")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert answer.headers["Strict-Transport-Security"] == "max-age=60"


async def test_a_changed_file_holds_at_once_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_config, "LOOK_SECS", 0.02)
    path = written(tmp_path, USERS)
    async with site_of(path) as site:
        assert await status(site) == 401
        path.write_text("basic_auth_users: [\n")
        async with asyncio.timeout(5):
            while "previous web configuration" not in caplog.text:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.01)
        assert await status(site) == 401
        assert await status(site, auth=basic("ann", "right")) == 200
        path.write_text("http_server_config: {}\n")
        async with asyncio.timeout(5):
            while await status(site) == 401:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_a_new_certificate_is_a_change(tls: Certificate, tmp_path: Path) -> None:
    before = load_web_config(written(tmp_path, secured(tls)))
    tls.cert.touch()
    assert load_web_config(tmp_path / "web.yml").stamps != before.stamps


@pytest.mark.parametrize(
    "more",
    [
        "",
        "  min_version: TLS12\n  max_version: TLS13\n",
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA]\n",
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]\n",
        "  curve_preferences: [CurveP256]\n",
        "  prefer_server_cipher_suites: false\n",
        "  client_auth_type: NoClientCert\n",
        "http_server_config:\n  http2: true\n",
        USERS,
    ],
)
def test_what_the_toolkit_accepts_is_accepted(tls: Certificate, tmp_path: Path, more: str) -> None:
    need("promtool")
    path = written(tmp_path, secured(tls, more))
    assert load_web_config(path).tls is not None
    argv = ["promtool", "check", "web-config", str(path)]
    assert subprocess.run(argv, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tls_server_config: [", "not YAML"),
        ("- a", "the file: must be a mapping"),
        ("tls_server_confg: {}", "tls_server_confg: unknown key; did you mean tls_server_config?"),
        ("tls_server_config:\n  cert_fle: a", "tls_server_config.cert_fle: unknown key; did you mean"),
        ("tls_server_config:\n  cert_file: a", "tls_server_config.key_file: is missing"),
        ("tls_server_config:\n  cert_file: a\n  key_file: b", "No such file or directory"),
        ("tls_server_config:\n  min_version: SSL3", "min_version: must be one of TLS10, TLS11, TLS12"),
        ("tls_server_config:\n  cert_file: 5", "tls_server_config.cert_file: must be a text"),
        ("basic_auth_users:\n  ann: secret-words", "basic_auth_users.ann: not a bcrypt hash"),
        ("basic_auth_users: [a]", "basic_auth_users: must be a mapping"),
        ("http_server_config:\n  headers:\n    X-Own: a", "http_server_config.headers.X-Own: unknown key"),
        ("SECURED  client_auth_type: RequireAnyClientCert", "RequireAnyClientCert is not supported"),
        ("SECURED  client_auth_type: RequireAndVerifyClientCert", "client_ca_file: is missing"),
        ("SECURED  client_ca_file: a", "client_auth_type: is missing"),
        ("SECURED  cipher_suites: [TLS_MADE_UP]", "cipher_suites: no cipher can be selected"),
        ("SECURED  curve_preferences: [CurveP256, X25519]", "only one can be set here"),
        ("SECURED  client_allowed_sans: [a]", "needs RequireAndVerifyClientCert"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_file_and_key(
    tls: Certificate, tmp_path: Path, text: str, words: str
) -> None:
    path = written(tmp_path, text.replace("SECURED", secured(tls)))
    with pytest.raises(SettingsError) as failure:
        load_web_config(path)
    assert str(failure.value).startswith(str(path))
    assert words in str(failure.value)
    assert "\n" not in str(failure.value)
    assert "secret-words" not in str(failure.value)


def test_a_key_that_is_encrypted_is_refused_without_asking_for_its_password(
    tls: Certificate, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    argv = ["openssl", "ec", "-in", f"{tls.key}", "-aes128", "-passout", "pass:word", "-out"]
    subprocess.run([*argv, f"{locked}"], check=True, capture_output=True)
    with pytest.raises(SettingsError, match="cert_file, key_file"):
        load_web_config(written(tmp_path, secured(Certificate(tls.cert, locked))))


def test_promtool_accepts_the_example_and_so_do_we(tls: Certificate, tmp_path: Path) -> None:
    need("promtool")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "fullchain.pem").write_bytes(tls.cert.read_bytes())
    (tmp_path / "tls" / "privkey.pem").write_bytes(tls.key.read_bytes())
    path = written(tmp_path, EXAMPLE.read_text())
    argv = ["promtool", "check", "web-config", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    config = load_web_config(path)
    assert config.tls and bcrypt.checkpw(b"change-me", config.users["prometheus"])


@pytest.fixture
def password(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "password"
    path.write_text("right")
    yield path


def test_prometheus_scrapes_through_tls_with_a_password(
    tls: Certificate, password: Path, tmp_path: Path
) -> None:
    config = SiteConfig(web_config=written(tmp_path, secured(tls, USERS)))
    more = (
        f"    scheme: https\n    tls_config: {{ca_file: {tls.cert}}}\n"
        f"    basic_auth: {{username: ann, password_file: {password}}}"
    )
    with (
        served(lambda: rich_state(NOW), lambda: datetime.now(UTC), config) as site,
        prometheus(tmp_path, f"localhost:{site.port}", more=more) as server,
    ):
        assert server.wait_for("up == 1")
        assert server.query("claude_usage_up")


def test_prometheus_scrapes_by_another_name(tmp_path: Path) -> None:
    """It is told to take the site for a proxy, so that no name has to lead here: the `Host` is what it would be."""
    config = SiteConfig(hosts=("*.docker.internal",))
    with served(lambda: rich_state(NOW), lambda: datetime.now(UTC), config) as site:
        more = f'    proxy_url: "http://127.0.0.1:{site.port}"'
        with prometheus(tmp_path, "host.docker.internal:15707", more=more) as server:
            assert server.wait_for("up == 1")
            assert server.query("claude_usage_up")
        assert site.refused_hosts == ()


def test_prometheus_is_refused_by_a_name_that_is_not_allowed(tmp_path: Path) -> None:
    with served(lambda: rich_state(NOW), lambda: datetime.now(UTC)) as site:
        more = f'    proxy_url: "http://127.0.0.1:{site.port}"'
        with prometheus(tmp_path, "host.docker.internal:15707", more=more) as server:
            assert server.wait_for("up == 0")
        assert site.refused_hosts == ("host.docker.internal",)
