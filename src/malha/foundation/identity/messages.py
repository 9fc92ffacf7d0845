"""What allauth says when something does not work, in our words: what happened and what to do."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

ACCOUNT_ERRORS = {
    "account_inactive": _("Esta conta está desativada. Fale com quem gere o serviço no seu município."),
    "cannot_remove_primary_email": _("Não pode retirar o endereço principal. Escolha primeiro outro."),
    "duplicate_email": _("Este endereço já está nesta conta."),
    "email_password_mismatch": _("O endereço e a palavra-passe não condizem. Tente outra vez ou peça um código por correio eletrónico."),
    "email_taken": _("Já há uma conta com este endereço."),
    "enter_current_password": _("Escreva a palavra-passe que usa agora."),
    "incorrect_code": _("O código não está certo. Confira-o ou peça outro."),
    "incorrect_password": _("A palavra-passe não está certa."),
    "invalid_or_expired_key": _("Esta ligação já foi usada ou passou do prazo. Peça outra."),
    "invalid_login": _("Não foi possível entrar. Comece de novo."),
    "invalid_password_reset": _("O pedido já não serve. Peça outro código."),
    "max_email_addresses": _("Não pode juntar mais de %d endereços."),
    "too_many_login_attempts": _("Foram demasiadas tentativas. Espere cinco minutos e tente outra vez, ou peça um código."),
    "unknown_email": _("Não há nenhuma conta com este endereço."),
    "unverified_primary_email": _("O endereço principal tem de estar confirmado."),
    "select_only_one": _("Escolha só um."),
    "same_as_current": _("O valor novo tem de ser diferente do atual."),
    "rate_limited": _("Foram demasiados pedidos seguidos. Espere um minuto."),
}

SECOND_FACTOR_ERRORS = {
    "incorrect_code": _("O código ou a chave não foi aceite. Tente outra vez, ou use um código de recuperação."),
    "unverified_email": _("Confirme primeiro o seu endereço de correio eletrónico."),
    "add_email_blocked": _("Com o segundo passo ativo não pode juntar endereços por confirmar."),
}
