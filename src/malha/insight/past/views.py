"""What a page needs to show itself as it was: which instant is asked for, and the words and addresses around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.past import service
from malha.insight.past.contracts import Knowledge, Moment
from malha.kernel import formats, time

#: what the address says: the instant, and (`hoje`) that today's knowledge of it is wanted
PARAMETER, KNOWING, TODAY = "em", "saber", "hoje"
_LOCAL = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class Seen:
    """What `past/control.html` shows. `moment` is None for now; `text` is the instant as the address says it, `local` in the
    tenant's zone, like the `earliest` (empty: none) and the `latest` that may be asked for; `kept` are the other parameters of the page's address.
    """

    moment: Moment | None
    text: str
    local: str
    earliest: str
    latest: str
    kept: tuple[tuple[str, str], ...]

    @property
    def at(self) -> datetime | None:
        """The instant that the page is of; None for now."""
        return self.moment.at if self.moment else None

    @property
    def said(self) -> str:
        """By which knowledge, as a sentence."""
        if self.moment is None:
            return ""
        return {
            Knowledge.THEN: _("São os valores como então se sabia: correções e dados que vieram depois não contam."),
            Knowledge.ASKED: _("São os valores desse momento como hoje se conhecem, com as correções e os dados que vieram depois."),
            Knowledge.NO_LONGER: _(
                "São os valores desse momento como hoje se conhecem: o que então se sabia só se guarda durante 7 dias, e não para antes de um apagamento."
            ),
            Knowledge.NOTHING_YET: _("São os valores desse momento como hoje se conhecem: então ainda não tinha chegado nada."),
        }[self.moment.knowledge]

    @property
    def switch(self) -> str:
        """What the address says to show the other knowledge of the same instant: "today", "then", or nothing where there is no other."""
        found = self.moment.knowledge if self.moment else None
        return {Knowledge.THEN: "today", Knowledge.ASKED: "then"}.get(found, "") if found else ""

    @property
    def suffix(self) -> str:
        """What an address of another page is given to show the same instant: `em=…`; empty for now."""
        if self.moment is None:
            return ""
        return urlencode({PARAMETER: self.text} | ({KNOWING: TODAY} if self.moment.knowledge is Knowledge.ASKED else {}))

    def standing(self, tenant: Tenant) -> Tenant:
        """The tenant with its clock standing at that instant: what is told as "há 5 minutos" is then told as an instant."""
        return replace(tenant, theme={**tenant.theme, "clock": self.moment.at.isoformat()}) if self.moment else tenant

    def by(self, moment: Moment) -> Seen:
        """The same where the knowledge turned out to be another."""
        return replace(self, moment=moment)


def seen(request: HttpRequest, tenant: Tenant, *, entity_type: str = "", but: tuple[str, ...] = (), first: datetime | None = None) -> Seen:
    """What the address asks for; an instant that cannot be read or has not come yet is said, and the page is of now.

    `but` are parameters that another instant makes senseless (the number of a page); nothing is shown of before `first`.
    """
    now = tenant.clock or time.now()
    kept = tuple((name, value) for name, values in request.GET.lists() if name not in {PARAMETER, *but} for value in values)
    text = request.GET.get(PARAMETER, "").strip().replace(" ", "+")
    nothing = Seen(None, "", "", first.astimezone(tenant.zone).strftime(_LOCAL) if first else "", now.astimezone(tenant.zone).strftime(_LOCAL), kept)
    if not text:
        return nothing
    try:
        at = time.parse_instant(text, zone=tenant.zone)
    except ValueError:
        messages.error(request, _("“{text}” não é um dia e uma hora.").format(text=text[:40]))
        return nothing
    if at > now:
        messages.error(request, _("Esse momento ainda não chegou: escolha um que já passou."))
        return nothing
    if first is not None and at < first:
        said = formats.instant(first, tenant.zone, get_language() or "pt-pt")
        messages.error(request, _("O que aqui se mostra é público desde {first}: escolha um momento depois desse.").format(first=said))
        return nothing
    found = service.moment(database.current(), tenant, at, as_today=request.GET.get(KNOWING) == TODAY, entity_type=entity_type)
    return replace(nothing, moment=found, text=text, local=at.astimezone(tenant.zone).strftime(_LOCAL))
