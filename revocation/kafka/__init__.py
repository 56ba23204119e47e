"""Access to Kafka.

`clients.py` makes every producer and consumer, `provisioning.py` creates and verifies
the topics.
"""
