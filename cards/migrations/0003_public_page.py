"""Cards get a public page, at an address of their own."""

import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("cards", "0002_view_search"),
    ]

    operations = [
        migrations.CreateModel(
            name="PublicPage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("slug", models.CharField(max_length=40, unique=True, verbose_name="address")),
                ("is_on", models.BooleanField(default=False, verbose_name="on")),
                (
                    "is_indexed",
                    models.BooleanField(default=False, verbose_name="search engines may list it"),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created at"
                    ),
                ),
                (
                    "freed_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="given up at"),
                ),
                (
                    "card",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pages",
                        to="cards.card",
                        verbose_name="card",
                    ),
                ),
            ],
            options={
                "verbose_name": "public page",
                "verbose_name_plural": "public pages",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("freed_at", None)),
                        fields=("card",),
                        name="public_page_one_a_card",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("slug", django.db.models.functions.text.Lower("slug"))),
                        name="public_page_address_is_lower_case",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("card__isnull", False), ("freed_at", None)),
                            models.Q(("freed_at__isnull", False), ("is_on", False)),
                            _connector="OR",
                        ),
                        name="public_page_given_up_is_off",
                    ),
                ],
            },
        ),
    ]
