"""The commands that run stations until a signal stops them."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import structlog
import typer
import uvloop

from revocation.errors import StoreUnavailableError
from revocation.extras import require_extra
from revocation.http.health import serve
from revocation.settings import AuthoritySettings, ProjectorSettings, SidecarSettings
from revocation.store.redis_store import RedisStore
from revocation.verifier import RemoteVerifier
from revocation.watchdog import Watchdog, abort_process

_log = structlog.get_logger()

RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region", help="The region; else REVOCATION_REGION.", metavar="NAME"
    ),
]


def authority() -> None:
    """Run a worker of the authority: from events to entries.

    Start more for scale; they share the partitions. Start one under another
    REVOCATION_AUTHORITY_ID as a hot standby without a failover gap.
    """
    require_extra("authority", "revocation authority")
    import faust  # noqa: PLC0415 - an extra, that only this command needs

    from revocation.authority.authority_watch import AuthorityWatch  # noqa: PLC0415
    from revocation.authority.data_dir import claim  # noqa: PLC0415
    from revocation.authority.faust_app import Authority  # noqa: PLC0415
    from revocation.kafka.provisioning import verify  # noqa: PLC0415

    settings = AuthoritySettings()
    cluster_id = uvloop.run(verify(settings))
    claim(settings.data_dir, cluster_id=cluster_id, topic_prefix=settings.topic_prefix)
    _log.info("authority starting", id=settings.authority_id)
    # Faust's consumer runs in a thread with a loop of its own, by this policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    _spare_the_collector()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    station = Authority(settings)
    watch = AuthorityWatch(station, settings)
    watchdog = Watchdog(watch.always, watch.if_answered, confirm=watch.confirm)
    watchdog.start()
    _serve_health(settings, watchdog, lambda: station.has_joined)
    worker = faust.Worker(
        station,
        loop=loop,
        quiet=True,
        loglevel="WARNING",
        redirect_stdouts=False,
        override_logging=False,
    )
    # It would end its drawing with an escape sequence, even without a terminal.
    worker.spinner = None
    worker.execute_from_commandline()


def projector(region: RegionOption = None) -> None:
    """Run a projector: from entries to one region's store.

    Start more for scale or failover; those of one region share the partitions.
    """
    from revocation.kafka.provisioning import verify  # noqa: PLC0415 - as above
    from revocation.projector.projector import Projector  # noqa: PLC0415
    from revocation.projector.projector_watch import ProjectorWatch  # noqa: PLC0415

    settings = ProjectorSettings(**chosen(region))

    async def run() -> None:
        cluster_id = await verify(settings)
        store = RedisStore.from_settings(settings)
        station = Projector(settings, store, cluster_id=cluster_id)
        watch = ProjectorWatch(station, settings)
        watchdog = Watchdog(watch.always, watch.if_answered)
        watchdog.start()
        _serve_health(settings, watchdog, lambda: station.has_joined)
        await station.start()
        _spare_the_collector()
        _log.info("projector started", region=settings.region)
        try:
            await _until_told(station.wait)
        finally:
            watch.is_stopping = True
            await station.stop()

    uvloop.run(run())


def sidecar(region: RegionOption = None) -> None:
    """Run a sidecar: the verifier of one region over HTTP, for services and proxies.

    It reloads the rules and certificates on SIGHUP, and when their files change.
    """
    require_extra("sidecar", "revocation sidecar")
    from revocation.sidecar.sidecar import Sidecar  # noqa: PLC0415 - needs its extra

    settings = SidecarSettings(**chosen(region))

    async def run() -> None:
        await _refuse_unsuitable(settings)
        station = Sidecar(settings)
        Watchdog(station.expect).start()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, station.reload)
        await station.start()
        # A full collection visits every entry of its replica.
        _spare_the_collector(garbage=20_000)
        _log.info("sidecar started", region=settings.region)
        try:
            await _until_told(_for_ever)
        finally:
            await station.stop()

    uvloop.run(run())


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _refuse_unsuitable(settings: SidecarSettings) -> None:
    """Refuse what waiting does not cure, before anything is served."""
    with contextlib.suppress(StoreUnavailableError):
        async with RemoteVerifier.from_settings(settings):
            pass


def chosen(region: str | None) -> dict[str, Any]:
    """Return the setting that --region stands for, if given."""
    return {} if region is None else {"region": region}


def _serve_health(
    settings: AuthoritySettings | ProjectorSettings,
    watchdog: Watchdog,
    has_joined: Callable[[], bool],
) -> None:
    def find_problem() -> str:
        if watchdog.problem or has_joined():
            return watchdog.problem
        return "still waiting to join its consumer group"

    if settings.metrics_port:
        serve(find_problem, host=settings.metrics_host, port=settings.metrics_port)


def _spare_the_collector(*, garbage: int = 2_000) -> None:
    """Keep what was imported out of garbage collections.

    A full collection over Faust's modules took 45 ms, in which nothing is revoked, and
    takes 5 us once they are frozen. Reference counts free what stations allocate, but
    for the errors of an outage, which hold whole fetches: `garbage` objects may wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(garbage, 20, 20)


async def _until_told(wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Return on SIGTERM or SIGINT; raise whatever ends the station."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    station = asyncio.ensure_future(wait())
    signalled = asyncio.ensure_future(told.wait())
    await asyncio.wait({station, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if station.cancelled():
        abort_process("the station's task ended")
    if station.done():
        station.result()
    station.cancel()
