"""Files over HTTP: kept as they were sent, seen by their user alone, and nothing left of what was refused."""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from otari.domain.names import RANDOM_NAMES
from tests.flows.files_client import Files, form, part
from tests.flows.house import MASTER, Answer, House, play
from tests.flows.reference import Reference

FILE = part("file", b"hello world!", "f.txt", "Content-Type: text/plain")
UNKNOWN = "/file-" + "0" * 32


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["detail"]


def test_a_life_of_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4_000

    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            sent = await files.send(content, "a.bin", "application/octet-stream", fields=[("purpose", "assistants")])
            assert sent.status == 200
            file = sent.json
            assert (file["bytes"], file["purpose"], file["expires_at"]) == (len(content), "assistants", None)
            assert abs(file["created_at"] - time.time()) < 60
            path = f"/{file['id']}"
            assert (await files.ask("GET", path)).json == file
            assert (await files.ask("GET")).json["data"] == [file]
            got = await files.ask("GET", path + "/content")
            assert got.body == content
            assert got.headers["Content-Type"] == "application/octet-stream"
            assert got.headers["Etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
            assert (await files.ask("DELETE", path)).json == {"id": file["id"], "object": "file", "deleted": True}
            for method, rest in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
                assert told(await files.ask(method, path + rest)) == (404, "File not found")
            assert files.kept == set()

    play(scene())


def test_a_file_is_of_its_user_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            bob = await files.another_user()
            path = f"/{(await files.send()).json['id']}"
            for method, rest in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
                foreign = await files.ask(method, path + rest, key=bob)
                missing = await files.ask(method, UNKNOWN + rest, key=bob)
                assert (foreign.status, foreign.body) == (missing.status, missing.body)
                assert foreign.status == 404
            assert (await files.ask("GET", key=bob)).json["data"] == []
            assert (await files.ask("GET", path)).status == 200
            mine = [row["user_id"] for row in house.query("SELECT user_id FROM files")]
            assert mine == [row["user_id"] for row in house.query("SELECT user_id FROM keys WHERE user_id <> 'bob'")]

    play(scene())


def test_two_keys_of_a_user_see_the_same_files(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            one, other = await files.another_user(), await files.another_user()
            path = f"/{(await files.send(key=one)).json['id']}"
            assert (await files.ask("GET", path, key=other)).status == 200

    play(scene())


def test_the_master_key_names_the_user(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            bob = await files.another_user()
            before, behind = part("user", b"bob"), FILE
            for fields in ((before, behind), (behind, before)):
                sent = await files.send_raw(form(*fields), Authorization=f"Bearer {MASTER}")
                assert sent.status == 200
            assert (await files.send(key=MASTER, query={"user": "bob"})).status == 200
            path = f"/{sent.json['id']}"
            assert (await files.ask("GET", path, key=bob)).status == 200
            for method, rest in (("GET", ""), ("GET", path), ("GET", path + "/content"), ("DELETE", path)):
                nobody = await files.ask(method, rest, key=MASTER)
                assert told(nobody) == (400, "When using master key, 'user' field is required")
                assert nobody.error["param"] == "user"
            assert told(await files.send(key=MASTER)) == (400, "When using master key, 'user' field is required")
            ghost = {"user": "ghost"}
            assert told(await files.send(key=MASTER, query=ghost)) == (404, "User 'ghost' not found")
            assert told(await files.ask("GET", key=MASTER, query=ghost)) == (404, "User 'ghost' not found")
            assert told(await files.ask("GET", path, key=MASTER, query=ghost)) == (404, "File not found")
            assert len((await files.ask("GET", key=MASTER, query={"user": "bob"})).json["data"]) == 3
            assert len(files.kept) == 3

    play(scene())


def test_a_key_does_not_name_another_user(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            await files.another_user()
            refused = "'user' field does not match the authenticated API key's user"
            assert told(await files.send(fields=[("user", "bob")])) == (403, refused)
            assert told(await files.ask("GET", query={"user": "bob"})) == (403, refused)
            assert files.kept == set()
        async with House(tmp_path, reject_user_mismatch=False) as house:
            tolerant = Files(house)
            key = await tolerant.another_user("carol")
            assert (await tolerant.send(fields=[("user", "bob")], key=key)).status == 200
            assert len((await tolerant.ask("GET", key=key, query={"user": "bob"})).json["data"]) == 1
            assert house.query("SELECT user_id FROM files") == [{"user_id": "carol"}]

    play(scene())


def test_a_blocked_user_keeps_nothing_new(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            bob = await files.another_user()
            await house.write("UPDATE users SET blocked = 1 WHERE user_id = 'bob'")
            assert told(await files.send(key=bob)) == (403, "User 'bob' is blocked")

    play(scene())


# ---- lists ----


def test_a_list_comes_in_parts(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            made = [(await files.send(name=f"{n}.txt", fields=[("purpose", "evals")])).json["id"] for n in range(5)]
            first = (await files.ask("GET", query={"limit": "2"})).json
            assert [file["id"] for file in first["data"]] == made[:2:-1]
            assert (first["first_id"], first["last_id"], first["has_more"]) == (made[4], made[3], True)
            await files.ask("DELETE", f"/{made[3]}")
            second = (await files.ask("GET", query={"limit": "2", "after": made[3]})).json
            assert [file["id"] for file in second["data"]] == made[2:0:-1]
            last = (await files.ask("GET", query={"limit": "2", "after": made[1]})).json
            assert ([file["id"] for file in last["data"]], last["has_more"]) == ([made[0]], False)
            oldest = (await files.ask("GET", query={"limit": "2", "after": made[0], "order": "asc"})).json
            assert [file["id"] for file in oldest["data"]] == made[1:3]
            empty = (await files.ask("GET", query={"purpose": "%%%%"})).json
            assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
            assert len((await files.ask("GET", query={"purpose": "evals"})).json["data"]) == 4

    play(scene())


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "file-1"}, "after"),
        ({"after": RANDOM_NAMES.file("alice", 0).upper()}, "after"),
    ],
)
def test_a_list_that_can_not_be_is_a_400(tmp_path: Path, query: dict[str, str], param: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await Files(house).ask("GET", query=query)
            assert answer.status == 400
            assert answer.error["param"] == param
            assert isinstance(answer.json["detail"], str)

    play(scene())


# ---- downloads ----


def test_a_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3_000

    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            path = f"/{(await files.send(content)).json['id']}/content"
            rest = await files.ask("GET", path, Range="bytes=500000-")
            assert (rest.status, rest.body) == (206, content[500_000:])
            assert rest.headers["Content-Range"] == f"bytes 500000-{len(content) - 1}/{len(content)}"
            tag = rest.headers["Etag"]
            assert (await files.ask("GET", path, Range="bytes=-5", If_Range=tag)).body == content[-5:]
            changed = await files.ask("GET", path, Range="bytes=-5", If_Range='"other"')
            assert (changed.status, changed.body) == (200, content)
            several = await files.ask("GET", path, Range="bytes=0-1,4-5")
            assert (several.status, several.body) == (200, content)
            behind = await files.ask("GET", path, Range=f"bytes={len(content)}-")
            assert (behind.status, behind.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
            same = await files.ask("GET", path, If_None_Match=f'"x", {tag}')
            assert (same.status, same.body, same.headers["Etag"]) == (304, b"", tag)

    play(scene())


def test_bytes_that_are_lost_are_not_found(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            file_id = (await files.send()).json["id"]
            (files.folder / file_id).unlink()
            assert told(await files.ask("GET", f"/{file_id}/content")) == (404, "File not found")

    play(scene())


def test_a_download_whose_bytes_end_early_is_cut(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            file_id = (await files.send(bytes(900_000))).json["id"]
            with (files.folder / file_id).open("r+b") as file:
                file.truncate(400_000)
            lines = (f"GET /v1/files/{file_id}/content HTTP/1.1", "Host: 127.0.0.1", f"Otari-Key: {house.key}", "", "")
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write("\r\n".join(lines).encode())
            received = await reader.read()
            writer.close()
            head, _, body = received.partition(b"\r\n\r\n")
            assert b"Content-Length: 900000" in head
            assert len(body) == 400_000  # and the connection is closed

    play(scene())


# ---- uploads ----


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\f.txt", "f.txt"),
        ("Ærø 👋.txt", "Ærø 👋.txt"),
        ("x" * 1000 + ".txt", "x" * 251 + ".txt"),
    ],
)
def test_a_name_is_kept_without_its_folders(tmp_path: Path, sent: str, name: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            answer = await files.send_raw(form(part("file", b"1", sent)))
            assert answer.json["filename"] == name
            got = await files.ask("GET", f"/{answer.json['id']}/content")
            assert got.headers["Content-Disposition"].isascii()
            assert files.kept == {answer.json["id"]}

    play(scene())


def test_a_type_that_says_nothing_is_found_by_the_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            for name, sent, kept in (
                ("a.pdf", "application/octet-stream", "application/pdf"),
                ("a.pdf", "text/plain", "text/plain; charset=utf-8"),
                ("a", "application/octet-stream", "application/octet-stream"),
            ):
                file = (await files.send(b"1", name, sent)).json
                got = await files.ask("GET", f"/{file['id']}/content")
                assert got.headers["Content-Type"] == kept

    play(scene())


def test_a_file_may_say_how_long_it_lives(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_retention_hours=2) as house:
            files = Files(house)
            anchor, seconds = "expires_after[anchor]", "expires_after[seconds]"
            for fields, lifetime in (
                ([], 7_200),
                ([(anchor, "created_at"), (seconds, "3600")], 3_600),
                ([(anchor, "created_at"), (seconds, "2592000")], 7_200),
            ):
                file = (await files.send(fields=fields)).json
                assert file["expires_at"] - file["created_at"] == lifetime
            for wrong, param in (
                ([(anchor, "yesterday"), (seconds, "3600")], anchor),
                ([(seconds, "3600")], anchor),
                ([(anchor, "created_at")], seconds),
                ([(anchor, "created_at"), (seconds, "3599")], seconds),
                ([(anchor, "created_at"), (seconds, "9" * 5_000)], seconds),
            ):
                answer = await files.send(fields=wrong)
                assert (answer.status, answer.error["param"]) == (400, param)

    play(scene())


def test_a_file_that_is_too_large_is_refused_however_it_comes(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_max_bytes=1_000) as house:
            files = Files(house)
            assert (await files.send(bytes(1_000))).status == 200
            refusal = (413, "File exceeds maximum upload size of 1000 bytes")
            assert told(await files.send(bytes(1_001))) == refusal
            assert told(await files.send(bytes(3_000_000))) == refusal

            async def pieces() -> AsyncIterator[bytes]:
                yield part("file", b"", "f.txt")[:-2]
                for _ in range(1_000):
                    yield bytes(5_000)

            answer = await files.ask("POST", body=pieces(), Content_Type="multipart/form-data; boundary=xYzZY")
            assert told(answer) == refusal
            assert len(files.kept) == 1

    play(scene())


def test_what_a_user_may_keep_has_an_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_max_user_bytes=1_000, files_max_count=3) as house:
            files = Files(house)
            assert (await files.send(bytes(600))).status == 200
            refused = await files.send(bytes(401))
            assert (refused.status, refused.error["code"]) == (403, "too_many_bytes")
            file_id = (await files.send(bytes(400))).json["id"]
            assert (await files.send(b"1")).error["code"] == "too_many_bytes"
            await files.ask("DELETE", f"/{file_id}")
            for _ in range(2):
                assert (await files.send(b"1")).status == 200
            assert (await files.send(b"1")).error["code"] == "too_many_files"
            assert len(files.kept) == 3

    play(scene())


PURPOSE = part("purpose", b"user_data")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "ends before"),
        (b"x", 400, "ends before"),
        (form(), 400, "no field 'file'"),
        (form(PURPOSE), 400, "no field 'file'"),
        (form(part("file", b"", "f.txt")), 400, "Uploaded file is empty"),
        (form(part("file", b"text")), 400, "must be a file with a name"),
        (form(part("file", b"text", "")), 400, "must be a file with a name"),
        (form(part("file", b"text", "../")), 400, "must be a file with a name"),
        (form(part(None, b"text", "f.txt")), 400, "no name"),
        (form(FILE, FILE), 400, "'file' stands more than once"),
        (form(PURPOSE, FILE, PURPOSE), 400, "'purpose' stands more than once"),
        (form(part("purpose", b"x" * 100_000), FILE), 400, "'purpose' is longer than"),
        (form(part("purpose", b"x" * 65), FILE), 400, "purpose must be"),
        (form(part("purpose", b""), FILE), 400, "purpose must be"),
        (form(part("purpose", b"a\nb"), FILE), 400, "purpose must be"),
        (form(part("purpose", b"\xff"), FILE), 400, "'purpose' is not UTF-8"),
        (form(part("purpose", b"x", "f.txt"), FILE), 400, "'purpose' must be plain text"),
        (form(part("colour", b"red"), FILE), 400, "'colour' is not known here"),
        (form(*[PURPOSE] * 15_000), 400, "stands more than once|more than 64 parts"),
        (form(*[part(f"f{n}", b"") for n in range(15_000)]), 400, "'f0' is not known|more than 64 parts"),
        (form(FILE)[:-8], 400, "ends before"),
        (FILE[:-14], 400, "ends before"),
        (form(FILE).replace(b"xYzZY", b"other"), 400, "ends before"),
        (form(FILE.replace(b"hello", b"\r\n--xYzZYhello")), 400, "begins with the boundary"),
        (form(part("file", b"text", "f.txt", "Content-Transfer-Encoding: base64")), 400, "Content-Transfer-Encoding"),
        (form(part("file", b"text", "f.txt", "X: " + "x" * 10_000)), 400, "longer than"),
    ],
)
def test_a_form_that_is_wrong_leaves_nothing(tmp_path: Path, body: bytes, status: int, words: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            answer = await files.send_raw(body)
            assert answer.status == status
            assert re.search(words, answer.json["detail"])
            assert answer.json["detail"] == answer.error["message"]
            assert (await files.send()).status == 200  # the next one is as good as ever
            await house.eventually(lambda: len(files.kept) == 1)
            assert len(house.query("SELECT 1 FROM files")) == 1

    play(scene())


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415),
        ("text/plain", 415),
        ("multipart/mixed; boundary=xYzZY", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
        ("Multipart/Form-Data; BOUNDARY=xYzZY", 200),
    ],
)
def test_only_a_form_is_taken(tmp_path: Path, content_type: str, status: int) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await Files(house).send_raw(form(FILE), content_type)).status == status

    play(scene())


