"""What a view is found by and sorted by; the views that are there get theirs."""

from typing import Any

from django.db import migrations, models

from cards.search import search_text, sort_text

AT_ONCE = 1000


def fill(apps: Any, _schema_editor: Any) -> None:
    view_model = apps.get_model("cards", "View")
    batch = []
    for view in view_model.objects.select_related("card").iterator(AT_ONCE):
        audience = {"*", *view.circles}
        shown = [each for each in view.card.properties if audience & {*each["circles"]}]
        seen = {"fn": view.card.fn, "properties": shown}
        view.sort, view.search = sort_text(seen), search_text(seen)
        batch.append(view)
        if len(batch) == AT_ONCE:
            view_model.objects.bulk_update(batch, ["sort", "search"])
            batch = []
    view_model.objects.bulk_update(batch, ["sort", "search"])


class Migration(migrations.Migration):
    dependencies = [("cards", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="view",
            name="search",
            field=models.TextField(blank=True, default="", editable=False),
        ),
        migrations.AddField(
            model_name="view",
            name="sort",
            field=models.CharField(blank=True, default="", editable=False, max_length=200),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
