from django.db import migrations
from django.db.models import Index, Q

from accounts.indexing import AddIndexBeside


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("cards", "0005_staff_sight")]

    operations = [
        AddIndexBeside(
            model_name="card", index=Index(fields=["-changed_at"], name="card_last_changed")
        ),
        AddIndexBeside(
            model_name="card",
            index=Index(
                fields=["retired_at"], condition=Q(retired_at__isnull=False), name="card_retired"
            ),
        ),
        AddIndexBeside(
            model_name="cardrevision", index=Index(fields=["-changed_at"], name="revision_newest")
        ),
    ]
