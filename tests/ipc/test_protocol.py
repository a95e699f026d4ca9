"""The kernel's word on a peer: from a real socket here, from the layout of <sys/ucred.h> for macOS."""

import os
import socket
import struct
import sys

import pytest

from monitor.ipc.protocol import parse_ucred, parse_xucred, peer_uid


def xucred(version: int = 0, uid: int = 501, groups: tuple[int, ...] = (20, 12, 61)) -> bytes:
    """`u_int cr_version; uid_t cr_uid; short cr_ngroups; gid_t cr_groups[16]`, padded as a compiler does."""
    return struct.pack("=IIh2x16I", version, uid, len(groups), *groups, *[0] * (16 - len(groups)))


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED is Linux's")
def test_both_ends_of_a_pair_are_ours() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert peer_uid(left) == peer_uid(right) == os.getuid()


def test_the_uid_is_the_second_word() -> None:
    assert parse_ucred(struct.pack("=iII", 4711, 1000, 100)) == 1000
    assert len(xucred()) == 76
    assert parse_xucred(xucred()) == 501


@pytest.mark.parametrize("data", [b"", xucred(version=1), xucred()[:7]])
def test_a_macos_answer_of_another_form_is_no_uid(data: bytes) -> None:
    assert parse_xucred(data) == -1


@pytest.mark.parametrize("data", [b"", b"\0" * 11])
def test_a_linux_answer_of_another_form_is_no_uid(data: bytes) -> None:
    assert parse_ucred(data) == -1


def test_a_socket_that_cannot_tell_has_no_uid() -> None:
    with socket.socket(socket.AF_INET) as alone:
        assert peer_uid(alone, "darwin") == -1
