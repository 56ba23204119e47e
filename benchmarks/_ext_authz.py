"""The servers that benchmarks/ext_authz.py asks: ours, and gRPC's with nothing in it.

python benchmarks/_ext_authz.py NAME FOLDER STORE_URL
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import grpc.aio
import uvloop
from _sidecars import authorizer, loaded, stay
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from revocation.sidecar.ext_authz import SERVICE, ExtAuthz

PASSED: Final = CheckResponse()
PASSED.status.code = 0
PASSED.ok_response.SetInParent()
_ANSWER: Final = PASSED.SerializeToString()


async def ours(folder: Path, url: str, address: str) -> object:
    """Serve with ours."""
    service = ExtAuthz(authorizer(await loaded(folder, url)))
    await service.start(address)
    return service


async def bare(_: Path, __: str, address: str) -> object:
    """Serve with gRPC alone: bytes that nobody reads, and always the same answer."""

    async def check(_: bytes, __: object) -> bytes:
        return _ANSWER

    return await _serve(grpc.unary_unary_rpc_method_handler(check), address)


async def messages(_: Path, __: str, address: str) -> object:
    """Serve as generated code does: the question is parsed, the answer written."""

    async def check(_: CheckRequest, __: object) -> CheckResponse:
        return PASSED

    handler = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=CheckRequest.FromString,
        response_serializer=CheckResponse.SerializeToString,
    )
    return await _serve(handler, address)


async def _serve(handler: object, address: str) -> object:
    server = grpc.aio.server()
    generic = grpc.method_handlers_generic_handler(SERVICE, {"Check": handler})
    server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(address)
    await server.start()
    return server


SERVERS: Final[dict[str, Callable[[Path, str, str], Awaitable[object]]]] = {
    "ours": ours,
    "bare": bare,
    "messages": messages,
}


def address_of(name: str, folder: Path) -> str:
    """Return the socket's path."""
    return str(folder / f"{name}.sock")


async def main() -> None:
    """Serve until killed."""
    name, folder, url = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    path = address_of(name, folder)
    await stay(SERVERS[name](folder, url, f"unix:{path}"), path)


if __name__ == "__main__":
    uvloop.run(main())
