"""What a user of OpenAI's Python client does, against the server at OPENAI_BASE_URL with the key OPENAI_API_KEY.

Prints one JSON object with what it got; openai.rs says what that has to be.
"""

import json
import sys

import openai

base, adapter = sys.argv[1:3]
code = "int twice(int x) { return 2 * x; }"
messages = [{"role": "user", "content": f"Say what it does:\n```java\n{code}\n```"}]
client = openai.OpenAI(max_retries=0)
got = {"models": [model.id for model in client.models.list()]}

chat = client.chat.completions.create(model=adapter, messages=messages)
got["chat"] = chat.choices[0].message.content
got["chat_usage"] = chat.usage.total_tokens - chat.usage.prompt_tokens - chat.usage.completion_tokens
got["chat_finish"] = chat.choices[0].finish_reason

stream = client.chat.completions.create(
    model=adapter, messages=messages, stream=True, stream_options={"include_usage": True}
)
parts = list(stream)
got["chat_streamed"] = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
got["chat_streamed_usage"] = parts[-1].usage.completion_tokens

completion = client.completions.create(model=adapter, prompt=code)
got["completion"] = completion.choices[0].text

options = dict(model=base, messages=messages, temperature=0, max_tokens=12)
got["base_chat"] = client.chat.completions.create(**options).choices[0].message.content
parts = list(client.chat.completions.create(**options, stream=True))
got["base_chat_streamed"] = "".join(part.choices[0].delta.content or "" for part in parts)
got["base_parts"] = len(parts)

options = dict(model=base, prompt="int add(int a, int b) { return", temperature=0, max_tokens=8)
got["base_completion"] = client.completions.create(**options).choices[0].text
got["base_completion_streamed"] = "".join(part.choices[0].text for part in client.completions.create(**options, stream=True))

for name, error, ask in [
    ("unknown", openai.PermissionDeniedError, lambda: client.completions.create(model="nobody", prompt=code)),
    ("bad", openai.BadRequestError, lambda: client.completions.create(model=base, prompt=code, n=2)),
    ("no_key", openai.AuthenticationError, lambda: client.with_options(api_key="wrong").models.list()),
]:
    try:
        ask()
        got[name] = None
    except error as raised:
        got[name] = raised.code
print(json.dumps(got))
