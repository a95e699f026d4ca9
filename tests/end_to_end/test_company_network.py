"""A company's network: the first poll names in the table what is in the way, and the doctor's command fixes it."""

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import MONITOR
from tests.exporters.fakes import loop_in_thread
from tests.real.need import need

HOST = "api.company.invalid"
"""No DNS knows it: only the proxy leads there."""

USAGE = {"five_hour": {"utilization": 42.0, "resets_at": None}, "seven_day": {"utilization": 7.0}}


@dataclass
class Network:
    """A proxy, and behind it the API with a certificate of `ca`. `login` is what it wants, `refuses` a status."""

    folder: Path
    proxy: int = 0
    api: int = 0
    login: str = ""
    refuses: int = 0
    body: bytes = json.dumps(USAGE).encode()
    kind: str = "application/json"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    async def serve_api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {self.kind}\r\nanthropic-organization-id: org-1\r\n"
            writer.write(f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body)
            await writer.drain()
        writer.close()

    async def serve_proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        wanted = f"proxy-authorization: basic {b64encode(self.login.encode()).decode()}".lower()
        status = self.refuses or (407 if self.login and wanted not in head else 0)
        if status:
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.api)
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path)
    tls = certificates(tmp_path)

    servers: list[asyncio.Server] = []

    async def start() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        api = await asyncio.start_server(made.serve_api, "127.0.0.1", 0, ssl=context)
        proxy = await asyncio.start_server(made.serve_proxy, "127.0.0.1", 0)
        made.api, made.proxy = (server.sockets[0].getsockname()[1] for server in (api, proxy))
        servers.extend([api, proxy])

    with loop_in_thread() as run:
        run(start())
        yield made
        for server in servers:
            server.close()


def certificates(folder: Path) -> Path:
    """The company's CA in `ca.pem`, and the chain and key that it made for the API's name, and for localhost."""
    need("openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = f"subjectAltName=DNS:{HOST},DNS:localhost"
    ca = ["-subj", "/CN=Company CA", "-keyout", "ca.key", "-out", "ca.pem"]
    leaf = ["-subj", f"/CN={HOST}", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", names]
    for words in (ca, [*leaf, "-keyout", "leaf.key", "-out", "leaf.pem"]):
        subprocess.run(
            ["openssl", "req", "-x509", *key, *words], cwd=folder, check=True, capture_output=True
        )
    chain = folder / "chain.pem"
    chain.write_text("".join((folder / name).read_text() for name in ("leaf.key", "leaf.pem")))
    return chain


@dataclass
class User:
    """Somebody with one account, whose shell sets these variables."""

    home: Path
    env: dict[str, str]

    def detail(self) -> str:
        """The whole sentence that the table's words are short for."""
        (account,) = json.loads(self.run("status", "--json"))["accounts"]
        return str(account["failure"]["detail"])

    def run(self, *words: str) -> str:
        """What it prints with no memory of the time before: nothing is put off."""
        self.env["XDG_STATE_HOME"] = tempfile.mkdtemp(dir=self.home)
        done = subprocess.run(
            [*MONITOR, *words], env=self.env, capture_output=True, text=True, timeout=60
        )
        return done.stdout + done.stderr

    def fix(self, place: str) -> str:
        """Does what the doctor says of the API, with the real path, login or port in place of the example's."""
        page = self.run("doctor", "--json")
        (check,) = [c for c in json.loads(page)["checks"] if c["check"] == "api"]
        told = re.search(r"`export ([A-Z_]+)=(\S+)`", check["fix"])
        assert told, check
        self.env[told[1]] = place or told[2]
        return told[1]


@contextmanager
def user(network: Network, host: str = HOST, **variables: str) -> Iterator[User]:
    home = network.folder / "home"
    file = home / ".config" / "claude-tracker" / "config.toml"
    file.parent.mkdir(parents=True)
    (home / "token").write_text("sk-ant-oat01-company")
    file.write_text(
        f'[api]\nurl = "https://{host}"\ntimeout_secs = 10\n[exporter]\nlisten = "off"\n'
        '[[accounts]]\nname = "a@company.com"\norg_id = "org-1"\nauth_method = "oauth"\nstorage = "command"\n'
        f'token_command = ["cat", "{home}/token"]\n'
    )
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "COLUMNS": "200", "TZ": "UTC"}
    env |= {"XDG_RUNTIME_DIR": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    yield User(home, {**env, **variables})


@pytest.mark.parametrize("variable", ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_intercepting_ca(network: Network, variable: str) -> None:
    with user(network, HTTPS_PROXY=f"127.0.0.1:{network.proxy}") as me:
        assert "Certificate not trusted" in me.run("status")
        assert me.fix(str(network.ca)) == "NODE_EXTRA_CA_CERTS"
        if variable != "NODE_EXTRA_CA_CERTS":
            del me.env["NODE_EXTRA_CA_CERTS"]
            me.env[variable] = str(network.ca)
        if variable == "SSL_CERT_DIR":
            subprocess.run(["openssl", "rehash", network.folder], check=True, capture_output=True)
            me.env[variable] = str(network.folder)
        assert "42%" in me.run("status")


def test_a_file_without_certificates_is_named(network: Network) -> None:
    proxy = f"http://127.0.0.1:{network.proxy}"
    with user(network, ALL_PROXY=proxy, SSL_CERT_FILE=str(network.folder / "none.pem")) as me:
        assert "SSL_CERT_FILE names no file to be read" in me.detail()


def test_a_proxy_that_wants_a_login(network: Network) -> None:
    network.login = "me:ses@me"
    ca = str(network.ca)
    with user(network, ALL_PROXY=f"127.0.0.1:{network.proxy}", NODE_EXTRA_CA_CERTS=ca) as me:
        assert "Proxy wants a login" in me.run("status")
        me.fix(f"http://me:ses%40me@127.0.0.1:{network.proxy}")
        assert "42%" in me.run("status")


def test_a_proxy_that_refuses_a_host_that_can_be_reached_without_it(network: Network) -> None:
    network.refuses = 403
    proxy, ca = f"http://127.0.0.1:{network.proxy}", str(network.ca)
    host = f"localhost:{network.api}"
    with user(network, host, HTTPS_PROXY=proxy, NODE_EXTRA_CA_CERTS=ca) as me:
        assert "Proxy refused" in me.run("status")
        assert me.fix("") == "NO_PROXY"
        assert "42%" in me.run("status")


def test_a_captive_portal(network: Network) -> None:
    page, network.kind = b"<!DOCTYPE html><title>Hotel Wi-Fi</title>", "text/html"
    network.body, answer = page, network.body
    proxy, ca = f"http://127.0.0.1:{network.proxy}", str(network.ca)
    with user(network, HTTPS_PROXY=proxy, NODE_EXTRA_CA_CERTS=ca) as me:
        assert "Something else answered" in me.run("status")
        assert "“Hotel Wi-Fi”" in me.detail()
        assert "log in to the network" in me.run("doctor")
        network.body, network.kind = answer, "application/json"
        assert "42%" in me.run("status")


def test_a_socks_proxy(network: Network) -> None:
    ca = str(network.ca)
    with user(network, ALL_PROXY="socks5h://127.0.0.1:1", NODE_EXTRA_CA_CERTS=ca) as me:
        assert "SOCKS proxies are not supported" in me.run("status")
