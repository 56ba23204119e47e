"""The sockets that a server listens on: TCP and unix, with TLS or without.

A unix socket is created under another name and renamed once its mode is set, so that
no unauthorized client can connect before. One that a killed process left is replaced;
one that another process serves is not.
"""

import os
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from revocation.errors import SettingsError

BACKLOG: Final = 1_024
"""The backlog of connections to accept."""
_MAX_PATH_BYTES: Final = 107 - len(".4194304")
"""The size of `sun_path` (unix(7)), less the suffix of the temporary name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The server's certificates, as PEM files; reloaded when they change.

    `cert_file`: the chain, ours first. `key_file`: without a passphrase.
    `client_ca_file`: clients must present a certificate of one of these authorities.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context from the current files. At least TLS 1.2; HTTP/1.1.

        Raises:
            SettingsError: a file cannot be read, or key and certificate do not fit.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Never prompt for a passphrase: there may be no terminal.
            context.load_cert_chain(self.cert_file, self.key_file, password="")
            if self.client_ca_file is not None:
                context.load_verify_locations(self.client_ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            named = ", ".join(str(file) for file in self._files)
            raise SettingsError(
                f"cannot serve with the certificates in {named} ({error}); they must "
                "be PEM files, the key without a passphrase"
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        return context

    def version(self) -> tuple[object, ...]:
        """Return a value that changes when a file is replaced or written."""
        found: list[object] = []
        for file in self._files:
            with suppress(OSError):
                status = file.stat()
                found += [status.st_ino, status.st_mtime_ns, status.st_size]
        return tuple(found)

    @property
    def _files(self) -> list[Path]:
        files = (self.cert_file, self.key_file, self.client_ca_file)
        return [file for file in files if file is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """A port on every address of a host, or on all addresses if the host is empty."""

    host: str = "127.0.0.1"
    port: int = 0
    tls: ServerTls | None = None

    def __str__(self) -> str:
        """Return `host:port`."""
        return f"{self.host or '*'}:{self.port}"

    def open(self) -> Iterator[socket.socket]:
        """Listen; yields each socket.

        Raises:
            SettingsError: the host is unknown, or the port is taken.
        """
        flags = socket.AI_PASSIVE
        try:
            found = socket.getaddrinfo(
                self.host or None, self.port, type=socket.SOCK_STREAM, flags=flags
            )
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                yield _listen_tcp(family, address)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {self} ({error}); choose another host or port, or "
                "end what listens there"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Unix:
    """A unix socket. `mode`: its permissions, which decide who may connect."""

    path: Path
    mode: int = 0o660
    tls: ServerTls | None = None

    def __str__(self) -> str:
        """Return `unix:path`."""
        return f"unix:{self.path}"

    def open(self) -> Iterator[socket.socket]:
        """Listen; yields the socket.

        Raises:
            SettingsError: another process serves there, or the path cannot be a socket.
        """
        self.require_free()
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        made = socket.socket(socket.AF_UNIX)
        try:
            temporary.unlink(missing_ok=True)
            made.bind(str(temporary))
            temporary.chmod(self.mode)
            made.listen(BACKLOG)
            temporary.rename(self.path)
        except OSError as error:
            made.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise SettingsError(
                f"cannot listen on {self} ({error}); its folder must exist, and this "
                "user must be able to write there"
            ) from error
        yield made

    def require_free(self) -> None:
        """Check that the path is free, or holds only a killed process's socket.

        Raises:
            SettingsError: somebody serves there, or the path cannot be a socket.
        """
        if len(os.fsencode(self.path)) > _MAX_PATH_BYTES:
            raise SettingsError(
                f"the path of {self} is longer than {_MAX_PATH_BYTES} bytes, more "
                "than a unix socket may have; choose a shorter one"
            )
        try:
            kind = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise SettingsError(f"cannot listen on {self} ({error})") from error
        if not stat.S_ISSOCK(kind):
            raise SettingsError(
                f"{self.path} is not a socket; remove it, or choose another path"
            )
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            # A full backlog must not block us; it also shows that something listens.
            probe.settimeout(0)
            try:
                probe.connect(str(self.path))
            except (ConnectionRefusedError, FileNotFoundError):
                return
            except OSError:
                pass
        raise SettingsError(
            f"another process serves {self.path}; end it, or choose another path"
        )


Listener = Tcp | Unix


def remove(listener: Listener, inode: int | None) -> None:
    """Remove a unix socket's file, unless another process put its own there."""
    if isinstance(listener, Unix):
        with suppress(OSError):
            if listener.path.lstat().st_ino == inode:
                listener.path.unlink()


def inode(listener: Listener) -> int | None:
    """Return the identity of our unix socket's file; None for TCP."""
    return listener.path.lstat().st_ino if isinstance(listener, Unix) else None


def _listen_tcp(family: int, address: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Each family has a socket of its own.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)  # type: ignore[arg-type] # from getaddrinfo
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
