"""Programs that a test on real parts needs: without them it is skipped here, and fails in CI."""

import os
import shutil

import pytest


def need(*programs: str) -> None:
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return
    message = f"needs {', '.join(missing)} on PATH; .ci/run installs them"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
