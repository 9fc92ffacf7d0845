"""Tables of the keys. Private, and here only so that Django makes them: `service` speaks SQL."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class SigningKey(models.Model):
    """The public part of a key: who wants to verify a token reads it here."""

    kid = models.CharField(max_length=64, primary_key=True)
    public_pem = models.TextField()
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "signing_key"

    def __str__(self) -> str:
        return self.kid


class SigningKeyPrivate(models.Model):
    """The private part, encrypted with the installation's secret; read only by whoever signs."""

    key = models.OneToOneField(SigningKey, on_delete=models.CASCADE, primary_key=True, db_column="kid")
    sealed = models.BinaryField()

    class Meta:
        db_table = "signing_key_private"

    def __str__(self) -> str:
        return self.key_id


class TokenGeneration(models.Model):
    """The generation that the tokens of a subject must have; a missing row is generation 0."""

    subject = models.CharField(max_length=120, primary_key=True)
    generation = models.IntegerField(default=0)
    raised_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "token_generation"
        indexes = [models.Index(fields=["raised_at"], name="token_generation_raised")]

    def __str__(self) -> str:
        return self.subject
