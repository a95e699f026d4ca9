"""The dialogs and how they are drawn: forms to type into, and the question before an account is deleted. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from monitor.core.alerts.rules import (
    Override,
    RuleBook,
    parse_share,
    parse_silent,
    parse_thresholds,
    render_thresholds,
)
from monitor.core.commands import AddAccount, EditAccount
from monitor.core.model import Account, AuthMethod, Secret
from monitor.core.sanitize import clean, clean_uncached, visible_char
from monitor.terminal.text import (
    CURSOR,
    Line,
    Size,
    Span,
    Style,
    box,
    center_over,
    char_width,
    clip,
    head,
    key_bar,
    pad,
    text_line,
    wrap,
)
from monitor.terminal.tty import Key

FORM_KEYS: Final = (("Tab", "next field", 1), ("Enter", "save", 3), ("Esc", "cancel", 2))
FILTER_KEYS: Final = (("Enter", "keep", 2), ("Esc", "show all", 1))
QUESTION_KEYS: Final = (("y", "delete", 2), ("n", "keep", 1))

_MASK: Final = "•"
_LONGEST: Final = 2000
_KEY_HINT: Final = "the cookie sessionKey of claude.ai"
_ORG_HINT: Final = "the uuid in claude.ai/api/organizations"

_BOX_CELLS: Final = 66
_LEAST_BOX: Final = Size(48, 9)
"""A dialog is a box over the table from this size on; below, it takes the table's place."""

_AROUND_FIELDS: Final = 4
"""Lines of a box besides its fields: the border, a blank line and the remark."""

_LEAST_BESIDE: Final = 12
"""Cells left and right of a box together."""

_LABEL_CELLS: Final = 15


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled input, found in its form by the name; its text is what stands before the cursor and after it.

    The text is never in a repr, and that of a masked one is not shown either.
    """

    label: str
    before: str = field(default="", repr=False)
    after: str = field(default="", repr=False)
    is_masked: bool = False
    hint: str = ""
    is_optional: bool = False
    name: str = ""

    @property
    def text(self) -> str:
        return self.before + self.after

    def view(self, room: int) -> Line:
        """Draw the text around the cursor in `room` cells, with the cursor."""
        visible = "".join(_MASK if self.is_masked else visible_char(char) for char in self.text)
        at = start = len(self.before)
        used = 0
        while start and (used := used + char_width(visible[start - 1])) < room:
            start -= 1
        end = start + len(head(visible[start:], room))
        return Span(visible[start:at]), CURSOR, Span(visible[at:end])


def edit(old: Field, key: Key) -> Field:
    """Return the field after a key; one that edits nothing changes nothing."""
    before, after = old.before, old.after
    match key.name:
        case "left":
            before, after = before[:-1], before[-1:] + after
        case "right":
            before, after = before + after[:1], after[1:]
        case "home" | "ctrl+a":
            before, after = "", before + after
        case "end" | "ctrl+e":
            before, after = before + after, ""
        case "backspace":
            before = before[:-1]
        case "delete":
            after = after[1:]
        case "ctrl+u":
            before = ""
        case "ctrl+k":
            after = ""
        case "ctrl+w":
            before = before[: before.rstrip().rfind(" ") + 1]
        case _:
            typed = clean_uncached(key.text)
            if len(old.text) + len(typed) <= _LONGEST:
                before += typed
    return replace(old, before=before, after=after)


@dataclass(frozen=True, slots=True)
class Form:
    """Fields to fill in. `editing` is the account that is changed, None for a new one."""

    title: str
    fields: tuple[Field, ...]
    editing: Account | None = None
    focus: int = 0
    error: str = ""
    is_saving: bool = False

    @property
    def focused(self) -> Field:
        return self.fields[self.focus]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Asks for a yes before the account is deleted."""

    account: str


@dataclass(frozen=True, slots=True)
class Filter:
    """The pattern that the rows are filtered by, while it is typed."""

    field: Field


def add_form() -> Form:
    """Make the form of a new account with a session key."""
    name = Field("Name", name="name")
    key = Field("Session key", is_masked=True, hint=_KEY_HINT, name="key")
    return Form("Add an account", (name, key, Field("Org ID", hint=_ORG_HINT, name="org_id")))


def edit_form(account: Account, rules: RuleBook) -> Form:
    """Make the form of an account; an imported one has no key and organization to edit, they come with its login."""
    own = rules.overrides.get(account.name, Override())
    usual = render_thresholds(rules.thresholds)
    fields = [Field("Name", account.name, name="name")]
    if account.auth_method is AuthMethod.SESSION_KEY:
        fields += [
            Field(
                "Session key",
                is_masked=True,
                hint="empty: the key stays as it is",
                is_optional=True,
                name="key",
            ),
            Field("Org ID", account.org_id, name="org_id"),
        ]
    silent = ", ".join(sorted(map(str, own.silent)))
    percent = round(account.reserve * 100, 6)
    reserve = f"{percent:g}{'%' if percent < 1 else ''}" if percent else ""
    for name, text, hint in (
        ("label", account.label or "", "what metrics call it"),
        ("thresholds", render_thresholds(own.thresholds), f"{usual}, as usual"),
        ("silent", silent, "no rule; such as reset, pace"),
        ("reserve", reserve, "percent of the week that `next` leaves"),
    ):
        fields.append(Field(name.capitalize(), text, hint=hint, is_optional=True, name=name))
    return Form("Edit the account", tuple(fields), account)


