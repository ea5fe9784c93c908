"""What the runs of coding clients rely on: whoever reaches for another host is refused and seen."""

from tests.e2e.outside import Outside
from tests.e2e.wire import exchange, request


def test_who_reaches_out_is_refused_and_seen() -> None:
    with Outside() as outside:
        port = int(outside.env()["https_proxy"].rpartition(":")[2])
        tunnel = exchange(port, request("CONNECT", "api.example.com:443", {}))
        plain = exchange(port, request("GET", "http://example.com/telemetry", {}))
    assert (tunnel.status, plain.status) == (403, 403)
    assert outside.reached == ["api.example.com:443", "http://example.com/telemetry"]
