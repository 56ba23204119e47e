"""JSON log lines, and few of them during an outage."""

import io
import json
import logging
import subprocess
import sys

import pytest

from revocation.logs import HOLD_SECONDS, Outages

SCRIPT = """
import logging, threading, warnings
import structlog
from revocation.logs import configure_logging
configure_logging()
log = structlog.get_logger()
kafka = logging.getLogger("aiokafka.conn")
{body}
"""


def lines_of(body):
    """Return what a process logs, each line parsed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_whatever_is_logged_is_one_line_of_json():
    body = """
plain = logging.getLogger("x")
plain.warning('a "quote", a\\nline, an \\x1b[1mescape and %s', {"a": 1})
try:
    raise ValueError('"broken"\\nin two')
except ValueError:
    logging.getLogger("x").exception("failed")
    log.exception("ours")
warnings.warn("soon gone")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
"""
    plain, failed, ours, warning, thread = lines_of(body)
    assert plain["event"] == "a \"quote\", a\nline, an \x1b[1mescape and {'a': 1}"
    assert (plain["logger"], plain["level"]) == ("x", "warning")
    assert plain["timestamp"].endswith("Z")
    for each in (failed, ours):
        assert each["exception"].endswith('ValueError: "broken"\nin two')
    assert "soon gone" in warning["event"]
    assert thread["event"] == "unexpected failure"
    assert "ZeroDivisionError" in thread["exception"]


def test_an_outage_is_one_line():
    """Of Kafka's, the libraries' lines and ours are one."""
    body = """
for number in range(500):
    kafka.error("Unable connect to node with id %s", number)
    log.warning("kafka does not answer, retrying", outage="kafka")
    log.warning("store refused, retrying", outage="store")
log.error("dead letter")
log.error("dead letter")
"""
    events = [line["event"] for line in lines_of(body)]
    assert events == [
        "Unable connect to node with id 0",
        "store refused, retrying",
        "dead letter",
        "dead letter",
    ]


@pytest.fixture
def outages():
    return Outages()


def test_one_line_in_ten_seconds_says_how_many_there_were(outages):
    assert outages.admit("kafka", 0.0) == 0
    passed = [
        (second, outages.admit("kafka", float(second)))
        for second in range(1, 31)
        if second != 5
    ]
    admitted = [each for each in passed if each[1] is not None]
    assert HOLD_SECONDS == 10
    assert admitted == [(10, 8), (20, 9), (30, 9)]


def test_outages_do_not_hold_each_other_back(outages):
    assert outages.admit("kafka", 0.0) == 0
    assert outages.admit("store", 0.1) == 0


def handled(outages):
    """Return a logger of a Kafka library whose lines pass the filter, and those."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(outages.of_libraries)
    logger = logging.getLogger("aiokafka.tests")
    logger.propagate = False
    logger.handlers = [handler]
    return logger, out


def test_what_may_be_news_is_not_held_back(outages):
    """A crash, or a fault that aiokafka did not expect, in the midst of an outage."""
    logger, out = handled(outages)
    for _ in range(3):
        logger.error("Unable connect")
        logger.critical("gone")
        logger.error("Unexpected error in fetcher routine", exc_info=LookupError())
    printed = out.getvalue()
    assert printed.count("Unable connect") == 1
    assert printed.count("gone") == 3
    assert printed.count("Unexpected error in fetcher routine") == 1
