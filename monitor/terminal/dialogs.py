"""The pictures of the dialogs: a form to fill in, and the question before an account is deleted. Pure."""

from typing import Final

from monitor.terminal import widths
from monitor.terminal.canvas import Picture, Size, boxed, centered_over
from monitor.terminal.field import Field
from monitor.terminal.form import Form
from monitor.terminal.help import QUESTION_KEYS, key_bar
from monitor.terminal.screen import Question
from monitor.terminal.style import Line, Span, Style, text_line

BOX_CELLS: Final = 66
LEAST_BOX: Final = Size(48, 9)
"""A dialog is a box over the table from this size on; below, it takes the table's place."""

_LEAST_BESIDE: Final = 12
"""Cells left and right of a box together."""

_LABEL_CELLS: Final = 15


def with_dialog(base: Picture, dialog: Form | Question, size: Size) -> Picture:
    """The table's picture with the dialog on it."""
    small = size.width < LEAST_BOX.width or size.height < LEAST_BOX.height
    if isinstance(dialog, Question):
        return _question_alone(dialog, size) if small else _question_box(base, dialog, size)
    return _form_alone(dialog, size) if small else _form_box(base, dialog, size)


def _box_cells(size: Size) -> int:
    """The whole width where the table beside the box would be no more than scraps of words."""
    return BOX_CELLS if size.width - BOX_CELLS >= _LEAST_BESIDE else size.width


def _form_box(base: Picture, form: Form, size: Size) -> Picture:
    width = _box_cells(size)
    room = width - 2 - _LABEL_CELLS - 1
    lines = [_field_line(form, field, room) for field in form.fields]
    remark = _remark(form, width - 4)[: size.height - len(lines) - 3] or [()]
    indented = [(Span(" "), *line) for line in remark]
    inner = Picture((*lines, (), *indented), _cursor(form, room))
    return centered_over(base, boxed(form.title, inner, width), size.width)


def _field_line(form: Form, field: Field, room: int) -> Line:
    focused = field is form.focused
    label = widths.pad(f"{'>' if focused else ' '} {field.label}", _LABEL_CELLS)
    head = Span(label, Style.PLAIN if focused else Style.DIM, bold=focused)
    if not field.text:
        return head, Span(widths.clip(field.hint, room), Style.DIM)
    return head, Span(field.view(room)[0])


def _cursor(form: Form, room: int) -> tuple[int, int]:
    return _LABEL_CELLS + form.focused.view(room)[1], form.focus


def _remark(form: Form, room: int) -> list[Line]:
    """What is wrong, or going on."""
    if form.error:
        parts = widths.wrap(widths.clean(form.error), max(room, 1))
        return [text_line(part, Style.PROBLEM) for part in parts]
    return [text_line("Saving…", Style.NOTICE)] if form.saving else []


def _form_alone(form: Form, size: Size) -> Picture:
    """The focused field under its label or under what is wrong, as much as a small screen holds."""
    place = f"{form.focused.label} ({form.focus + 1}/{len(form.fields)})"
    above = [text_line(form.title, Style.TITLE), text_line(place, Style.DIM)]
    remark = _remark(form, size.width)[: max(size.height - 1, 0)]
    above = [*above, *remark][max(len(above) + len(remark) + 1 - size.height, 0) :]
    shown, cursor = form.focused.view(size.width)
    return Picture((*above, text_line(shown)), (cursor, len(above))).fitted(size)


def _question_box(base: Picture, question: Question, size: Size) -> Picture:
    width = _box_cells(size)
    name = widths.clip(widths.clean(question.account), width)
    text = f"{name} is no longer watched, and its key is removed from the keyring."
    lines = [text_line(f" {line}") for line in widths.wrap(text, width - 4)]
    inner = Picture((*lines, (), key_bar(QUESTION_KEYS, width)))
    return centered_over(base, boxed("Delete the account?", inner, width), size.width)


def _question_alone(question: Question, size: Size) -> Picture:
    lines = widths.wrap(f"Delete? y/n {widths.clean(question.account)}", size.width)
    return Picture(tuple(text_line(line) for line in lines)).fitted(size)
