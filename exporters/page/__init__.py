"""The landing page, for whoever opens the port in a browser: one document, no scripts, nothing from elsewhere."""

import base64
import hashlib
from datetime import datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from monitor import __version__
from monitor.core.model import AccountState
from monitor.core.state import State

_STYLE: Final = files(__name__).joinpath("style.css").read_text(encoding="utf-8")
_PAGE: Final = Template(files(__name__).joinpath("index.html").read_text(encoding="utf-8"))

STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy must name to let the page's own style through."""


def render_page(state: State, now: datetime, host: str) -> str:
    """The page as HTML; `host` is the name and port that it was asked under."""
    return _PAGE.substitute(
        style=_STYLE,
        version=escape(__version__),
        host=escape(host),
        accounts="\n".join(_account(a, now) for a in state.accounts.values()) or _NOBODY,
    )


_NOBODY: Final = "<li>No accounts yet: <code>monitor accounts import</code> adds one.</li>"


def _account(account: AccountState, now: datetime) -> str:
    status = account.status(now)
    return f'<li class="{status}">{escape(account.account.title)} <small>{status}</small></li>'
