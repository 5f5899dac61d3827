import pytest

from tests.services import running


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