def type_into(form: Form, key: Key) -> Form:
    """Return the form after a key that moves between its fields or edits one."""
    steps = {"tab": 1, "down": 1, "backtab": -1, "up": -1}
    if key.name in steps:
        return replace(form, focus=(form.focus + steps[key.name]) % len(form.fields))
    fields = list(form.fields)
    fields[form.focus] = edit(form.focused, key)
    return replace(form, fields=tuple(fields), error="")


def submit(form: Form, names: Iterable[str]) -> tuple[Form, AddAccount | EditAccount | None]:
    """Return the form's command, or the form with what is wrong with it; `names` are those of the accounts."""
    texts = {field.name: field.text.strip() for field in form.fields}
    name, key, org_id = texts["name"], texts.get("key"), texts.get("org_id")
    is_new = form.editing is None or name != form.editing.name
    if not name:
        return replace(form, focus=0, error="Give the account a name"), None
    if is_new and name in set(names):
        return replace(form, focus=0, error="An account with this name already exists"), None
    for place, entry in enumerate(form.fields):
        if not entry.text.strip() and not entry.is_optional:
            return replace(form, focus=place, error=f"{entry.label} is still missing"), None
    saved, account = replace(form, error="", is_saving=True), form.editing
    if account is None:
        return saved, AddAccount(name, Secret(key or ""), org_id or "")
    parsed = "thresholds"
    try:
        thresholds, parsed = parse_thresholds(texts["thresholds"]), "silent"
        override, parsed = Override(thresholds, parse_silent(texts["silent"])), "reserve"
        reserve = parse_share(texts["reserve"] or "0")
    except ValueError as error:
        place = list(texts).index(parsed)
        return replace(form, focus=place, error=str(error)), None
    return saved, EditAccount(
        account.name,
        name,
        account.org_id if org_id is None else org_id,
        Secret(key) if key else None,
        texts["label"],
        override,
        reserve,
    )


def with_dialog(base: Sequence[Line], dialog: Form | Confirmation, size: Size) -> Sequence[Line]:
    """Draw the dialog over the table's lines."""
    rows = len(dialog.fields) if isinstance(dialog, Form) else 0
    least = max(_LEAST_BOX.height, rows + _AROUND_FIELDS)
    if size.width < _LEAST_BOX.width or size.height < least:
        return _alone(dialog, size)
    # The whole width, where only scraps of the table would be seen beside the box.
    cells = _BOX_CELLS if size.width - _BOX_CELLS >= _LEAST_BESIDE else size.width
    if isinstance(dialog, Form):
        top = box(dialog.title, _form(dialog, cells - 2, size.height - 3), cells)
    else:
        name = clip(clean(dialog.account), cells)
        text = f"{name} is no longer watched, and what the keyring has of it is removed."
        lines = [text_line(f" {line}") for line in wrap(text, cells - 4)]
        top = box("Delete the account?", (*lines, (), key_bar(QUESTION_KEYS, cells)), cells)
    return center_over(base, top, size.width)


def _form(form: Form, cells: int, height: int) -> list[Line]:
    """Draw all fields, each beside its label, and a remark below them."""
    room = cells - _LABEL_CELLS - 1
    lines: list[Line] = []
    for entry in form.fields:
        is_focused = entry is form.focused
        label = pad(f"{'>' if is_focused else ' '} {entry.label}", _LABEL_CELLS)
        lead = Span(label, Style.PLAIN if is_focused else Style.DIM, bold=is_focused)
        hint = Span(clip(entry.hint, room), Style.DIM)
        value = entry.view(room) if entry.text else (CURSOR, hint)
        lines.append((lead, *(span for span in value if is_focused or span is not CURSOR)))
    remark = _remark(form, cells - 2)[: height - len(lines)] or [()]
    return [*lines, (), *((Span(" "), *line) for line in remark)]


def _remark(form: Form, room: int) -> list[Line]:
    """Say what is wrong, or that the form is being saved."""
    if form.error:
        return [text_line(part, Style.PROBLEM) for part in wrap(clean(form.error), room)]
    return [text_line("Saving…", Style.NOTICE)] if form.is_saving else []


def _alone(dialog: Form | Confirmation, size: Size) -> list[Line]:
    """Draw the dialog on a small screen: of a form, the focused field under its label or its error."""
    if isinstance(dialog, Confirmation):
        lines = wrap(f"Delete? y/n {clean(dialog.account)}", size.width)
        return [text_line(line) for line in lines]
    place = f"{dialog.focused.label} ({dialog.focus + 1}/{len(dialog.fields)})"
    above = [text_line(dialog.title, Style.TITLE), text_line(place, Style.DIM)]
    remark = _remark(dialog, size.width)[: max(size.height - 1, 0)]
    above = [*above, *remark][max(len(above) + len(remark) + 1 - size.height, 0) :]
    return [*above, dialog.focused.view(size.width)]
