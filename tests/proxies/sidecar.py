"""The sidecar as a child process, so that it can be killed and paused."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

from tests.installation import Station
from tests.proxies.region import Region


class Sidecar(Station):
    """`revocation sidecar`, listening on the addresses of the configurations."""

    def __init__(self, region: Region, folder: Path, port: int) -> None:
        self.socket = folder / "sidecar.sock"
        self.grpc_socket = folder / "grpc.sock"
        self.port = port
        settings = {
            **region.settings,
            "sidecar_port": port,
            "sidecar_socket": self.socket,
            "sidecar_grpc": f"unix:{self.grpc_socket}",
            "sidecar_rules_file": region.rules,
            "sidecar_cookie": "__Host-token",
            "sidecar_drain_seconds": 1,
        }
        named = {
            f"REVOCATION_{name.upper()}": (
                json.dumps(value) if isinstance(value, dict) else str(value)
            )
            for name, value in settings.items()
        }
        command = ["revocation", "sidecar"]
        super().__init__(
            "sidecar", command, {**os.environ, **named}, folder / "sidecar.log"
        )

    @property
    def ready(self) -> bool:
        """Whether it reports ready."""
        return self._status("/readyz") == 200

    @property
    def listens(self) -> bool:
        """Whether all of its sockets exist, including the last one opened."""
        return self._status("/healthz") == 200 and self.grpc_socket.exists()

    def _status(self, path: str) -> int:
        assert self.exit_code is None, self.log.read_text()[-3_000:]
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0
