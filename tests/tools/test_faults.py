"""The fault matrix: its page names every fault that the tool injects, and one of them is injected here."""

from tools.faults.__main__ import AREAS, FAULTS, HEAD, PAGE
from tools.faults.world import judge


def test_the_page_has_every_fault_and_that_it_recovers() -> None:
    text = PAGE.read_text()
    rows = text[text.index(HEAD) + len(HEAD) :].splitlines()
    found = {tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows}
    assert found == {(f.area, f.name, f.how, f.words, "recovers") for f in FAULTS}
    assert {fault.area for fault in FAULTS} == set(AREAS)


def test_a_fault_is_injected_and_judged() -> None:
    (cut,) = [fault for fault in FAULTS if fault.name == "an answer cut off in the midst"]
    row = judge(cut)
    assert row.verdict == "recovers", row.why
