"""The project folder that tests of the settings have, too."""

from tests.config.conftest import project, write

__all__ = ["project", "write"]
