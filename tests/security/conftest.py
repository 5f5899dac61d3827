from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.security.house import House, running_house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server here (Debian: apt-get install redis-server)")
    with running_house(tmp_path_factory.mktemp("security")) as house:
        yield house
