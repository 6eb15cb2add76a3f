from django.db import migrations
from django.db.models import Index, Q

from accounts.indexing import AddIndexBeside


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bindings", "0004_asks_and_approved_rev")]

    operations = [
        AddIndexBeside(
            model_name="binding", index=Index(fields=["-created_at"], name="binding_newest")
        ),
        AddIndexBeside(
            model_name="binding",
            index=Index(
                fields=["ended_by", "-created_at"],
                condition=Q(ended_at__isnull=False),
                name="binding_ended",
            ),
        ),
    ]
