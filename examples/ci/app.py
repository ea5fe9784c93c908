"""A program that asks a model, with nothing but the standard library: what is tested here."""

import json
import os
import urllib.error
import urllib.request

TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


def complete(messages, tools=(), again=False):
    """The model's message."""
    body = {"model": os.environ.get("MODEL", "gpt-5.2"), "messages": messages}
    if tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in tools]
    request = urllib.request.Request(
        f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["choices"][0]["message"]
    except urllib.error.HTTPError as error:
        if error.code != 429 or again:
            raise
    return complete(messages, tools, again=True)  # a busy model is asked once more


def weather(city, measure):
    """What the model says of the weather in a city; `measure` is the tool that it may call."""
    messages = [{"role": "user", "content": f"What is the weather in {city}?"}]
    while True:
        message = complete(messages, [TOOL])
        messages.append(message)
        if not message.get("tool_calls"):
            return message["content"]
        for call in message["tool_calls"]:
            told = measure(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": told})
