"""The commands that need the extras `embedded` and `demo`."""


def demo() -> None:
    """Watch real tokens die in three regions; exit code 0 only if all went right.

    Starts a real Kafka broker, three stores and every station in a temporary folder,
    plays five revocations and then measures 200. Ctrl-C at any time ends everything.
    """
    from revocation.local.demo import demo as run  # noqa: PLC0415 - needs extras

    run()
