"""Every test of the server runs in both event loops."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Stations run in uvloop, whose transports differ; tests elsewhere in asyncio's."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
