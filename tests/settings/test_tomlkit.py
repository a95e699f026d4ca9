"""What tomlkit does with a whole settings file, which is why it is given one table at a time. Tests of the library.

Once one of these fails, the library has changed: see whether `monitor/settings/file.py` can do with less.
"""

import tomlkit

APART = """\
[[accounts]]
name = "a"
[exporter]
listen = "off"
[[accounts]]
name = "b"
"""

HEADED = """\
# at home
[[accounts]]
name = "a"

# at work
[[accounts]]
name = "b"
"""


def test_accounts_that_stand_apart_are_moved_even_without_an_edit() -> None:
    assert tomlkit.dumps(tomlkit.parse(APART)) == (
        '[[accounts]]\nname = "a"\n[[accounts]]\nname = "b"\n[exporter]\nlisten = "off"\n'
    )


def test_the_heading_of_a_removed_account_is_left_to_the_next_whose_own_is_lost() -> None:
    document = tomlkit.parse(HEADED)
    document["accounts"].pop(0)
    assert tomlkit.dumps(document) == '# at home\n[[accounts]]\nname = "b"\n'


def test_a_new_key_is_put_below_the_comments_of_what_follows() -> None:
    document = tomlkit.parse("[settings]\npoll_interval_secs = 60\n# accounts\n[[accounts]]\n")
    document["settings"]["active_account"] = 1
    assert tomlkit.dumps(document) == (
        "[settings]\npoll_interval_secs = 60\n# accounts\nactive_account = 1\n[[accounts]]\n"
    )


def test_a_new_key_has_neither_the_indentation_nor_the_line_end_of_the_others() -> None:
    document = tomlkit.parse("[settings]\r\n  poll_interval_secs = 60\r\n")
    document["settings"]["active_account"] = 1
    assert tomlkit.dumps(document) == (
        "[settings]\r\n  poll_interval_secs = 60\r\nactive_account = 1\n"
    )


def test_a_new_account_stands_directly_below_the_one_above() -> None:
    document = tomlkit.parse('[[accounts]]\nname = "a"\n')
    document["accounts"].append({"name": "b"})
    assert tomlkit.dumps(document) == '[[accounts]]\nname = "a"\n[[accounts]]\nname = "b"\n'
