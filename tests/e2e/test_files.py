"""Files of the built gateway: under its clients' own libraries, in bulk, and through kills.

`OTARI_FILE_MIB` is how large the large file is; `make nightly` has a gibibyte.
"""

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import openai
import orjson
import pytest
from openai import OpenAI

from tests.e2e import uploads
from tests.e2e.gateway import MASTER_KEY, Gateway
from tests.e2e.process import until
from tests.e2e.uploads import MIB

LARGE_MIB = int(os.environ.get("OTARI_FILE_MIB", "64"))
GROWTH_MAX_MIB = 32
CONTENT = b"A sentence to quote.\n" * 5_000
CONFIG = {
    "durability": "normal",
    "files_max_bytes": 2048 * MIB,
    "files_max_user_bytes": 8192 * MIB,
    "providers": {"stub": {"type": "stub"}},
}


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(pyz, tmp_path_factory.mktemp("files") / "gateway", CONFIG) as gateway:
        yield gateway
        assert gateway.stop() == 0
        assert b"Traceback" not in gateway.written()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=60) as client:
        yield client


def kept(gateway: Gateway) -> set[str]:
    """What lies in the folder of files."""
    return {path.name for path in (gateway.folder / "otari-files").iterdir()} - {".lock", "batches"}


def memory_mib(gateway: Gateway, what: str = "VmRSS") -> float:
    """Resident memory of the gateway: now (`VmRSS`), or its peak (`VmHWM`)."""
    told = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{gateway.pid}/status").read_text(), re.MULTILINE)
    assert told is not None
    return int(told[1]) / 1024


def forget_peak(gateway: Gateway) -> None:
    """Let the peak begin anew."""
    Path(f"/proc/{gateway.pid}/clear_refs").write_text("5")


def test_the_life_of_a_file_with_openais_library(client: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "Bericht Ærø.txt"
    path.write_bytes(CONTENT)
    made = client.files.create(file=path, purpose="user_data")
    assert (made.filename, made.bytes, made.object, made.purpose) == (path.name, len(CONTENT), "file", "user_data")
    assert made.status == "processed"
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == CONTENT
    with client.files.with_streaming_response.content(made.id) as response:
        response.stream_to_file(tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_bytes() == CONTENT
    assert client.files.wait_for_processing(made.id) == made
    deleted = client.files.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="File not found"):
            gone(made.id)


def test_openais_library_goes_through_a_list_while_it_deletes(client: OpenAI) -> None:
    anchor = {"anchor": "created_at", "seconds": 3600}
    made = [
        client.files.create(file=(f"{n}.jsonl", b"{}"), purpose="batch", expires_after=anchor)  # type: ignore[arg-type]
        for n in range(5)
    ]
    assert {file.expires_at for file in made} == {file.created_at + 3600 for file in made}
    assert [file.id for file in client.files.list(purpose="batch", limit=2, order="asc")] == [file.id for file in made]
    for file in client.files.list(purpose="batch", limit=2):
        client.files.delete(file.id)
    assert client.files.list(purpose="batch").data == []


def test_openais_library_is_told_what_is_wrong(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Uploaded file is empty"):
        client.files.create(file=("a.txt", b""), purpose="user_data")
    with pytest.raises(openai.BadRequestError, match="limit"):
        client.files.list(limit=20_000)
    master = client.with_options(api_key=MASTER_KEY)
    with pytest.raises(openai.BadRequestError, match="When using master key"):
        master.files.list()


def test_the_life_of_a_file_with_anthropics_library(gateway: Gateway) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=60) as client:
        files = client.beta.files
        made = [files.upload(file=(f"{n}.txt", CONTENT, "text/plain")) for n in range(3)]
        first = made[0]
        assert (first.type, first.filename, first.mime_type, first.size_bytes) == (
            *("file", "0.txt", "text/plain"),
            len(CONTENT),
        )
        assert files.retrieve_metadata(first.id) == first
        assert files.download(first.id).read() == CONTENT
        assert [file.id for file in files.list(limit=2)][:3] == [file.id for file in reversed(made)]
        for file in made:
            assert files.delete(file.id).type == "file_deleted"
        with pytest.raises(anthropic.NotFoundError, match="File not found"):
            files.retrieve_metadata(first.id)


def test_a_large_file_goes_in_and_out_without_being_felt(gateway: Gateway) -> None:
    uploads.upload(gateway.port, gateway.key, 1)  # whatever is loaded once is loaded now
    before = memory_mib(gateway)
    forget_peak(gateway)
    sent = uploads.upload(gateway.port, gateway.key, LARGE_MIB)
    assert sent.status == 200, sent.body
    file_id = orjson.loads(sent.body)["id"]
    assert uploads.download_digest(gateway.port, gateway.key, file_id) == (
        LARGE_MIB * MIB,
        uploads.digest_of(LARGE_MIB),
    )
    grown = memory_mib(gateway, "VmHWM") - before
    assert grown <= GROWTH_MAX_MIB, f"{grown:.1f} MiB more at the peak"


def test_two_hundred_uploads_at_once(gateway: Gateway) -> None:
    before = memory_mib(gateway)
    with ThreadPoolExecutor(200) as pool:
        sent = list(pool.map(lambda n: uploads.upload(gateway.port, gateway.key, 1, f"{n}.bin"), range(200)))
    assert [each.status for each in sent] == [200] * 200
    ids = {orjson.loads(each.body)["id"] for each in sent}
    assert len(ids) == 200
    assert ids <= kept(gateway)
    assert all((gateway.folder / "otari-files" / file_id).stat().st_size == MIB for file_id in ids)
    assert memory_mib(gateway) - before <= 200


def test_a_kill_during_uploads_leaves_nothing_of_them(pyz: Path, tmp_path: Path) -> None:
    with Gateway(pyz, tmp_path / "gateway", CONFIG) as gateway:
        whole = orjson.loads(uploads.upload(gateway.port, gateway.key, 1).body)["id"]
        begun = [uploads.begin(gateway.port, gateway.key, 8)[0] for _ in range(5)]
        for peer in begun:
            peer.sendall(uploads.BLOCK)
        until(lambda: len(kept(gateway)) == 6, "five drafts beside the file", 20)
        gateway.send(signal.SIGKILL)
        gateway.wait()
        for peer in begun:
            peer.close()
        assert len(kept(gateway)) == 6
        gateway.restart()
        assert kept(gateway) == {whole}
        with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
            assert [file.id for file in client.files.list()] == [whole]
            assert client.files.content(whole).read() == uploads.BLOCK
        assert gateway.stop() == 0


def test_a_stop_during_an_upload_leaves_nothing_of_it(pyz: Path, tmp_path: Path) -> None:
    with Gateway(pyz, tmp_path / "gateway", {**CONFIG, "shutdown_timeout_s": 0.2}) as gateway:
        peer, _ = uploads.begin(gateway.port, gateway.key, 8)
        with peer:
            peer.sendall(uploads.BLOCK)
            until(lambda: len(kept(gateway)) == 1, "a draft", 20)
            assert gateway.stop() == 0
        assert kept(gateway) == set()
        assert b"Traceback" not in gateway.written()


def test_two_gateways_do_not_share_a_folder(pyz: Path, tmp_path: Path) -> None:
    shared = {**CONFIG, "files_dir": str(tmp_path / "shared")}
    with Gateway(pyz, tmp_path / "one", shared):
        other = Gateway(pyz, tmp_path / "other", shared, name="other")
        other.launch()
        assert other.wait() == 4
        assert b"is in use by another gateway" in other.written()
        assert b"Traceback" not in other.written()
