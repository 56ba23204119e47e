"""Every error that this package raises, in one tree.

    RevocationError
    ├── ContractError
    │   ├── MalformedEventError
    │   ├── UnknownEventTypeError
    │   ├── InvalidEventError
    │   ├── TokenAsIdError
    │   ├── OversizedRecordError
    │   ├── ClaimsNotRevocableError
    │   ├── MalformedForwardedError
    │   └── MalformedUpdateError
    ├── SettingsError
    │   ├── DisagreementError
    │   └── MissingExtraError
    ├── TopicError
    ├── PublishError
    ├── NotAppliedError
    ├── NotRunningError
    ├── ReplicaFullError
    ├── StoreError
    │   ├── StoreUnavailableError
    │   ├── StoreUnsuitableError
    │   ├── StoreColdError
    │   └── StoreMovedBackError
    └── EmbeddedError
        └── PrerequisiteError

`code` is stable: it is the metric label and the dead-letter reason. `retriable` says
whether the same call may succeed later without any change.
"""


class RevocationError(Exception):
    """Base of all errors; the message says what happened, then what to do."""

    code = "revocation_error"
    retriable = False


class ContractError(RevocationError):
    """A record breaks the contract; it belongs in the dead letters."""

    code = "contract_error"


class MalformedEventError(ContractError):
    """The bytes are not a CloudEvent in structured or binary mode."""

    code = "malformed_event"


class UnknownEventTypeError(ContractError):
    """The CloudEvent's `type` is unknown to this service."""

    code = "unknown_event_type"


class InvalidEventError(ContractError):
    """A known type whose attributes or data violate its schema."""

    code = "invalid_event"


class TokenAsIdError(ContractError):
    """A whole JWT in place of an id: it matches no token."""

    code = "token_as_id"


class OversizedRecordError(ContractError):
    """The record exceeds the size limit of events."""

    code = "oversized_record"


class ClaimsNotRevocableError(ContractError):
    """An event about claims that the installation did not make revocable."""

    code = "claims_not_revocable"


class MalformedForwardedError(ContractError):
    """A record of the forwarded topic that was not written by an authority."""

    code = "malformed_forwarded"


class MalformedUpdateError(ContractError):
    """A record of the entries topic that was not written by an authority."""

    code = "malformed_update"


class SettingsError(RevocationError):
    """Settings that are missing, contradict each other or are unsafe."""

    code = "invalid_settings"


class DisagreementError(SettingsError):
    """Settings of a process differ from those of its region and must not."""

    code = "settings_disagree"


class MissingExtraError(SettingsError):
    """What was asked for needs an extra that is not installed."""

    code = "missing_extra"


class TopicError(RevocationError):
    """A topic is missing or configured so that revocations could be lost."""

    code = "unsuitable_topic"


class PublishError(RevocationError):
    """Kafka did not acknowledge; the event may or may not be in the log."""

    code = "not_acknowledged"
    retriable = True


class NotAppliedError(RevocationError):
    """A receipt was not applied in every requested region within the time limit."""

    code = "not_applied"
    retriable = True


class NotRunningError(RevocationError):
    """The verifier's background thread was not started, was stopped or hangs."""

    code = "not_running"


class ReplicaFullError(RevocationError):
    """A region has more entries than a verifier may hold in memory."""

    code = "replica_full"
    retriable = True


class StoreError(RevocationError):
    """A regional store cannot carry out a request."""

    code = "store_error"


class StoreUnavailableError(StoreError):
    """The store cannot be reached, is read-only or out of memory: back off, retry."""

    code = "store_unavailable"
    retriable = True


class StoreUnsuitableError(StoreError):
    """The store would lose revocations: wrong version, eviction policy or clock."""

    code = "store_unsuitable"


class StoreColdError(StoreError):
    """The store's epoch is missing or has changed: rebuild it from the log."""

    code = "store_cold"
    retriable = True


class StoreMovedBackError(StoreError):
    """The store's position is behind what was written: reread it, seek, resume."""

    code = "store_moved_back"
    retriable = True


class EmbeddedError(RevocationError):
    """The local system could not be started, found or stopped."""

    code = "embedded_error"


class PrerequisiteError(EmbeddedError):
    """A program or package that the local system needs is missing."""

    code = "prerequisite_missing"
