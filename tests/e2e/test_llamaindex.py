"""LlamaIndex against /v1: llamaindex/client.py has the cases. It runs in an environment of its own, which `./dev test` makes."""
import pathlib
import sys

import pytest

from conftest import client_program

PYTHON = pathlib.Path(sys.prefix) / "llamaindex/bin/python"
CASES = ["chat", "stream", "complete", "tools", "json_schema", "embeddings", "rerank", "unknown_model", "bad_key", "bad_value", "cancel"]


@pytest.fixture(scope="module")
def outcomes(tool_server, embedding_server):
    assert PYTHON.exists(), "./dev test makes LlamaIndex's environment"
    return client_program(tool_server, [str(PYTHON), str(pathlib.Path(__file__).parent / "llamaindex/client.py")])


@pytest.mark.parametrize("case", CASES)
def test_llamaindex(outcomes, case):
    assert outcomes[case] is None, outcomes[case]


def test_every_case_was_judged(outcomes):
    assert set(outcomes) == set(CASES)
