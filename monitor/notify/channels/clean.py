"""Text made fit for notification daemons and chats that read it as markup. Pure."""

import html


def escape_markup(text: str) -> str:
    """The text as typed, for notification daemons that read the body as markup."""
    return html.escape(text, quote=False)
