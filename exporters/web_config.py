"""How the site is served: its address, its names, and `web.yml` in the format of Prometheus' exporter toolkit."""

from dataclasses import dataclass

from exporters.host_check import address, is_loopback
from monitor.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """Where the site is and who may ask it. `hosts` are names or patterns that may stand in `Host`, beside its own.

    A `host` of "" is every address of the machine; port 0 is any free one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    hosts: tuple[str, ...] = ()
    metrics_path: str = "/metrics"
    allow_plain: bool = False


def refuse_plain(config: SiteConfig) -> None:
    """Raise SettingsError where other machines could read what is served, unprotected and not on purpose."""
    if not (config.allow_plain or is_loopback(config.host)):
        where = address(config.host, config.port)
        raise SettingsError(
            f"{where} is open to other machines, and names your accounts: set exporter.web_config"
            " (TLS and a password), or exporter.allow_plain = true if all who reach it may read it"
        )
