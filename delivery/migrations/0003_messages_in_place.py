from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# Room beside each row for its next version, and a vacuum that comes early and does not dawdle: the
# rows of one edit are all written twice within seconds.
HOT = {
    "fillfactor": 50,
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_insert_scale_factor": 0.1,
    "autovacuum_analyze_scale_factor": 0.05,
    "autovacuum_vacuum_cost_delay": 0,
}


def in_place(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        settings = ", ".join(f"{name} = {value}" for name, value in HOT.items())
        schema_editor.execute(f"ALTER TABLE delivery_offlinemessage SET ({settings})")


def as_usual(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE delivery_offlinemessage RESET ({', '.join(HOT)})")


class Migration(migrations.Migration):
    dependencies = [("delivery", "0002_chunk")]

    operations = [
        migrations.RemoveIndex(model_name="offlinemessage", name="message_pending"),
        migrations.RunPython(in_place, as_usual),
    ]
