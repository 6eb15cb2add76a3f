import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0005_tally"),
    ]

    operations = [
        migrations.AlterField(
            model_name="cardupdate",
            name="all_taken",
            field=models.BooleanField(default=False, verbose_name="all bindings taken"),
        ),
        migrations.AlterField(
            model_name="cardupdate",
            name="cursor",
            field=models.UUIDField(null=True, verbose_name="last binding taken"),
        ),
        migrations.AlterField(
            model_name="cardupdate",
            name="done_rev",
            field=models.PositiveBigIntegerField(default=0, verbose_name="revision fanned out"),
        ),
        migrations.AlterField(
            model_name="cardupdate",
            name="pass_rev",
            field=models.PositiveBigIntegerField(
                null=True, verbose_name="revision being fanned out"
            ),
        ),
        migrations.AlterField(
            model_name="cardupdate",
            name="rev",
            field=models.PositiveBigIntegerField(verbose_name="revision to fan out"),
        ),
        migrations.AlterField(
            model_name="cardupdate",
            name="served_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="served at"),
        ),
        migrations.AlterField(
            model_name="cardupdate",
            name="wanted_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="wanted at"),
        ),
        migrations.AlterField(
            model_name="offlinemessage",
            name="subject",
            field=models.UUIDField(editable=False, verbose_name="acknowledged by"),
        ),
    ]
