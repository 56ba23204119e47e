"""Connections to Redis and Valkey.

`redis_connection.py` says how to reach a server and what its errors mean,
`server_discovery.py` finds it by name, Sentinel or cluster, `pipeline.py` sends calls
without waiting for one another.
"""
