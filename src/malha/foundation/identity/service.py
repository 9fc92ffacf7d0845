"""People, machines, invitations and tokens: the door of the room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.db import transaction

from malha.foundation.access import reach
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.audit import service as audit
from malha.foundation.identity import machines
from malha.foundation.identity.contracts import DemoElsewhere, Machine, PersonCard, UnknownPerson
from malha.foundation.identity.models import MachineClient, Person
from malha.foundation.mail.rules import beyond_loopback
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tokens import service as tokens
from malha.foundation.tokens.contracts import LIFETIME_SECONDS
from malha.kernel.text import msg
from malha.kernel.time import now


def issue_token(principal: Principal, *, tenants: Iterable[int] | None = None, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
    """A signed token with which the plane knows `principal`, for at most fifteen minutes.

    `tenants` are ids; without them it is for the principal's own tenant. It never outlives a role that ends by itself.
    """
    subject = principal.actor
    named = list(tenants) if tenants is not None else [principal.tenant_id] if principal.tenant_id is not None else []
    if principal.person_id and (end := access.rights_end(principal.person_id, principal.tenant_id)) is not None:
        lifetime_seconds = max(1, min(lifetime_seconds, int((end - now()).total_seconds())))
    with machines.connection() as conn:
        return tokens.issue(
            conn, django_settings.SECRET_KEY, subject=subject, tenants=named, capabilities=principal.capabilities, types=principal.types,
            name=principal.name, lifetime_seconds=lifetime_seconds, scoped=not reach.only_types(principal.reach),
        )  # fmt: skip


def person_generation(person_id: int) -> int:
    """The generation that this person's tokens must have."""
    with machines.connection() as conn:
        return tokens.generation(conn, f"person:{person_id}")


def revoke_tokens(person_id: int) -> None:
    """Refuse, within a second, every token that the person holds; the next page gives a new one."""
    with machines.connection() as conn:
        tokens.revoke(conn, f"person:{person_id}")


def create_person(email: str, *, name: str = "", password: str | None = None, language: str = "pt-pt", is_demo: bool = False) -> PersonCard:
    """Somebody who signs in with `email`, which is taken as confirmed (an invitation or an operator vouches for it)."""
    with transaction.atomic():
        person = Person.objects.create_user(email, password, name=name, language=language, is_demo=is_demo)
        EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    return card(person)


def create_demo_person(email: str, *, name: str, password: str | None = None) -> PersonCard:
    """Somebody invented for the demonstration, who signs in only where nobody but this computer can.

    The same address again gives the same person. Raises DemoElsewhere on an address that others reach.
    """
    if beyond_loopback(settings.current()):
        raise DemoElsewhere(msg("As contas de demonstração só existem quando a Malha escuta apenas neste computador."))
    known = Person.objects.filter(email=email.lower(), is_demo=True).first()
    return card(known) if known else create_person(email, name=name, password=password, is_demo=True)


def demo_people(tenant_id: int | None) -> list[PersonCard]:
    """People of the demonstration, of one tenant or of all; none on an address that others reach."""
    if beyond_loopback(settings.current()):
        return []
    people = Person.objects.filter(is_demo=True, is_active=True).order_by("pk")
    if tenant_id is not None:
        with tenancy.scope(tenant_id):
            people = people.filter(pk__in=[one.person_id for one in access.members(tenant_id)])
    return [card(one) for one in people[:12]]


def card(person: Person) -> PersonCard:
    """A person as other rooms see them."""
    return PersonCard(id=person.pk, email=person.email, name=person.name, language=person.language, is_demo=person.is_demo)


def by_email(email: str) -> PersonCard | None:
    """The person with that address, if there is one."""
    person = Person.objects.filter(email=email.strip().lower()).first()
    return card(person) if person else None


def by_id(person_id: int) -> PersonCard:
    """The person with that id. Raises UnknownPerson."""
    person = Person.objects.filter(pk=person_id).first()
    if person is None:
        raise UnknownPerson(msg("Essa pessoa não existe."))
    return card(person)


