"""What the SDKs make of a full server: one place for an answer, no queue."""

import openai
import pytest
from openai import OpenAI

from tests.conformance.suite import Served, add
from tests.stub_engine import Hold, StubEngine

pytestmark = pytest.mark.conformance


def test_a_full_server_is_a_rate_limit_error_with_a_time_to_wait(narrow: Served, stub: StubEngine) -> None:
    stub.script("Hello", Hold())
    with OpenAI(base_url=f"{narrow.url}/v1", api_key=narrow.key, max_retries=0) as client:
        asked = {"model": stub.model, "messages": [{"role": "user", "content": "Hi"}]}
        with client.chat.completions.create(**asked, stream=True) as first:
            assert next(iter(first)).choices[0].delta.role == "assistant"
            with pytest.raises(openai.RateLimitError) as refused:
                client.chat.completions.create(**asked)
        assert refused.value.status_code == 429
        assert int(refused.value.response.headers["retry-after"]) > 0
    add(f"openai-python {openai.__version__}", "429 and Retry-After of a full server", "passed")
