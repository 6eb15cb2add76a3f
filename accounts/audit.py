"""The audit log: what staff looked at and changed, kept by the database itself."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps as now
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.db import connections

from accounts.models import AuditEntry, User

Verb = AuditEntry.Verb

OF_FLAG = {ADDITION: Verb.ADDED, DELETION: Verb.DELETED}

REFUSAL = "The audit log is only added to."
TRIGGERS = {
    "postgresql": [
        f"""
        CREATE OR REPLACE FUNCTION accounts_audit_refusal() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$
        """,
        """
        CREATE OR REPLACE TRIGGER accounts_audit_unchanged BEFORE UPDATE ON accounts_auditentry
        FOR EACH ROW EXECUTE FUNCTION accounts_audit_refusal()
        """,
        f"""
        CREATE OR REPLACE TRIGGER accounts_audit_kept BEFORE DELETE ON accounts_auditentry
        FOR EACH ROW WHEN (OLD.at > now() - interval '{AuditEntry.KEPT.days} days')
        EXECUTE FUNCTION accounts_audit_refusal()
        """,
    ],
    "sqlite": [
        f"""
        CREATE TRIGGER IF NOT EXISTS accounts_audit_unchanged BEFORE UPDATE ON accounts_auditentry
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
        """,
        f"""
        CREATE TRIGGER IF NOT EXISTS accounts_audit_kept BEFORE DELETE ON accounts_auditentry
        WHEN OLD.at > datetime('now', '-{AuditEntry.KEPT.days} days')
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
        """,
    ],
}


def record(staff: User, verb: str, rows: Iterable[tuple[str, str]], detail: str = "") -> None:
    """Write an entry for each row, given by its kind (`cards.card`) and id."""
    AuditEntry.objects.bulk_create(
        AuditEntry(staff=staff, verb=verb, kind=kind, object_id=object_id, detail=detail)
        for kind, object_id in rows
    )


def record_change(sender: type[LogEntry], instance: LogEntry, created: bool, **_: Any) -> None:
    """What the admin writes into its own log, which may be changed, into the one that may not."""
    if created:
        AuditEntry.objects.create(
            staff_id=instance.user_id,
            verb=OF_FLAG.get(instance.action_flag, Verb.CHANGED),
            kind=".".join(instance.content_type.natural_key()) if instance.content_type else "",
            object_id=instance.object_id or "",
            detail=instance.change_message,
        )


def keep(using: str, apps: Any = now, **_: Any) -> None:
    """Make the database refuse changes, after each migration: SQLite makes a table anew to change
    it, and forgets its triggers."""
    try:
        apps.get_model("accounts", "AuditEntry")
    except LookupError:  # migrated to a time before it
        return
    connection = connections[using]
    with connection.cursor() as cursor:
        for trigger in TRIGGERS[connection.vendor]:
            cursor.execute(trigger)
