"""What every request meets: credentials, shapes of errors, headers, limits."""

from pathlib import Path

import pytest

from tests.flows.house import MASTER, House, chat, play

CREDENTIAL_HEADERS = ["Otari-Key", "AnyLLM-Key", "X-AnyLLM-Key", "Authorization", "x-api-key"]


@pytest.mark.parametrize("header", CREDENTIAL_HEADERS)
@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "{}"])
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_every_credential_header_opens_both_prefixes(tmp_path: Path, header: str, form: str, prefix: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.get(prefix + "/v1/models", **{header: form.format(house.key)})
            if header == "Authorization" and form == "{}":
                assert answer.status == 401
                assert answer.json["detail"] == "Invalid header format. Expected 'Bearer <token>'"
            else:
                assert answer.status == 200

    play(scene())


def test_the_first_header_that_holds_anything_decides(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            wrong_first = await house.get(
                "/v1/models", **{"Otari-Key": "gw-wrong", "Authorization": f"Bearer {house.key}"}
            )
            assert wrong_first.status == 401
            right_first = await house.get(
                "/v1/models", **{"Otari-Key": house.key, "Authorization": "Bearer gw-wrong", "x-api-key": "no"}
            )
            assert right_first.status == 200

    play(scene())


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Missing Otari-Key, Authorization, or x-api-key header"),
        ({"Authorization": "Bearer"}, "Missing Otari-Key, Authorization, or x-api-key header"),
        ({"Otari-Key": "Bearer "}, "Missing Otari-Key, Authorization, or x-api-key header"),
        ({"Authorization": "Basic YTpi"}, "Invalid header format. Expected 'Bearer <token>'"),
        ({"Authorization": "Bearer gw-nobody"}, "Invalid API key"),
        ({"Authorization": "Bearer ' OR '1'='1"}, "Invalid API key"),
        ({"x-api-key": "\xfc\xff"}, "Invalid API key"),
    ],
)
def test_who_may_not_in_is_told_why(tmp_path: Path, headers: dict[str, str], detail: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.get("/v1/models", **headers)
            assert answer.status == 401
            assert answer.json["detail"] == answer.error["message"] == detail
            assert "WWW-Authenticate" not in answer.headers

    play(scene())


def test_a_bad_key_wins_over_a_broken_body(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(b"{", headers={"Authorization": "Bearer gw-wrong"})
            assert answer.status == 401

    play(scene())


def test_a_credential_header_that_stands_twice_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            received = await house.raw(
                b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Authorization: Bearer " + house.key.encode() + b"\r\nAuthorization: Bearer x\r\n\r\n"
            )
            assert received.startswith(b"HTTP/1.1 400 ")
            assert b"Authorization" in received
            assert house.key.encode() not in received

    play(scene())


def test_every_answer_names_its_request_and_carries_the_security_headers(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            seen = set()
            answers = [
                await house.get("/health"),
                await house.get("/v1/models"),
                await house.get("/v1/models", **{"Otari-Key": house.key}),
                await house.get("/nowhere"),
                await house.post(chat()),
                await house.post(chat(stream=True)),
                await house.post(b"{"),
            ]
            for answer in answers:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
                assert answer.headers["Server"] == "otari"
                assert answer.headers["Otari-Request-ID"] == answer.headers["X-Otari-Request-ID"]
                seen.add(answer.headers["Otari-Request-ID"])
            assert len(seen) == len(answers)
            assert "Cache-Control" not in answers[0].headers
            assert all("no-store" in answer.headers["Cache-Control"] for answer in answers[1:])

    play(scene())


@pytest.mark.parametrize("prefix", ["", "/v1", "/api/v1"])
def test_health_needs_no_key(tmp_path: Path, prefix: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await house.get(prefix + "/health")).json == {"status": "healthy"}
            assert (await house.get(prefix + "/health/liveness")).json == "I'm alive!"
            ready = (await house.get(prefix + "/health/readiness")).json
            assert (ready["status"], ready["database"]) == ("healthy", "connected")

    play(scene())


def test_unknown_paths_and_verbs_are_told_in_our_shape(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            missing = await house.get("/v1/nope")
            assert (missing.status, missing.json["detail"]) == (404, "Not Found")
            wrong_verb = await house.get("/api/v1/chat/completions")
            assert (wrong_verb.status, wrong_verb.headers["Allow"]) == (405, "POST")
            assert wrong_verb.error["type"] == "method_not_allowed"
            near_messages = await house.get("/v1/messages")
            assert near_messages.json["type"] == "error"

    play(scene())


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example"])
def test_on_loopback_only_our_own_names_are_answered(tmp_path: Path, host: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.get("/v1/models", **{"Host": host, "Otari-Key": house.key})
            assert answer.status == 421
            for good in ("localhost", "LOCALHOST:8000", "127.0.0.1", "[::1]", "[::1]:8000"):
                assert (await house.get("/health", Host=good)).status == 200

    play(scene())


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_another_content_type_is_refused(tmp_path: Path, kind: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(chat(), headers={"Content-Type": kind})
            assert answer.status == 415
            assert answer.error["param"] == "Content-Type"
            assert house.rows() == []

    play(scene())


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip"])
def test_an_encoding_that_is_not_understood_is_refused(tmp_path: Path, encoding: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(chat(), headers={"Content-Encoding": encoding})
            assert answer.status in (400, 415)

    play(scene())


def test_a_damaged_gzip_body_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(b"hello", headers={"Content-Encoding": "gzip"})
            assert answer.status == 400

    play(scene())


def test_a_body_over_the_limit_is_refused_without_reading_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, json_max_bytes=2048) as house:
            announced = (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Otari-Key: " + house.key.encode() + b"\r\nContent-Length: 2049\r\n\r\n"
            )
            assert (await house.raw(announced)).startswith(b"HTTP/1.1 413 ")
            chunked = announced.replace(b"Content-Length: 2049", b"Transfer-Encoding: chunked")
            assert (await house.raw(chunked + b"1000\r\n" + b"a" * 4096 + b"\r\n0\r\n\r\n")).startswith(
                b"HTTP/1.1 413 "
            )
            fits = await house.post(chat(text="a" * 1900))
            assert fits.status == 200

    play(scene())


def test_the_default_limit_takes_what_coding_clients_send(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(chat(text="word " * 400_000))
            assert answer.status == 200

    play(scene())


def test_the_master_key_must_name_a_user_that_exists(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            master = {"Authorization": f"Bearer {MASTER}"}
            nobody = await house.post(chat(), headers=master)
            assert nobody.status == 400
            assert nobody.error["message"] == "When using master key, 'user' field is required in request body"
            ghost = await house.post(chat(user="ghost"), headers=master)
            assert (ghost.status, ghost.json["detail"]) == (404, "User 'ghost' not found")
            user = house.query("SELECT user_id FROM users")[0]["user_id"]
            assert (await house.post(chat(user=user), headers=master)).status == 200
            (row,) = house.rows()
            assert (row["user_id"], row["key_id"]) == (user, None)

    play(scene())


def test_a_key_speaks_for_its_own_user_only(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(chat(user="someone-else"))
            assert answer.status == 403
            assert answer.error["message"] == "'user' field does not match the authenticated API key's user"
            own = house.query("SELECT user_id FROM users")[0]["user_id"]
            assert (await house.post(chat(user=own))).status == 200

    play(scene())


@pytest.mark.parametrize(("path", "status"), [("/v1/models", b"405"), ("/nowhere", b"404")])
def test_an_answer_to_head_has_no_body(tmp_path: Path, path: str, status: bytes) -> None:
    """A body there would be read as the beginning of the next answer on that connection."""

    async def scene() -> None:
        async with House(tmp_path) as house:
            sent = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            head, _, body = (await house.raw(sent.encode())).partition(b"\r\n\r\n")
            assert head.split()[1] == status
            assert b"Content-Length: " in head
            assert body == b""

    play(scene())
