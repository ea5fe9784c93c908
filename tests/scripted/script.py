"""What a model name asks the scripted provider to do.

A name is a kind, followed by options, all separated by `-`: `ok-n20-i5` streams 20 tokens, 5 ms apart.

| kind | what the provider does |
|---|---|
| `ok` | answers (options: `n<tokens>`, `i<ms between tokens>`; every kind takes them) |
| `obeys` | answers with as many tokens as the request allows, at most `n`; finish reason `length` when cut |
| `status-<code>[-ra<s>]` | refuses with that status, and `Retry-After` |
| `echo_key-<code>` | refuses, and repeats the caller's credentials in the message |
| `echo_key_in_stream` | tells an error inside the stream that repeats the caller's credentials |
| `endless_error` | status 500 with a body that does not end |
| `html_200` | a web page with status 200 |
| `redirect307` | a redirect to `/trap` of the same provider |
| `set_cookie` | answers and sets a cookie |
| `garbled_gzip` | says that the body is gzip, which it is not |
| `slow_headers-<ms>` | waits before it answers at all |
| `reset_before_headers` | takes the request, then resets the connection |
| `ignores_stream` | answers a request for a stream with one JSON document |
| `cut_mid_event` | closes the connection within an event |
| `cut_body` | closes the connection within a JSON document |
| `eof_without_done` | ends the stream properly, but without finish reason, usage and `[DONE]` |
| `no_done` | leaves out only `[DONE]` |
| `done_twice_and_tail` | goes on after `[DONE]`: a token, usage again, `[DONE]` again |
| `error_event_in_200` | tells an error inside the stream after the tokens |
| `stall_after_<k>` | says nothing more after k tokens |
| `line_2mb` | one token of 2 MiB |
| `crlf` | ends lines with CR LF |
| `usage_negative`, `_text`, `_null`, `_huge`, `_missing` | unusable completion tokens, or no usage at all |
"""

from dataclasses import dataclass

TOKENS = 5
LONG_TOKEN = "x" * (2 * 1024 * 1024)

KINDS = frozenset(
    {
        "ok",
        "obeys",
        "status",
        "echo_key",
        "echo_key_in_stream",
        "endless_error",
        "html_200",
        "redirect307",
        "set_cookie",
        "garbled_gzip",
        "slow_headers",
        "reset_before_headers",
        "ignores_stream",
        "cut_mid_event",
        "cut_body",
        "eof_without_done",
        "no_done",
        "done_twice_and_tail",
        "error_event_in_200",
        "stall_after",
        "line_2mb",
        "crlf",
        "usage_negative",
        "usage_text",
        "usage_null",
        "usage_huge",
        "usage_missing",
    }
)

_ODD_COMPLETION_TOKENS: dict[str, object] = {
    "usage_negative": -5,
    "usage_text": "7",
    "usage_null": None,
    "usage_huge": 1e30,
}


@dataclass(frozen=True, slots=True)
class Script:
    """A model name, read. `number` is the bare number among the options (a status, or milliseconds)."""

    kind: str
    tokens: int = TOKENS
    gap_s: float = 0.0
    number: int = 0
    retry_after: str | None = None

    @property
    def stalls(self) -> bool:
        return self.kind == "stall_after"

    def words(self, count: int) -> list[str]:
        """The tokens of an answer."""
        return [LONG_TOKEN] if self.kind == "line_2mb" else [f"w{i} " for i in range(count)]

    def usage(self, prompt: int, completion: int) -> dict[str, object] | None:
        """What the provider reports; None when it reports nothing."""
        if self.kind == "usage_missing":
            return None
        told = _ODD_COMPLETION_TOKENS.get(self.kind, completion)
        return {"prompt_tokens": prompt, "completion_tokens": told, "total_tokens": prompt + completion}


def read_script(model: str) -> Script | None:
    """The script that a model name stands for; None for a name that is none."""
    kind, *options = model.split("-")
    tokens, gap_s, number, retry_after = TOKENS, 0.0, 0, None
    if kind.startswith("stall_after_"):
        kind, tokens = "stall_after", int(kind.removeprefix("stall_after_"))
    if kind == "line_2mb":
        tokens = 1
    if kind not in KINDS:
        return None
    for option in options:
        if option.startswith("ra"):
            retry_after = option[2:]
        elif option.startswith("n"):
            tokens = int(option[1:])
        elif option.startswith("i"):
            gap_s = int(option[1:]) / 1000
        else:
            number = int(option)
    return Script(kind, tokens, gap_s, number, retry_after)
