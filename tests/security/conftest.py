from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.backends import Backend, running_backend
from tests.security.house import House, running_house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server here (Debian: apt-get install redis-server)")
    with running_house(tmp_path_factory.mktemp("security")) as house:
        yield house


@pytest.fixture(scope="session")
def alone() -> Iterator[Backend]:
    """Told nothing but a port, by a user who lets everybody read what is made."""
    before = os.umask(0o000)
    try:
        with running_backend(ready=False) as backend:
            os.umask(before)
            yield backend
    finally:
        os.umask(before)
