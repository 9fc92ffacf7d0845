"""*Correio de demonstração*, and the trial of a mail server."""

from __future__ import annotations

from smtplib import SMTPException

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.mail import rules, service
from malha.foundation.settings import service as settings


@never_cache
@require_GET
def demo(request: HttpRequest) -> HttpResponse:
    """Mail of the last day that stayed here; only without a server, and only on this computer."""
    if service.has_server() or rules.beyond_loopback(settings.current()) or not rules.is_here(request.META.get("REMOTE_ADDR", "")):
        raise Http404
    wanted = request.GET.get("para", "").strip()
    letters = [{"letter": one, "parts": rules.with_links(one.body)} for one in service.kept(wanted)]
    return render(request, "mail/demo.html", {"letters": letters, "wanted": wanted})


@requires(Capability.PLATFORM_OPERATE)
@require_http_methods(["GET", "POST"])
def trial(request: HttpRequest) -> HttpResponse:
    """How mail leaves, and a message to oneself."""
    email = str(getattr(request.user, "email", ""))
    if request.method == "POST":
        try:
            service.send(email, _("Ensaio do correio da Malha"), _("Se lê isto, o correio da Malha chega."))
        except (SMTPException, OSError) as reason:
            messages.error(request, _("O servidor de correio não aceitou: {reason}. Confira MALHA_SMTP_URL.").format(reason=reason))
        else:
            messages.success(request, _("Ensaio enviado a {email}.").format(email=email))
        return HttpResponseRedirect(reverse("mail:trial"))
    return render(request, "mail/trial.html", {"has_server": service.has_server(), "sender": settings.current().mail_from, "email": email})
