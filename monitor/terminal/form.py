"""The two dialogs that are typed into: a new account, and an account's changes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from monitor.core.model import Account, AuthMethod, Secret
from monitor.terminal.commands import Add, Edit
from monitor.terminal.field import Field, edited, filled
from monitor.terminal.keys import Key

_KEY_HINT = "the cookie sessionKey of claude.ai"
_ORG_HINT = "the uuid in claude.ai/api/organizations"


@dataclass(frozen=True, slots=True)
class Form:
    """Fields to fill in. `editing` is the account that is changed, None for a new one."""

    title: str
    fields: tuple[Field, ...]
    editing: Account | None = None
    focus: int = 0
    error: str = ""
    saving: bool = False

    @property
    def focused(self) -> Field:
        return self.fields[self.focus]

    def text(self, label: str) -> str | None:
        """What a field holds, without the space around it; None where the form has no such field."""
        found = (field.text.strip() for field in self.fields if field.label == label)
        return next(found, None)


def add_form() -> Form:
    key = Field("Session key", masked=True, hint=_KEY_HINT)
    return Form("Add an account", (Field("Name"), key, Field("Org ID", hint=_ORG_HINT)))


def edit_form(account: Account) -> Form:
    """An imported account has only its name to change: the rest comes with its login."""
    fields = [filled("Name", account.name)]
    if account.auth_method is AuthMethod.SESSION_KEY:
        fields += [
            Field("Session key", masked=True, hint="empty: the key stays as it is"),
            filled("Org ID", account.org_id),
        ]
    return Form("Edit the account", tuple(fields), account)


def typed(form: Form, key: Key) -> Form:
    """The form after a key that moves between its fields or edits one."""
    steps = {"tab": 1, "down": 1, "backtab": -1, "up": -1}
    if key.name in steps:
        return replace(form, focus=(form.focus + steps[key.name]) % len(form.fields))
    new = edited(form.focused, key)
    fields = (*form.fields[: form.focus], new, *form.fields[form.focus + 1 :])
    return replace(form, fields=fields, error="")


def submitted(form: Form, names: Iterable[str]) -> tuple[Form, Add | Edit | None]:
    """The form's order, or the form with what is missing; `names` are those of the accounts."""
    problem = _problem(form, set(names))
    if problem is not None:
        place, error = problem
        return replace(form, focus=place, error=error), None
    return replace(form, error="", saving=True), _order(form)


def _problem(form: Form, names: set[str]) -> tuple[int, str] | None:
    """The first field that cannot stay as it is, and why."""
    name = form.text("Name")
    if not name:
        return 0, "Give the account a name"
    if name in names and (form.editing is None or name != form.editing.name):
        return 0, "There is an account of this name already"
    for place, field in enumerate(form.fields):
        optional = field.masked and form.editing is not None
        if not field.text.strip() and not optional:
            return place, f"{field.label} is still missing"
    return None


def _order(form: Form) -> Add | Edit:
    name, key, org_id = form.text("Name") or "", form.text("Session key"), form.text("Org ID")
    if form.editing is None:
        return Add(name, Secret(key or ""), org_id or "")
    org_id = form.editing.org_id if org_id is None else org_id
    return Edit(form.editing.name, name, Secret(key) if key else None, org_id)
