"""Every test of the server runs in both event loops, unless it is marked."""

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):
    """Stations run in uvloop, whose transports differ; tests elsewhere in asyncio's."""
    factories = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    if item.get_closest_marker("uvloop") is not None:
        del factories["asyncio"]
    return factories