def test_the_length_of_a_part_is_not_believed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            for length in ("0", "5", "-1", "999999999999", "x"):
                answer = await files.send_raw(form(part("file", b"hello world!", "f.txt", f"Content-Length: {length}")))
                assert (answer.status, answer.json["bytes"]) == (200, 12)

    play(scene())


@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_who_breaks_off_leaves_nothing(tmp_path: Path, framing: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            begun = part("file", b"x" * 400_000, "f.txt")
            sent = b"%x\r\n%b\r\n" % (len(begun), begun) if "chunked" in framing else begun
            head = (
                f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.key}\r\n"
                f"Content-Type: multipart/form-data; boundary=xYzZY\r\n{framing.replace('5000', '5000000')}\r\n\r\n"
            )
            _, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(head.encode() + sent)
            await house.eventually(lambda: bool(files.kept))
            writer.close()
            await house.eventually(lambda: not files.kept)
            assert house.query("SELECT 1 FROM files") == []
            assert (await files.send()).status == 200

    play(scene())


def test_many_at_once_are_each_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            contents = [bytes([n]) * (100_000 + n) for n in range(40)]
            sent = await asyncio.gather(*(files.send(content) for content in contents))
            assert [answer.status for answer in sent] == [200] * 40
            got = await asyncio.gather(*(files.ask("GET", f"/{one.json['id']}/content") for one in sent))
            assert [answer.body for answer in got] == contents
            assert files.kept == {answer.json["id"] for answer in sent}

    play(scene())


