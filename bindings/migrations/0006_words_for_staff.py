import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bindings", "0005_newest"),
    ]

    operations = [
        migrations.AlterField(
            model_name="binding",
            name="held_rev",
            field=models.PositiveBigIntegerField(
                editable=False, verbose_name="revision it changed at for the holder"
            ),
        ),
        migrations.AlterField(
            model_name="binding",
            name="rev",
            field=models.PositiveBigIntegerField(
                editable=False, verbose_name="revision it changed at"
            ),
        ),
        migrations.AlterField(
            model_name="block",
            name="created_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, editable=False, verbose_name="created at"
            ),
        ),
        migrations.AlterField(
            model_name="exchange",
            name="given",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="bindings.binding",
                verbose_name="binding given",
            ),
        ),
        migrations.AlterField(
            model_name="exchange",
            name="returned",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="bindings.binding",
                verbose_name="binding returned",
            ),
        ),
    ]
