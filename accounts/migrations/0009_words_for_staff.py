import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_xmpp_device"),
    ]

    operations = [
        migrations.AlterField(
            model_name="circle",
            name="created_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, editable=False, verbose_name="created at"
            ),
        ),
        migrations.AlterField(
            model_name="device",
            name="push_registered_at",
            field=models.DateTimeField(
                editable=False, null=True, verbose_name="push token given at"
            ),
        ),
    ]
