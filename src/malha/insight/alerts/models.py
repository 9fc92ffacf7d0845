"""Tables of alerting. Private: other rooms use `service`."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from malha.insight.alerts.contracts import ChannelKind, Operator, RuleKind, Severity, Status


def _choices(enum: type[RuleKind | Operator | Severity | Status | ChannelKind]) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


class AlertChannel(models.Model):
    """Where notices go."""

    tenant_id = models.BigIntegerField()
    kind = models.CharField(max_length=16, choices=_choices(ChannelKind))
    name = models.CharField(max_length=120)
    target = models.CharField(max_length=500)
    secret = models.CharField(max_length=120, blank=True, db_default="")
    enabled = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "alert_channel"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "id"], name="alert_channel_by_tenant")]

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """When to ring; see `contracts.Rule`."""

    tenant_id = models.BigIntegerField()
    pack = models.CharField(max_length=64, blank=True, db_default="")
    key = models.CharField(max_length=64, blank=True, db_default="")
    name = models.CharField(max_length=160)
    kind = models.CharField(max_length=16, choices=_choices(RuleKind))
    type = models.CharField(max_length=120)
    attribute = models.CharField(max_length=120, blank=True, db_default="")
    operator = models.CharField(max_length=2, choices=_choices(Operator), db_default=">")
    bound = models.FloatField(null=True, blank=True)
    bound_text = models.CharField(max_length=200, blank=True, db_default="")
    end_bound = models.FloatField(null=True, blank=True)
    for_seconds = models.PositiveIntegerField(db_default=0)
    end_for_seconds = models.PositiveIntegerField(db_default=0)
    silence_seconds = models.PositiveIntegerField(db_default=0)
    late_seconds = models.PositiveIntegerField(db_default=7200)
    uris = models.JSONField(default=list, db_default=[])
    area = models.JSONField(null=True, blank=True)
    area_name = models.CharField(max_length=120, blank=True, db_default="")
    severity = models.CharField(max_length=16, choices=_choices(Severity))
    unit = models.CharField(max_length=16, blank=True, db_default="")
    decimals = models.SmallIntegerField(db_default=1)
    what_to_do = models.TextField(blank=True, db_default="")
    call_whom = models.CharField(max_length=300, blank=True, db_default="")
    channels = models.JSONField(default=list, db_default=[])
    enabled = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "alert_rule"
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "id"], name="alert_rule_by_tenant"),
            models.UniqueConstraint(fields=["tenant_id", "pack", "key"], condition=~models.Q(key=""), name="alert_rule_once_per_pack"),
        ]
        indexes = [models.Index(fields=["tenant_id", "type"], condition=models.Q(enabled=True), name="alert_rule_by_type")]

    def __str__(self) -> str:
        return self.name


class AlertState(models.Model):
    """What a rule knows of one thing, on the road of live values or on that of late and loaded ones."""

    pk = models.CompositePrimaryKey("tenant_id", "rule_id", "uri", "live")
    tenant_id = models.BigIntegerField()
    rule_id = models.BigIntegerField()
    uri = models.CharField(max_length=2048)
    live = models.BooleanField()
    phase = models.CharField(max_length=10)
    since = models.DateTimeField(null=True)
    quiet_since = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    last_value = models.JSONField(null=True)

    class Meta:
        db_table = "alert_state"

    def __str__(self) -> str:
        return f"{self.uri}: {self.phase}"


class Alarm(models.Model):
    """One alarm: what rang, who took it, how it ended. The rule is copied, so that the record stays true when the rule changes."""

    tenant_id = models.BigIntegerField()
    rule_id = models.BigIntegerField(null=True)
    status = models.CharField(max_length=12, choices=_choices(Status))
    severity = models.CharField(max_length=16, choices=_choices(Severity))
    uri = models.CharField(max_length=2048)
    thing = models.CharField(max_length=300)
    rule = models.JSONField()
    value = models.FloatField(null=True)
    value_text = models.CharField(max_length=200, blank=True, db_default="")
    peak = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    latitude = models.FloatField(null=True)
    since = models.DateTimeField()
    fired_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True, db_default="")
    taken_at = models.DateTimeField(null=True)
    taken_by = models.CharField(max_length=200, blank=True, db_default="")
    taken_by_id = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=40, blank=True, db_default="")
    run_id = models.BigIntegerField(null=True)
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "alarm"
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "id"], name="alarm_by_tenant"),
            models.UniqueConstraint(fields=["tenant_id", "rule_id", "uri"], condition=models.Q(status__in=["open", "taken"]), name="alarm_once_until_it_ends"),
        ]
        indexes = [models.Index(fields=["tenant_id", "status", "-fired_at"], name="alarm_by_status")]

    def __str__(self) -> str:
        return f"{self.thing}: {self.severity}"


class AlarmEntry(models.Model):
    """One line of an alarm's story; never changed."""

    tenant_id = models.BigIntegerField()
    alarm_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=16)
    actor = models.CharField(max_length=200, blank=True, db_default="")
    text = models.TextField(blank=True, db_default="")
    params = models.JSONField(default=dict, db_default={})

    class Meta:
        db_table = "alarm_entry"
        indexes = [models.Index(fields=["tenant_id", "alarm_id", "id"], name="alarm_entry_by_alarm")]

    def __str__(self) -> str:
        return f"{self.at}: {self.kind}"


class AlertDelivery(models.Model):
    """One notice to one channel, tried until it arrives or is given up."""

    tenant_id = models.BigIntegerField()
    alarm_id = models.BigIntegerField(null=True)
    channel_id = models.BigIntegerField()
    event = models.CharField(max_length=16)
    status = models.CharField(max_length=10, db_default="waiting")
    attempts = models.SmallIntegerField(db_default=0)
    next_at = models.DateTimeField(db_default=Now())
    error = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_delivery"
        indexes = [
            models.Index(fields=["tenant_id", "next_at"], condition=models.Q(status="waiting"), name="alert_delivery_waiting"),
            models.Index(fields=["tenant_id", "alarm_id"], name="alert_delivery_by_alarm"),
        ]

    def __str__(self) -> str:
        return f"{self.event}: {self.status}"
