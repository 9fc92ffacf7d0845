"""Signing in, the person's own page, and accepting an invitation."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account.internal.flows.login_by_code import LoginCodeVerificationProcess
from allauth.account.utils import perform_login
from allauth.account.views import LogoutView
from allauth.idp.oidc.views import AuthorizationView
from allauth.mfa.models import Authenticator
from django.conf import settings as django_settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import get_script_prefix, reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import invitations, rules, service
from malha.foundation.identity.contracts import InvitationCard, InvitationForAnother, InvitationSpent
from malha.foundation.identity.forms import ROLE_WORDS, AcceptForm, PersonForm
from malha.foundation.identity.models import Person
from malha.foundation.settings import service as settings
from malha.kernel.text import whole_number


@login_required
def entered(request: HttpRequest) -> HttpResponse:
    """After signing in without another place to go: the tenant's home, or the person's only tenant, or the platform."""
    if getattr(request, "tenant", None) is None:
        doors = access.tenants_of(_person(request).pk)
        if len(doors) == 1:
            return HttpResponseRedirect(door_url(doors[0].slug, doors[0].hostname, request))
    return HttpResponseRedirect(get_script_prefix())


@require_GET
def renew_plane_cookie(request: HttpRequest) -> HttpResponse:
    """Nothing but a fresh plane cookie (the middleware's), for pages that stay open longer than it lasts."""
    return HttpResponse(status=204 if request.user.is_authenticated else 401)


def door_url(slug: str, hostname: str, request: HttpRequest) -> str:
    """The home of a tenant."""
    return f"{request.scheme}://{hostname}/" if hostname else f"/{slug}/"


def _person(request: HttpRequest) -> Person:
    assert isinstance(request.user, Person)
    return request.user


@require_POST
def enter_demo(request: HttpRequest) -> HttpResponse:
    """Be somebody of the demonstration; only on a computer that nobody else reaches."""
    person = Person.objects.filter(pk=whole_number(request.POST.get("person", ""), 0), is_demo=True).first()
    if person is None or not rules.may_enter(person, settings.current()):
        raise Http404
    target = _safe(request, request.POST.get("next", ""))
    response: HttpResponse = perform_login(request, person, email_verification="none", redirect_url=target or reverse("identity:entered"))
    return response


def _safe(request: HttpRequest, target: str) -> str:
    return target if url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()) else ""


class SignOutView(LogoutView):  # type: ignore[misc]  # allauth is untyped
    """Sign out, or change person without losing the page that is open."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        back = _safe(self.request, self.request.GET.get("next", "") or self.request.META.get("HTTP_REFERER", ""))
        parts = urlsplit(back)
        back = f"{parts.path}?{parts.query}" if parts.query else parts.path
        if "/conta/" in back:
            back = ""
        switch = f"{reverse('account_login')}?{urlencode({'next': back})}"
        return {**super().get_context_data(**kwargs), "back": back, "switch_url": switch}


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """Name, language, and how the person signs in."""
    person = _person(request)
    form = PersonForm(request.POST or None, initial={"name": person.name, "language": person.language})
    if request.method == "POST" and form.is_valid():
        person.name, person.language = form.cleaned_data["name"], form.cleaned_data["language"]
        person.save(update_fields=["name", "language"])
        translation.activate(person.language)
        messages.success(request, _("Guardado."))
        return HttpResponseRedirect(reverse("identity:account"))
    doors = [{"name": door.name, "via": door.via, "url": door_url(door.slug, door.hostname, request)} for door in access.tenants_of(person.pk)]
    return render(request, "identity/account.html", {"form": form, "person": _protection(person), "doors": doors})


def _protection(person: Person) -> dict[str, Any]:
    kinds = {one.type: one for one in Authenticator.objects.filter(user=person)}
    passkeys = Authenticator.objects.filter(user=person, type=Authenticator.Type.WEBAUTHN).count()
    codes = kinds.get(Authenticator.Type.RECOVERY_CODES)
    return {
        "passkeys": passkeys,
        "app": Authenticator.Type.TOTP in kinds,
        "recovery_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "is_protected": bool(passkeys) or Authenticator.Type.TOTP in kinds,
    }


@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Accept an invitation: with a new account by passkey or code, or with the account that one has."""
    tenant = getattr(request, "tenant", None)
    if tenant is None:
        raise Http404
    try:
        known = invitations.find(tenant.id, secret)
    except InvitationSpent as spent:
        return render(request, "identity/invitation_spent.html", {"reason": _(spent.message)}, status=410)
    holder = Person.objects.filter(email=known.email).first()
    if request.user.is_authenticated:
        return _accept_signed_in(request, secret, known)
    if holder is not None:
        login = f"{reverse('account_login')}?{urlencode({'next': request.get_full_path()})}"
        return render(request, "identity/invitation_known.html", {"invitation": known, "role": role_label(known.role), "login_url": login})
    form = AcceptForm(request.POST or None, initial={"name": known.name})
    if request.method == "POST" and form.is_valid():
        return _accept_new(request, secret, known, form.cleaned_data["name"])
    return render(request, "identity/invitation.html", {"invitation": known, "role": role_label(known.role), "form": form})


def role_label(role: str) -> str:
    """A role in the reader's words."""
    return str(ROLE_WORDS[RoleName(role)][0])


def _accept_signed_in(request: HttpRequest, secret: str, known: InvitationCard) -> HttpResponse:
    person = _person(request)
    if request.method == "POST":
        try:
            invitations.accept(known.tenant_id, secret, person)
        except InvitationForAnother as refused:
            messages.error(request, _(refused.message).format(**refused.params))
        else:
            service.revoke_tokens(person.pk)
            messages.success(request, _("Convite aceite."))
            return HttpResponseRedirect(get_script_prefix())
    context = {"invitation": known, "role": role_label(known.role), "is_mine": person.email == known.email, "path": request.get_full_path()}
    return render(request, "identity/invitation_accept.html", context)


def _accept_new(request: HttpRequest, secret: str, known: InvitationCard, name: str) -> HttpResponse:
    """The link came by mail, so its bearer holds the address: the account begins confirmed."""
    made = service.create_person(known.email, name=name, language=translation.get_language() or "pt-pt")
    person = Person.objects.get(pk=made.id)
    invitations.accept(known.tenant_id, secret, person)
    if request.POST.get("way") == "code":
        LoginCodeVerificationProcess.initiate(request=request, user=person, email=person.email, phone=None)
        return HttpResponseRedirect(reverse("account_confirm_login_code"))
    response: HttpResponse = perform_login(request, person, email_verification="none", redirect_url=reverse("mfa_add_webauthn"))
    return response


class ConsentView(AuthorizationView):  # type: ignore[misc]  # allauth is untyped
    """*Let this application in?*, whose answer leads to the application's own address, and to no other."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Browsers hold `form-action` against redirects too: the address that the client is registered with is let through (CSP 3 §6.4.2)."""
        response: HttpResponse = super().dispatch(request, *args, **kwargs)
        address = getattr(self, "_request_info", {}).get("redirect_uri")
        if not address:
            return response
        url, policy = urlsplit(address), django_settings.SECURE_CSP
        widened = csp_override({**policy, "form-action": [*policy["form-action"], f"{url.scheme}://{url.netloc}"]})
        answer: HttpResponse = widened(lambda _request: response)(request)
        return answer
