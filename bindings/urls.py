"""Pages of exchange: inviting, accepting, and the cards one holds."""

from django.urls import path

from bindings import account, public, views
from cards.audience import AudienceForm, PublicForm

urlpatterns = [
    path("account/data/", account.own_data, name="own-data"),
    path("account/data/archive.zip", account.download, name="own-data-archive"),
    path("account/erase/", account.erase, name="erase"),
    path("held/", views.held_list, name="held"),
    path("held/export.vcf", views.held_export, {"form": "vcf"}, name="held-export-vcf"),
    path("held/export.csv", views.held_export, {"form": "csv"}, name="held-export-csv"),
    path("held/<uuid:pk>/", views.held_card, name="held-card"),
    path("held/<uuid:pk>/row/", views.held_row, name="held-row"),
    path("held/<uuid:pk>/card.vcf", views.held_vcf, name="held-vcf"),
    path("held/<uuid:pk>/leave/", views.leave, name="leave"),
    path("cards/new/preview/", views.preview, name="card-new-preview"),
    path("cards/<uuid:pk>/preview/", views.preview, name="card-preview"),
    path(
        "cards/<uuid:pk>/audience/preview/",
        views.preview,
        {"editing": AudienceForm},
        name="card-audience-preview",
    ),
    path(
        "cards/<uuid:pk>/public/preview/",
        views.preview,
        {"editing": PublicForm},
        name="card-public-preview",
    ),
    path("cards/<uuid:pk>/viewers/", views.viewer_list, name="card-viewers"),
    path("cards/<uuid:pk>/holders/", views.holder_list, name="holders"),
    path("holders/<uuid:pk>/", views.holder, name="holder"),
    path("holders/<uuid:pk>/revoke/", views.revoke, name="revoke"),
    path("circles/", views.circle_list, name="circles"),
    path("circles/<uuid:pk>/", views.circle, name="circle"),
    path("circles/<uuid:pk>/delete/", views.delete_circle, name="circle-delete"),
    path("blocks/", views.block_list, name="blocks"),
    path("blocks/<uuid:pk>/lift/", views.unblock, name="unblock"),
    path("people/<str:username>/block/", views.block, name="block"),
    path("cards/<uuid:pk>/share/", views.share, name="share"),
    path("invitations/<uuid:pk>/revoke/", views.revoke_invitation, name="invitation-revoke"),
    path("code/", views.code, name="code"),
    path("i/<str:code>", views.invitation, name="invitation"),
    path("p/<slug:slug>/keep", public.keep, name="public-keep"),
    path("p/<slug:slug>/leave", public.leave_at_page, name="public-leave"),
    path("i/<str:code>/leave", public.leave_at_invitation, name="invitation-leave"),
    path("guest/<str:key>/", public.guest, name="guest"),
    path("guest/<str:key>/card.vcf", public.guest_vcf, name="guest-vcf"),
    path("guest/<str:key>/claim/", public.claim, name="guest-claim"),
    path("guest/<str:key>/remove/", public.remove_guest, name="guest-remove"),
    path("requests/", views.request_list, name="requests"),
    path("requests/<uuid:pk>/", views.request_page, name="request"),
    path("requests/<uuid:pk>/decline/", views.decline, name="request-decline"),
]
