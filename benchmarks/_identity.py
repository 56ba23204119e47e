"""The identity of a region that a benchmark begins by itself."""

from revocation.identity import Identity, Lifetimes

IDENTITY = Identity(
    region="bench",
    cluster_id=None,
    topic_prefix="bench",
    partitions=1,
    peppers=("0" * 16,),
    lifetimes=Lifetimes(3_600, 86_400, 60, 5, 86_400),
)
