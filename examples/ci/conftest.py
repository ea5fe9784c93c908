"""One stub for all tests, and a session of its own for each of them. otari.pyz and stub.yaml lie beside this file."""

import json, subprocess, sys, urllib.parse, urllib.request, pytest


@pytest.fixture(scope="session")
def stub(tmp_path_factory):
    port, otari = tmp_path_factory.mktemp("stub") / "port", [sys.executable, "otari.pyz"]
    with subprocess.Popen([*otari, "stub", "--script", "stub.yaml", "--port-file", port]) as running:
        subprocess.run([*otari, "wait-ready", "--port-file", port], check=True)
        yield f"http://127.0.0.1:{port.read_text().strip()}"
        running.terminate()


@pytest.fixture(autouse=True)
def session(stub, request, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{stub}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", f"sk-stub-{request.node.name}")
    yield
    journal = f"{stub}/stub/journal?session={urllib.parse.quote(request.node.name)}"
    assert json.load(urllib.request.urlopen(journal))["misses"] == 0
