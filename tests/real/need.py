"""What a test on real parts needs: programs, without which it is skipped here and fails in CI; and no privileges."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def need(*programs: str) -> None:
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    message = f"needs {', '.join(missing)} on PATH; .ci/run installs them"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def unprivileged() -> Iterator[None]:
    """For the time of the block, nothing is allowed that an ordinary user is denied."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