def machine_name(client_id: str) -> str:
    """What a program of the tenant in whose scope this runs is called; its id where it is not there any more."""
    return MachineClient.objects.filter(client_id=client_id).values_list("name", flat=True).first() or client_id


def speak(person_id: int, language: str) -> None:
    """Remember the language that a person chose; one that we do not speak changes nothing."""
    if language in dict(django_settings.LANGUAGES):
        Person.objects.filter(pk=person_id).update(language=language)


def set_active(person_id: int, *, active: bool) -> None:
    """Let a person in, or keep them out: their sessions and tokens end."""
    if not Person.objects.filter(pk=person_id).update(is_active=active):
        raise UnknownPerson(msg("Essa pessoa não existe."))
    if not active:
        end_sessions(person_id)


def end_sessions(person_id: int) -> None:
    """Sign a person out everywhere."""
    keys = list(UserSession.objects.filter(user_id=person_id).values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(user_id=person_id).delete()
    revoke_tokens(person_id)


def reset_second_factor(person_id: int, *, tenant_id: int, by: str) -> int:
    """Forget authenticator app, passkeys and recovery codes of somebody who lost them; audited.

    The person then signs in by a code sent to their address. Returns how many were forgotten.
    """
    count, _ = Authenticator.objects.filter(user_id=person_id).delete()
    end_sessions(person_id)
    audit.record(tenant_id, by, "identity.second_factor_reset", f"person:{person_id}", {"forgotten": count})
    return int(count)


def create_machine(
    tenant_id: int,
    *,
    name: str,
    capabilities: Iterable[Capability],
    types: Iterable[str] | None = None,
    created_by: int | None = None,
    scope: Mapping[str, Any] | None = None,
) -> tuple[Machine, str]:
    """A program that enters the tenant by client credentials, and its secret, told this once. In the tenant's scope."""
    machine, secret = machines.create(tenant_id, name=name, capabilities=capabilities, types=types, created_by=created_by, scope=scope)
    details: dict[str, object] = {
        "name": name,
        "capabilities": sorted(machine.capabilities),
        "types": sorted(machine.types) if machine.types is not None else None,
        "scope": {name: value for name, value in machine.scope.items() if name != "area"},
    }
    audit.record(tenant_id, _person(created_by), "identity.machine_create", f"client:{machine.client_id}", details)
    return machine, secret


def renew_machine(tenant_id: int, machine_id: int, *, by: int | None) -> tuple[Machine, str]:
    """Another secret and another year; the old secret and its tokens stop at once. Raises UnknownMachine."""
    machine, secret = machines.renew(tenant_id, machine_id)
    audit.record(tenant_id, _person(by), "identity.machine_renew", f"client:{machine.client_id}", None)
    return machine, secret


def prolong_machine(tenant_id: int, machine_id: int, *, by: int | None) -> Machine:
    """Another year with the secret it has, for who cannot be told a new one. Raises UnknownMachine."""
    machine = machines.prolong(tenant_id, machine_id)
    audit.record(tenant_id, _person(by), "identity.machine_prolong", f"client:{machine.client_id}", None)
    return machine


def revoke_machine(tenant_id: int, machine_id: int, *, by: int | None) -> Machine:
    """End a machine and its tokens. Raises UnknownMachine."""
    machine = machines.revoke(tenant_id, machine_id)
    audit.record(tenant_id, _person(by), "identity.machine_revoke", f"client:{machine.client_id}", {"name": machine.name})
    return machine


def machines_of(tenant_id: int) -> list[Machine]:
    """The tenant's programs, newest first, revoked ones last. In the tenant's scope."""
    rows = MachineClient.objects.filter(tenant_id=tenant_id).order_by("revoked_at", "-created_at")
    return sorted((machines.told(row) for row in rows), key=lambda one: one.revoked_at is not None)


def _person(person_id: int | None) -> str:
    return f"person:{person_id}" if person_id else "system"
