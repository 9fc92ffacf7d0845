"""Signing in, the person's own pages, people and machines of a tenant, and the platform's pages."""

from __future__ import annotations

from django.urls import include, path

from malha.foundation.identity import machine_views, people_views, platform_views, views

app_name = "identity"

urlpatterns = [
    path("conta/", views.account, name="account"),
    path("conta/entrou/", views.entered, name="entered"),
    path("conta/sinal/", views.renew_plane_cookie, name="renew_plane_cookie"),
    path("conta/demonstracao/", views.enter_demo, name="enter_demo"),
    path("conta/convite/<str:secret>/", views.invitation, name="invitation"),
    path("gestao/pessoas/", people_views.people, name="people"),
    path("gestao/pessoas/convidar/", people_views.invite, name="invite"),
    path("gestao/pessoas/convites/<int:invitation_id>/", people_views.change_invitation, name="change_invitation"),
    path("gestao/pessoas/<int:person_id>/", people_views.person, name="person"),
    path("gestao/municipios/criar/", platform_views.create, name="create_member"),
    path("dados/ligacoes/", machine_views.machines, name="machines"),
    path("dados/ligacoes/nova/", machine_views.create, name="create_machine"),
    path("dados/ligacoes/<int:machine_id>/", machine_views.change, name="change_machine"),
    path("plataforma/", platform_views.tenants, name="tenants"),
    path("plataforma/criar/", platform_views.create, name="create_tenant"),
    path("plataforma/<slug:slug>/convidar/", platform_views.invite, name="invite_manager"),
]

#: allauth's own addresses, without a namespace because it reverses them by bare names
ALLAUTH = [
    path("conta/logout/", views.SignOutView.as_view(), name="account_logout"),
    path("conta/", include("allauth.urls")),
    path("identity/o/authorize", views.ConsentView.as_view()),
    path("", include("allauth.idp.urls")),
]
