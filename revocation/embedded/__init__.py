"""The whole system on one machine without Docker: real Kafka and Valkey, all stations.

Read in this order: `system.py` (up, down, status), `state.py` (what it remembers and
sees), `plan.py` (what is started, with which settings), `process.py` (how it is started
and ended), `server.py`, `kafka.py`, `valkey.py`, `jars.py` (where Kafka comes from),
`cli.py`.
"""

from revocation.embedded.kafka import Kafka
from revocation.embedded.process import Process, free_ports
from revocation.embedded.server import Server
from revocation.embedded.state import State, Status
from revocation.embedded.system import Embedded
from revocation.embedded.valkey import Valkey

__all__ = [
    "Embedded",
    "Kafka",
    "Process",
    "Server",
    "State",
    "Status",
    "Valkey",
    "free_ports",
]
