"""Indexes of all rooms, made without keeping anybody from writing meanwhile.

For migrations alone, which must not be atomic then: PostgreSQL's CREATE INDEX CONCURRENTLY works
outside of a transaction.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddIndex


class AddIndexBeside(AddIndex):
    """`AddIndex`, beside the others who use the table; on SQLite there is only the ordinary way."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        forget(schema_editor, self.index.name)
        schema_editor.add_index(model, self.index, **beside(schema_editor))

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(
            self.index.name
        )
        schema_editor.remove_index(model, index, **beside(schema_editor))


def forget(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    """What a migration that was killed has left is there, and of no use."""
    if schema_editor.connection.vendor == "postgresql":
        quoted = schema_editor.quote_name(name)
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")


def beside(schema_editor: BaseDatabaseSchemaEditor) -> dict[str, bool]:
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
