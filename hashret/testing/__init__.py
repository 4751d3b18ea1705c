"""Contract suites: tests that every encoder, vectorizer, source and searcher must pass, for authors of plug-ins.

Subclass a suite in a test module, set the class under test, and run pytest:

    from hashret.testing import EncoderSuite

    class TestMine(EncoderSuite):
        encoder = MyEncoder
"""

from hashret.errors import need

for _module in ("pytest", "hypothesis"):
    need(_module, "test", "hashret.testing")

import pytest  # noqa: E402

for _module in ("options", "encoders", "searchers", "sources", "vectorizers"):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")  # so that a failing assert shows its values

from hashret.testing.encoders import EncoderSuite  # noqa: E402
from hashret.testing.options import OptionsSuite  # noqa: E402
from hashret.testing.searchers import SearcherSuite  # noqa: E402
from hashret.testing.sources import SourceSuite  # noqa: E402
from hashret.testing.vectorizers import VectorizerSuite  # noqa: E402

__all__ = ["EncoderSuite", "OptionsSuite", "SearcherSuite", "SourceSuite", "VectorizerSuite"]
