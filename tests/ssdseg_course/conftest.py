import answers
import pytest


def pytest_configure(config):
    answers.SEEDS = range(config.getoption("seeds"))


@pytest.fixture
def outputs(monkeypatch):
    """What is displayed, as the list of (data, metadata) that a notebook would get."""
    published = []

    def publish(data, metadata=None, **_):
        published.append((data, metadata or {}))

    monkeypatch.setattr("IPython.core.interactiveshell.InteractiveShell.initialized", lambda: True)
    monkeypatch.setattr("IPython.core.display_functions.publish_display_data", publish)
    return published
