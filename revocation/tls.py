"""TLS (RFC 8446) to a store: how the server and this client authenticate."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from revocation.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates for `rediss://`, as PEM files.

    `ca_file`: the only authorities that are trusted; without it, those of the system.
    `cert_file` and `key_file`: the client certificate for mutual TLS.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def __bool__(self) -> bool:
        """Return whether any file is set."""
        return any((self.ca_file, self.cert_file, self.key_file))

    def context(self) -> ssl.SSLContext:
        """Return a context that checks certificate and host name; TLS 1.2 or later.

        Raises:
            SettingsError: a file cannot be read, or key and certificate do not match.
        """
        if (self.cert_file is None) != (self.key_file is None):
            raise SettingsError(
                "a client certificate needs both store_cert_file and store_key_file"
            )
        files = (self.ca_file, self.cert_file, self.key_file)
        named = ", ".join(str(each) for each in files if each is not None)
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None and self.key_file is not None:
                # With a password given, OpenSSL never prompts on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"cannot use the certificates in {named} ({error}); they must be PEM "
                "files, the key without a passphrase"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


NO_TLS: Final = Tls()
"""The system's certificate authorities, and no client certificate."""
