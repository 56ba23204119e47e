"""The contract as documents, generated from the code: `revocation schemas export`.

`schemas.py` writes them all: JSON Schemas, and the AsyncAPI document of `asyncapi.py`
and `asyncapi_operations.py`. The sidecar serves its OpenAPI document itself, so that
one lives in `sidecar/openapi.py`.
"""
