"""The whole system on one machine without Docker: real Kafka and Valkey, all stations.

Read in this order: `embedded_system.py` (up, down, status), `system_state.py` (the
state file and `status`), `plan.py` (each station's command and settings), `process.py`
(starting and ending processes), `local_server.py`, `kafka_server.py`,
`valkey_server.py`, `jars.py` (Java, and Kafka's jars). The demo is `demo.py`, its acts
are in `demo_story.py`.
"""

from revocation.local.embedded_system import Embedded
from revocation.local.kafka_server import Kafka
from revocation.local.local_server import LocalServer
from revocation.local.process import Process, free_ports
from revocation.local.system_state import SystemState, SystemStatus
from revocation.local.valkey_server import Valkey

__all__ = [
    "Embedded",
    "Kafka",
    "LocalServer",
    "Process",
    "SystemState",
    "SystemStatus",
    "Valkey",
    "free_ports",
]
