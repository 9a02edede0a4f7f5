"""Parsers under random and hostile input; `make fuzz` does the same for ten minutes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.parsers import judge, targets


@pytest.mark.parametrize("name", targets())
@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_parser_answers_with_a_value_or_one_line(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    strategy, parse = targets()[name]
    value: Any = data.draw(strategy)
    judge(parse, value, tmp_path_factory.mktemp("fuzz"))
