"""People, machines and invitations. Private: other rooms use `service`."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower


class PersonManager(BaseUserManager["Person"]):
    """Makes people by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> Person:
        """A person who signs in with `email`; without password, by code or passkey."""
        person = self.model(email=self.normalize_email(email).lower(), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    """Somebody who can sign in; what they may do is said by their memberships, tenant by tenant."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    language = models.CharField(max_length=5, default="pt-pt")
    is_active = models.BooleanField(default=True)
    #: invented for the demonstration; signs in only where nobody but this computer can
    is_demo = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PersonManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "person"
        constraints = [models.UniqueConstraint(Lower("email"), name="person_email_once")]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        """The name, as the claims of OpenID Connect want it."""
        return self.name


class MachineClient(models.Model):
    """A program that enters a tenant with client credentials; its secret lives, hashed, in allauth's client."""

    tenant_id = models.BigIntegerField()
    client_id = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=100)
    capabilities = ArrayField(models.CharField(max_length=40))
    types = ArrayField(models.CharField(max_length=200), null=True, blank=True)
    #: what else limits it: `attributes`, `area`, `places` (as the scope of a role)
    scope = models.JSONField(default=dict, blank=True, db_default={})
    created_by = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "machine_client"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "id"], name="machine_client_tenant_id")]

    def __str__(self) -> str:
        return self.name


class Invitation(models.Model):
    """A way in for one address, once, for seven days. Only a hash of the link's secret is kept."""

    tenant_id = models.BigIntegerField()
    email = models.EmailField()
    name = models.CharField(max_length=150, blank=True)
    role = models.CharField(max_length=40)
    secret_hash = models.CharField(max_length=64, unique=True)
    #: when the role itself ends (suppliers come for a while); null is without end
    role_until = models.DateTimeField(null=True)
    #: what the role is limited to (as the scope of a role)
    scope = models.JSONField(default=dict, blank=True, db_default={})
    invited_by = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.BigIntegerField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "invitation"
        constraints = [models.UniqueConstraint(fields=["tenant_id", "id"], name="invitation_tenant_id")]
        indexes = [models.Index(fields=["tenant_id", "created_at"], name="invitation_tenant_created")]

    def __str__(self) -> str:
        return self.email
