"""Connections to Redis and Valkey.

`redis_connection.py` connects to a server and explains its errors,
`server_discovery.py` finds it by name, Sentinel or cluster, `pipeline.py` sends calls
without waiting for each other's replies.
"""
