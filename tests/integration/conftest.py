from collections.abc import Iterator

import pytest

from tests.faults import FaultyHouse, build_house
from tests.legacy_process import legacy_process
from tests.services import Service, running


@pytest.fixture(scope="session")
def yolo26():
    with running("yolo26") as service:
        yield service


@pytest.fixture(scope="session")
def rtdetr():
    with running("rtdetr") as service:
        yield service


@pytest.fixture(params=["yolo26", "rtdetr"])
def service(request):
    """Each of the two legacy services, running."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def legacy() -> Iterator[Service]:
    """The real service over an engine that waits instead of computing: many quick answers on two cores."""
    with legacy_process() as service:
        yield service


@pytest.fixture(scope="session")
def faulty_house(tmp_path_factory: pytest.TempPathFactory) -> FaultyHouse:
    """A model repository whose one model can be made ill."""
    return build_house(tmp_path_factory.mktemp("faults"))
