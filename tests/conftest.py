import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from stack_kit import Stack  # noqa: E402


@pytest.fixture(scope="session")
def stack():
    """One suite for all flow tests of a run; a test that disturbs it makes its own."""
    with Stack() as one:
        yield one
