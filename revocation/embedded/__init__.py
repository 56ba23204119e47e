"""The whole system on one machine, without Docker: real Kafka, real Valkey, all stations.

Read in this order: `system.py` (up, down, status), `plan.py` (what is started, and with
which settings), `process.py` (how it is started and ended), `kafka.py`, `valkey.py`,
`jars.py` (where Kafka comes from), `cli.py`.
"""

from revocation.embedded.kafka import KafkaServer
from revocation.embedded.process import Process, Server, free_ports
from revocation.embedded.system import Embedded, State, Status
from revocation.embedded.valkey import ValkeyServer

__all__ = [
    "Embedded",
    "KafkaServer",
    "Process",
    "Server",
    "State",
    "Status",
    "ValkeyServer",
    "free_ports",
]
