"""The OpenAI Node client against /v1: node/client.mjs has the cases. `./dev test` installs Node and the client."""
import pathlib
import sys

import pytest

from conftest import client_program

HERE = pathlib.Path(__file__).parent / "node"
NODE = pathlib.Path(sys.prefix) / "bin/node"
CASES = ["chat", "stream", "stream_helper", "completions", "tools", "tools_streamed", "json_schema", "embeddings", "rerank", "models",
         "unknown_model", "bad_key", "bad_value", "cancel"]


@pytest.fixture(scope="module")
def outcomes(tool_server, embedding_server):
    assert NODE.exists() and (HERE / "node_modules/openai").is_dir(), "./dev test installs Node and its client"
    return client_program(tool_server, [str(NODE), str(HERE / "client.mjs")])


@pytest.mark.parametrize("case", CASES)
def test_openai_node(outcomes, case):
    assert outcomes[case] is None, outcomes[case]


def test_every_case_was_judged(outcomes):
    assert set(outcomes) == set(CASES)