def test_files_may_be_switched_off(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_enabled=False) as house:
            files = Files(house)
            for answer in (await files.send(), await files.ask("GET"), await files.ask("GET", UNKNOWN)):
                assert told(answer) == (404, "File uploads are disabled")
            assert not files.folder.exists()

    play(scene())


def test_files_lie_where_they_are_told_to(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, files_local_dir=f"{tmp_path}/deep/down", files_backend="local") as house:
            sent = await Files(house).send()
            assert (tmp_path / "deep" / "down" / sent.json["id"]).read_bytes() == b"hello world!"

    play(scene())


@pytest.mark.parametrize("headers", [{}, {"anthropic_version": "2023-06-01"}])
def test_answers_are_what_the_document_says(tmp_path: Path, headers: dict[str, Any]) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            files, reference = Files(house), Reference((await house.get("/openapi.json")).body)
            sent = await files.send(**headers)
            reference.check("POST", "/v1/files", sent)
            reference.check("POST", "/v1/files", await files.send_raw(form(), **headers))
            reference.check("POST", "/v1/files", await files.ask("POST", body=b"{}", Content_Type="text/x", **headers))
            path = f"/{sent.json['id']}"
            for method, rest, more in (
                ("GET", "", {}),
                ("GET", path, {}),
                ("GET", UNKNOWN, {}),
                ("GET", path + "/content", {"Range": "bytes=0-3"}),
                ("GET", path + "/content", {"Range": "bytes=99-"}),
                ("GET", path + "/content", {"If_None_Match": "*"}),
                ("DELETE", path, {}),
                ("DELETE", path, {}),
                ("GET", "", {"query": {"limit": "0"}}),
            ):
                if "/content" not in rest or not headers:  # refusals of the bytes have one documented shape
                    reference.check(method, f"/v1/files{rest}", await files.ask(method, rest, **more, **headers))

    play(scene())


