from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Index, Q

from accounts.indexing import AddIndexBeside, forget

# How names begin, in any case. SQLite has no use for it, so the model does not know of it.
NAMES = (
    "CREATE INDEX CONCURRENTLY user_name_begins "
    "ON accounts_user (upper(name::text) varchar_pattern_ops)"
)


def by_name(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        forget(schema_editor, "user_name_begins")
        schema_editor.execute(NAMES)


def not_by_name(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    forget(schema_editor, "user_name_begins")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0006_asks_before_applying")]

    operations = [
        migrations.RunPython(by_name, not_by_name),
        *(
            AddIndexBeside(
                model_name="user", index=Index(fields=["email"], condition=of, name=name)
            )
            for name, of in {
                "user_staff": Q(is_staff=True),
                "user_superusers": Q(is_superuser=True),
                "user_shut_out": Q(is_active=False),
            }.items()
        ),
        AddIndexBeside(
            model_name="device", index=models.Index(fields=["-created_at"], name="device_newest")
        ),
        AddIndexBeside(
            model_name="device",
            index=models.Index(fields=["platform", "-created_at"], name="device_by_platform"),
        ),
    ]
