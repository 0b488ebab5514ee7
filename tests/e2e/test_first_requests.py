"""What programs send first when someone enters our address and a key: the requests of Open WebUI, Continue, Cherry Studio, Dify's GPUStack
plugin, LiteLLM and n8n, as plain HTTP. What these programs read of an answer is what is looked at."""
import base64
import json

import pytest

KEY = "KEY"   # stands for the key in headers
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {KEY}"}
BOTH = {**BEARER, "x-api-key": KEY}   # Continue and Cherry Studio send both
OPEN_WEBUI = {**BEARER, "X-OpenWebUI-User-Name": "Ada%20L", "X-OpenWebUI-User-Id": "7c1", "X-OpenWebUI-User-Email": "ada@example.org",
              "X-OpenWebUI-User-Role": "admin"}
ELECTRON = {**BOTH, "Accept": "application/json", "Accept-Language": "zh-CN", "Origin": "null", "HTTP-Referer": "https://cherry-ai.com",
            "X-Title": "Cherry Studio", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site",
            "Priority": "u=1, i", "X-Stainless-Retry-Count": "0", "X-Stainless-Timeout": "600",
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 CherryStudio/1.5.7 Chrome/138.0 Electron/37.2 Safari/537.36"}
PING = [{"role": "user", "content": "ping"}]
DOCUMENTS = ["Cats sleep a lot.", "Paris is the capital of France."]
QUERY = "What is the capital of France?"
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def events(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line and not line.startswith(":")]   # Dify splits at two line feeds
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def lists_models(answer):
    assert answer.status_code == 200, answer.text
    assert "smollm2" in [entry["id"] for entry in answer.json()["data"]]


def chats(answer):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["object"] == "chat.completion" and body["choices"][0]["message"]["role"] == "assistant"
    assert body["usage"]["completion_tokens"] > 0


def completes(answer):
    assert answer.status_code == 200, answer.text
    assert answer.json()["object"] == "text_completion" and "text" in answer.json()["choices"][0]


def streams(answer):
    assert answer.status_code == 200, answer.text
    chunks = events(answer)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "usage" not in chunks[-1] and chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")


def streams_with_usage(answer):
    assert answer.status_code == 200, answer.text
    chunks = events(answer)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0
    assert chunks[-2]["choices"][0]["finish_reason"] in ("stop", "length")


def streams_text(answer):
    assert answer.status_code == 200, answer.text
    assert all("text" in chunk["choices"][0] for chunk in events(answer))


def embeds(answer):
    assert answer.status_code == 200, answer.text
    assert all(len(item["embedding"]) == 384 for item in answer.json()["data"])
    assert answer.json()["usage"]["total_tokens"] > 0


def ranks(answer):
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][0]["index"] == 1 and answer.json()["results"][0]["relevance_score"] > 0


def refuses(param):
    def check(answer):
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param
    return check


def chat(content="hi", **more):
    return {"model": "smollm2", "messages": [{"role": "user", "content": content}], "max_tokens": 8, **more}


