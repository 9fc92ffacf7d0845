import pytest

from malha.ingest.guide.tests.conftest import Signed


@pytest.fixture
def signed():
    return Signed
