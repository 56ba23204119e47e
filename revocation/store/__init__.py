"""A region's store in Redis 7.0 or Valkey 8 and later.

Read `contract.py` (what projectors write and verifiers read), then:

- `layout.py`: keys and values, none of which names a person; `canary.py`: the entries
  that every reader must find,
- `redis_store.py`: the store, through the functions in `functions.lua`; `lookup.py` is
  the call that answers checks, `suitability.py` refuses servers that would lose
  entries,
- `batching_reader.py`: batches many checks into one call,
- `redis_feed.py`: the feed that keeps replicas up to date,
- `store_agreement.py`: whether the region was written with our settings,
- `client/`: connections and server discovery.
"""
