"""Hostile requests, one row each: what is sent, which statuses are right, what it is a guard against.

Most of them have broken some server or gateway in public; the rest are their neighbours.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.gateway import MASTER_KEY
from tests.e2e.wire import CHAT, chat, chat_raw, request

CLOSED = 0  # the connection ends without an answer
PRICED, UNPRICED = "up:ok-n3", "up:ok-n4"
JSON_MAX_BYTES = 33_554_432
SECRET = "SECRETSECRET"  # stands for a credential inside a broken header

HOST = "Host: 127.0.0.1\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile request. `sent` makes the bytes from a valid key. `calls` is how often a provider may be asked."""

    id: str
    why: str
    sent: Callable[[str], bytes]
    statuses: tuple[int, ...]
    calls: int = 0
    timeout_s: float = 15.0


def raw(text: str) -> Callable[[str], bytes]:
    """Bytes as they are; `{key}` stands for a valid key."""
    return lambda key: text.replace("{key}", key).encode("latin-1")


def get(path: str = "/v1/models", **headers: str) -> Callable[[str], bytes]:
    """A GET with these headers (`_` for `-`); `{key}` stands for a valid key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda key: request("GET", path, {name: value.replace("{key}", key) for name, value in named.items()})


def body(data: bytes, **headers: str) -> Callable[[str], bytes]:
    """A chat request with this body."""
    return lambda key: chat_raw(key, data, **headers)


def asked(model: str = PRICED, **more: object) -> Callable[[str], bytes]:
    """A chat request with these members."""
    return lambda key: chat(key, model, **more)


def upload(data: bytes, content_type: str = "multipart/form-data; boundary=X") -> Callable[[str], bytes]:
    """A file to keep, as these bytes."""
    named = {"Content-Type": content_type}
    return lambda key: request("POST", "/v1/files", {"Authorization": f"Bearer {key}", **named}, data)


_PART = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nx\r\n'


def broken_off(key: str) -> bytes:
    """A form that says that it is longer, and then a request that could be taken for the rest of it."""
    told = {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=X", "Content-Length": "9"}
    return request("POST", "/v1/files", told, _PART)


def _chunked(chunks: str) -> Callable[[str], bytes]:
    return raw(f"POST {CHAT} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunks}")


def _message(content: bytes) -> bytes:
    return b'{"model":"' + PRICED.encode() + b'","messages":[{"role":"user","content":' + content + b"}]}"


def _bomb(key: str) -> bytes:
    return chat_raw(key, gzip.compress(bytes(2 * JSON_MAX_BYTES)), Content_Encoding="gzip")


def _too_long_chunked(key: str) -> bytes:
    head = f"POST {CHAT} HTTP/1.1\r\n{HOST}Connection: close\r\nAuthorization: Bearer {key}\r\n"
    size = JSON_MAX_BYTES + 1
    return (
        head.encode()
        + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size
        + b"a" * size
        + b"\r\n0\r\n\r\n"
    )


FRAMING = (
    Case(
        "bare-lf-in-chunk-extension",
        "two parsers may disagree where the body ends",
        _chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"),
        (400,),
    ),
    Case("chunk-size-overflow", "a size beyond any integer type", _chunked("fffffffffffffffff\r\nx"), (400,)),
    Case("negative-chunk-size", "a size below zero", _chunked("-5\r\nhello\r\n0\r\n\r\n"), (400,)),
    Case(
        "negative-content-length",
        "a length below zero",
        raw(f"POST {CHAT} HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n"),
        (400,),
    ),
    Case(
        "signed-content-length",
        "+5 is no length",
        raw(f"POST {CHAT} HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\nhello"),
        (400,),
    ),
    Case(
        "length-and-chunked",
        "request smuggling: two answers to the question where the body ends",
        raw(
            f"POST {CHAT} HTTP/1.1\r\n{HOST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            f"GET /health HTTP/1.1\r\n{HOST}\r\n"
        ),
        (400,),
    ),
    Case(
        "two-lengths",
        "request smuggling by two Content-Length headers",
        raw(f"POST {CHAT} HTTP/1.1\r\n{HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        (400,),
    ),
    Case(
        "chunked-not-last",
        "an unknown coding behind chunked",
        raw(f"POST {CHAT} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        (400,),
    ),
    Case(
        "space-before-colon",
        "header names that proxies read otherwise",
        raw(f"GET /v1/models HTTP/1.1\r\n{HOST}X-A : b\r\n\r\n"),
        (400,),
    ),
    Case(
        "folded-header",
        "a header continued on the next line",
        raw(f"GET /v1/models HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n"),
        (400,),
    ),
    Case(
        "nul-in-credential",
        "the broken header must not be repeated anywhere",
        raw(f"GET /v1/models HTTP/1.1\r\n{HOST}Authorization: Bearer gw-{SECRET}\0\r\n\r\n"),
        (400,),
    ),
    Case(
        "nul-in-path",
        "a path that the operating system would cut",
        raw(f"GET /v1/mod\0els?k={SECRET} HTTP/1.1\r\n{HOST}\r\n"),
        (400,),
    ),
    Case(
        "trailer-flood",
        "trailers without limit",
        _chunked("0\r\n" + "".join(f"X-{i}: a\r\n" for i in range(20_000)) + "\r\n"),
        (400,),
    ),
    Case(
        "header-flood",
        "headers without limit",
        raw(f"GET /v1/models HTTP/1.1\r\n{HOST}" + "".join(f"X-{i}: a\r\n" for i in range(500)) + "\r\n"),
        (400, 431),
    ),
    Case(
        "long-header",
        "a header of 9,000 bytes",
        raw(f"GET /v1/models HTTP/1.1\r\n{HOST}X-Pad: {'a' * 9000}\r\n\r\n"),
        (400, 431),
    ),
    Case("long-path", "a path of 9,000 bytes", raw(f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n"), (400, 414)),
    Case("no-host", "HTTP/1.1 demands a Host", raw("GET /v1/models HTTP/1.1\r\n\r\n"), (400,)),
    Case("unknown-version", "a version that is not ours", raw(f"GET /v1/models HTTP/9.9\r\n{HOST}\r\n"), (400, 505)),
    Case("binary-noise", "not HTTP at all", lambda key: bytes(range(256)), (400,)),
    Case(
        "tls-hello",
        "a client that speaks TLS to a plain port",
        lambda key: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
        (400,),
    ),
)

EDGE = (
    Case(
        "foreign-host",
        "DNS rebinding: a web page that resolves its own name to loopback",
        get(Host="evil.example", Authorization="Bearer {key}"),
        (421,),
    ),
    Case(
        "foreign-host-with-port",
        "the same with a port",
        get(Host="evil.example:80", Authorization="Bearer {key}"),
        (421,),
    ),
    Case(
        "simple-cross-site-post",
        "a form post from a web page",
        lambda key: request(
            "POST", CHAT, {"Origin": "https://evil.example", "Content-Type": "text/plain"}, _message(b'"x"')
        ),
        (401, 403, 415),
    ),
    Case(
        "preflight",
        "no page may be allowed in",
        lambda key: request(
            "OPTIONS", CHAT, {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        ),
        (401, 403, 404, 405),
    ),
    Case("unknown-path", "an answer in our shape", get("/v1/nope"), (401, 404)),
    Case(
        "path-traversal",
        "encoded dots",
        get("/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", Authorization="Bearer {key}"),
        (404,),
    ),
    Case("nul-in-encoded-path", "an encoded NUL", get("/v1/models/stub%00x", Authorization="Bearer {key}"), (404,)),
    Case(
        "bad-utf8-in-path",
        "escapes that are no UTF-8",
        get("/v1/models/%ff%fe", Authorization="Bearer {key}"),
        (400, 404),
    ),
    Case(
        "trace",
        "a method that echoes headers",
        raw(f"TRACE /v1/models HTTP/1.1\r\n{HOST}Connection: close\r\nX-Secret: {SECRET}\r\n\r\n"),
        (404, 405),
    ),
    Case("broken-gzip", "a body that is not what its header says", body(b"hello", Content_Encoding="gzip"), (400, 415)),
    Case(
        "unknown-encoding",
        "a coding that is not understood",
        body(_message(b'"x"'), Content_Encoding="br, zstd"),
        (400, 415),
    ),
    Case("gzip-bomb", "64 MiB in 64 KiB: the unpacked size counts", _bomb, (413,)),
    Case("too-long", "one byte over the limit, told at once by its length", body(b"a" * (JSON_MAX_BYTES + 1)), (413,)),
    Case("too-long-chunked", "one byte over the limit, not told before", _too_long_chunked, (413,)),
)

CREDENTIALS = (
    Case(
        "same-header-twice",
        "a proxy and we could read different ones",
        raw(
            "GET /v1/models HTTP/1.1\r\n"
            + HOST
            + f"Connection: close\r\nAuthorization: Bearer {{key}}\r\nAuthorization: Bearer {MASTER_KEY}\r\n\r\n"
        ),
        (400,),
    ),
    Case(
        "first-header-wins-right",
        "two headers, the documented order decides",
        get(Otari_Key="Bearer {key}", Authorization="Bearer gw-other"),
        (200,),
    ),
    Case(
        "first-header-wins-wrong",
        "a right key further down mends nothing",
        get(Otari_Key="Bearer gw-other", Authorization="Bearer {key}"),
        (401,),
    ),
    Case("sql-in-key", "the key is data", get(Authorization="Bearer ' OR '1'='1"), (401,)),
    Case("like-in-key", "no wildcards", get(Authorization="Bearer gw-%"), (401,)),
    Case("empty-bearer", "nothing must never equal a key that is not set", get(Authorization="Bearer"), (401,)),
    Case("blank-bearer", "nothing but blanks", get(Otari_Key="Bearer "), (401,)),
    Case("non-ascii-key", "bytes that no key has", get(Authorization="Bearer gw-\xe4\xf6\xfc\xff"), (400, 401)),
    Case("basic-scheme", "another scheme", get(Authorization="Basic dXNlcjpwYXNz"), (401,)),
    Case("long-key", "a key of 8,000 characters", get(Authorization="Bearer gw-" + "x" * 8000), (401,)),
    Case(
        "key-prefix",
        "the beginning of a right key",
        lambda key: request("GET", "/v1/models", {"Authorization": f"Bearer {key[:-1]}"}),
        (401,),
    ),
    Case(
        "bad-key-and-body",
        "the credential is judged before the body is read",
        lambda key: chat_raw("gw-wrong", b"{{{{"),
        (401,),
    ),
    Case("master-without-user", "the master key must say who pays", lambda key: chat(MASTER_KEY, PRICED), (400,)),
)

DOCUMENTS = (
    Case("deep-arrays", "500,000 levels", body(b"[" * 500_000 + b"]" * 500_000), (400,)),
    Case(
        "deep-objects",
        "1,000 levels inside a good request",
        body(
            b'{"model":"up:ok-n3","messages":[{"role":"user","content":"x"}],"metadata":'
            + b'{"a":' * 1000
            + b"1"
            + b"}" * 1000
            + b"}"
        ),
        (400,),
    ),
    Case(
        "not-a-number", "NaN makes every comparison false", body(_message(b'"x"')[:-1] + b',"max_tokens":NaN}'), (400,)
    ),
    Case("infinity", "Infinity is no JSON either", body(_message(b'"x"')[:-1] + b',"temperature":Infinity}'), (400,)),
    Case("a-list", "the top is not an object", body(b"[1,2]"), (400,)),
    Case("null", "nothing", body(b"null"), (400,)),
    Case("a-string", "text", body(b'"text"'), (400,)),
    Case("empty", "no bytes", body(b""), (400,)),
    Case("two-documents", "something behind the end", body(_message(b'"x"') + b"{}"), (400,)),
    Case("bad-utf8", "bytes that are no UTF-8", body(_message(b'"\xff\xfe"')), (400,)),
    Case("utf-16", "another encoding", body(_message(b'"x"').decode().encode("utf-16")), (400,)),
    Case("half-surrogate", "an escape that no text can hold", body(_message(b'"\\ud800"')), (400,)),
    Case(
        "huge-integer",
        "an integer of 400 digits",
        body(_message(b'"x"')[:-1] + b',"max_tokens":1' + b"0" * 400 + b"}"),
        (400,),
    ),
    Case("huge-exponent", "a number beyond floats", body(_message(b'"x"')[:-1] + b',"temperature":1e999}'), (400,)),
    Case("messages-not-a-list", "a wrong type", asked(messages={"role": "user"}), (400,)),
    Case("message-not-an-object", "a wrong type inside", asked(messages=["x"]), (400,)),
    Case("model-not-text", "a wrong type", body(b'{"model":{"$ne":null},"messages":[]}'), (400,)),
    Case(
        "model-with-newline",
        "a name that could split a log line or header",
        asked("up:ok\r\nX-Evil: 1"),
        (400, 402, 404),
    ),
    Case("unknown-provider", "a provider is a name from the configuration", asked("../../evil:model"), (400, 402, 404)),
)

MONEY = (
    Case("negative-limit", "a negative hold would raise the budget", asked(max_tokens=-1_000_000), (400,)),
    Case("boolean-limit", "true is an integer in Python", asked(max_tokens=True), (400,)),
    Case("text-limit", "a number as text", asked(max_tokens="7"), (400,)),
    Case("fractional-limit", "half a token", asked(max_tokens=1.5), (400,)),
    Case("million-choices", "n multiplies the output, so the hold too", asked(n=1_000_000), (400, 402, 403)),
    Case("no-price", "without a price a use can not be metered", asked(UNPRICED), (402,)),
)

FILES = (
    Case(
        "path-in-a-file-id",
        "a decoded path reaches the handler",
        get("/v1/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd/content", Authorization="Bearer {key}"),
        (404,),
    ),
    Case("nul-in-a-file-id", "no path may hold one", get("/v1/files/file-a%00b", Authorization="Bearer {key}"), (404,)),
    Case("unknown-file", "an id of nothing", get(f"/v1/files/file-{'0' * 32}", Authorization="Bearer {key}"), (404,)),
    Case("form-without-boundary", "nothing says where parts end", upload(b"x", "multipart/form-data"), (400,)),
    Case("form-that-is-no-form", "a body of one letter", upload(b"x"), (400,)),
    Case("form-of-nothing", "no bytes", upload(b""), (400,)),
    Case("form-of-json", "another type", upload(b"{}", "application/json"), (415,)),
    Case("form-without-an-end", "a last boundary that never comes", upload(_PART + b"--X\r\n"), (400,)),
    Case("form-without-names", "a part that nobody can ask for", upload(b"--X\r\n\r\nx\r\n--X--\r\n"), (400,)),
    Case("form-of-15000-parts", "walking them costs more than it gives", upload(_PART * 15_000 + b"--X--"), (400,)),
    Case("boundary-in-a-boundary", "two readers may disagree", upload(_PART + b"--XX\r\n\r\nx\r\n--X--\r\n"), (400,)),
    Case("bare-line-feeds", "two readers may disagree", upload((_PART + b"--X--").replace(b"\r", b"")), (400,)),
    Case("head-without-an-end", "a part's headers go on and on", upload(b"--X\r\n" + b"A: b\r\n" * 100_000), (400,)),
    Case("text-before-a-form", "a preamble of a mebibyte", upload(b"x" * 1024 * 1024 + b"\r\n" + _PART), (400,)),
    Case("broken-off-form", "a length that is not kept", broken_off, (400, CLOSED)),
)

ALL = (*FRAMING, *EDGE, *CREDENTIALS, *DOCUMENTS, *MONEY, *FILES)