FIRST = [
    ("open-webui-save", "GET", "/v1/models", OPEN_WEBUI, None, lists_models),
    ("open-webui-chat", "POST", "/v1/chat/completions", {**OPEN_WEBUI, **JSON},
     chat(stream=True, stream_options={"include_usage": True}), streams_with_usage),
    ("open-webui-title", "POST", "/v1/chat/completions", OPEN_WEBUI,
     {"model": "smollm2", "stream": False, "max_completion_tokens": 12, "messages": [
         {"role": "user", "content": "### Task:\nGenerate a title for the chat.\n<chat_history>\nUSER: hi\n</chat_history>"}]}, chats),
    ("open-webui-image", "POST", "/v1/chat/completions", OPEN_WEBUI,
     chat([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}], stream=True),
     refuses("messages[0].content[1]")),
    ("open-webui-embeddings", "POST", "/v1/embeddings", OPEN_WEBUI, {"input": DOCUMENTS, "model": "minilm"}, embeds),
    ("continue-chat", "POST", "/v1/chat/completions", BOTH,
     chat(stream=True, stream_options={"include_usage": True}, temperature=0.5), streams_with_usage),
    ("continue-autocomplete", "POST", "/v1/completions", BOTH,
     {"model": "smollm2", "prompt": "<fim_prefix>def f(<fim_suffix>):\n<fim_middle>", "max_tokens": 8, "temperature": 0.01, "stream": True,
      "stop": ["<fim_prefix>", "<fim_suffix>", "<file_sep>", "\n\n"]}, streams_text),
    ("continue-fim", "POST", "/v1/completions", BOTH,
     {"model": "smollm2", "prompt": "def f(", "suffix": "):", "max_tokens": 8, "stream": True}, refuses("suffix")),
    ("continue-embeddings", "POST", "/v1/embeddings", BOTH, {"model": "minilm", "input": DOCUMENTS}, embeds),
    ("continue-rerank", "POST", "/v1/rerank", BOTH, {"model": "minilm", "query": QUERY, "documents": DOCUMENTS}, ranks),
    ("cherry-studio-manage", "GET", "/v1/models", ELECTRON, None, lists_models),
    ("cherry-studio-check", "POST", "/v1/chat/completions", ELECTRON,
     chat(stream=True, temperature=0.05, top_p=0.08, stream_options={"include_usage": True}), streams_with_usage),
    ("cherry-studio-gpustack", "POST", "/v1-openai/chat/completions", ELECTRON, chat(stream=True), streams),
    ("cherry-studio-embeddings", "POST", "/v1/embeddings", ELECTRON,
     {"model": "minilm", "input": "hi", "encoding_format": "float"}, embeds),
    ("cherry-studio-rerank", "POST", "/v1/rerank", {**BEARER, **JSON},
     {"model": "minilm", "query": QUERY, "documents": DOCUMENTS, "top_n": 2}, ranks),
    ("dify-validate", "POST", "/v1/chat/completions", BEARER, {"model": "smollm2", "max_tokens": 5, "messages": PING}, chats),
    ("dify-validate-stream", "POST", "/v1/chat/completions", BEARER,
     {"model": "smollm2", "max_tokens": 5, "messages": PING, "stream": True}, streams),
    ("dify-validate-completion", "POST", "/v1/completions", BEARER, {"model": "smollm2", "max_tokens": 5, "prompt": "ping"}, completes),
    ("dify-thinking", "POST", "/v1/chat/completions", BEARER,
     chat(stream=True, user="u-1", thinking={"type": "disabled"}, enable_thinking=False,
          chat_template_kwargs={"enable_thinking": False, "thinking": False, "reasoning_effort": "low"}), streams),
    ("dify-embedding", "POST", "/v1/embeddings", BEARER, {"model": "minilm", "input": ["ping"]}, embeds),
    ("dify-rerank", "POST", "/v1/rerank", BEARER,
     {"model": "minilm", "query": QUERY, "documents": DOCUMENTS, "top_n": 2, "return_documents": True}, ranks),
    ("litellm-models", "GET", "/v1/models", BEARER, None, lists_models),
    ("litellm-health", "POST", "/v1/chat/completions", BEARER,
     {"model": "smollm2", "messages": [{"role": "user", "content": "Hey how's it going?"}], "max_tokens": 1}, chats),
    ("litellm-extra-parameters", "POST", "/v1/chat/completions", {**BEARER, "x-litellm-call-id": "1", "X-Stainless-Lang": "python"},
     chat(user="u", metadata={"a": "b"}, num_retries=3, timeout=30, safety_identifier="s", prompt_cache_key="k", store=False), chats),
    ("litellm-slash-behind-the-base", "POST", "/v1//chat/completions", BEARER, chat(), chats),
    ("litellm-anthropic-key", "GET", "/v1/models", {"x-api-key": KEY, "anthropic-version": "2023-06-01"}, None, lists_models),
    ("n8n-credentials", "GET", "/v1/models", {**BEARER, "User-Agent": "n8n"}, None, lists_models),
]


@pytest.mark.parametrize("method, path, headers, body, check", [row[1:] for row in FIRST], ids=[row[0] for row in FIRST])
def test_first_request(embedding_server, method, path, headers, body, check):
    sent = {name: value.replace(KEY, embedding_server.key) for name, value in headers.items()}
    content = {} if body is None else {"json": body}
    check(embedding_server.request(method, path, headers=sent, **content))
