"""Runs `revocation` with every Kafka client logged in by SASL, as no setting can yet.

Usage: `python -m tests.connected.logged_in USER COMMAND ...`; the password is the name.
"""

import sys
from typing import Any

from aiokafka.client import AIOKafkaClient

from revocation import __main__

_connect_plainly = AIOKafkaClient.__init__
_USER = sys.argv.pop(1)


def _log_in(client: AIOKafkaClient, *arguments: Any, **options: Any) -> None:
    login = {"sasl_plain_username": _USER, "sasl_plain_password": _USER}
    how = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
    _connect_plainly(client, *arguments, **{**options, **login, **how})


if __name__ == "__main__":
    AIOKafkaClient.__init__ = _log_in
    __main__.main()