# ---- in Anthropic's shape ----


def test_clients_of_anthropics_see_their_own_shape(tmp_path: Path) -> None:
    version: dict[str, Any] = {"anthropic_version": "2023-06-01"}

    async def scene() -> None:
        async with House(tmp_path) as house:
            files = Files(house)
            made = [(await files.send(name=f"{n}.txt", **version)).json for n in range(4)]
            ids = [file["id"] for file in made]
            assert made[0].keys() == {
                *("id", "type", "filename", "mime_type", "size_bytes", "created_at", "expires_at", "downloadable")
            }
            assert (made[0]["type"], made[0]["mime_type"], made[0]["size_bytes"]) == ("file", "text/plain", 12)
            path = f"/{ids[0]}"
            assert (await files.ask("GET", path, **version)).json == made[0]
            page = (await files.ask("GET", query={"limit": "2", "beta": "true"}, **version)).json
            assert page == {
                "data": [made[3], made[2]],
                "first_id": ids[3],
                "last_id": ids[2],
                "has_more": True,
                "next_page": f"page_{ids[2]}",
            }
            following = (await files.ask("GET", query={"page": page["next_page"]}, **version)).json
            assert ([file["id"] for file in following["data"]], following["next_page"]) == ([ids[1], ids[0]], None)
            behind = (await files.ask("GET", query={"limit": "2", "after_id": ids[2]}, **version)).json
            assert ([file["id"] for file in behind["data"]], behind["has_more"]) == ([ids[1], ids[0]], False)
            before = (await files.ask("GET", query={"limit": "2", "before_id": ids[0]}, **version)).json
            assert ([file["id"] for file in before["data"]], before["has_more"]) == ([ids[2], ids[1]], True)
            both = await files.ask("GET", query={"after_id": ids[0], "before_id": ids[0]}, **version)
            assert (both.status, both.error["type"]) == (400, "invalid_request_error")
            some = await files.ask("GET", query={"ids[]": ids[0]}, **version)
            assert (some.status, some.json["detail"]) == (400, "ids[] is not supported by this gateway")
            lived = (await files.send(fields=[("expires_in_seconds", "7776000")], **version)).json
            assert lived["expires_at"] > lived["created_at"]
            for wrong in ("3599", "7776001", "x"):
                answer = await files.send(fields=[("expires_in_seconds", wrong)], **version)
                assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
            assert (await files.ask("GET", path + "/content", **version)).body == b"hello world!"
            assert (await files.ask("DELETE", path, **version)).json == {"id": ids[0], "type": "file_deleted"}
            gone = await files.ask("GET", path, **version)
            assert gone.json == {
                "type": "error",
                "error": {"type": "not_found_error", "message": "File not found"},
                "detail": "File not found",
            }

    play(scene())
