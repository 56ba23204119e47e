"""Sequences of events about one user, and the entries that the ledger derives."""

from revocation import events, ledger
from revocation.entries import DENYLIST_KINDS, Kind, Position, Target
from tests.unit.strategies import ISSUER, LIMITS, NOW

HERE = Position(3, 100, NOW)
ALICE = Target(Kind.USER, ISSUER, "alice")


def event(model, **data):
    return model.new(source="/idp", issuer=ISSUER, **data)


def user_event(model=events.UserLoggedOut, **data):
    return event(model, user="alice", **data)


def at(offset, time=NOW):
    return Position(3, offset, time)


def apply(current, what, where=HERE):
    (target,) = events.targets(what)
    return ledger.apply(current, what, target, where, LIMITS)


def after(*happened):
    """The entry after some events about one target, one record and ms after another."""
    entry = None
    for number, what in enumerate(happened):
        entry = apply(entry, what, at(number, NOW + number)).entry
    return entry


def read(log, table=None):
    """What an authority that reads a log holds, and the results it came to."""
    table, results = dict(table or {}), []
    for where, what in log:
        for target in events.targets(what):
            result = ledger.apply(table.get(target), what, target, where, LIMITS)
            results.append(result)
            if result.entry is not None and target.kind not in DENYLIST_KINDS:
                table[target] = result.entry
    return table, results
