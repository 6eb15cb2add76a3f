"""Pages of an owner's cards, the photos, and what the public sees of a card."""

from django.urls import path

from cards import views

urlpatterns = [
    path("cards/", views.card_list, name="cards"),
    path("cards/new/", views.new_card, name="card-new"),
    path("cards/import/", views.import_cards, name="card-import"),
    path("cards/row/", views.new_row, name="card-row"),
    path("cards/<uuid:pk>/", views.edit_card, name="card"),
    path("cards/<uuid:pk>/audience/", views.card_audience, name="card-audience"),
    path("cards/<uuid:pk>/history/", views.card_history, name="card-history"),
    path("cards/<uuid:pk>/restore/", views.restore_card, name="card-restore"),
    path("cards/<uuid:pk>/duplicate/", views.duplicate_card, name="card-duplicate"),
    path("cards/<uuid:pk>/retire/", views.retire_card, name="card-retire"),
    path("cards/<uuid:pk>/public/", views.card_public, name="card-public"),
    path("cards/<uuid:pk>/public/off/", views.unpublish, name="card-unpublish"),
    path("p/<slug:slug>", views.public_card, name="public"),
    path("p/<slug:slug>/card.vcf", views.public_vcf, name="public-vcf"),
    path("p/<slug:slug>/qr.svg", views.public_qr, name="public-qr"),
    path("p/<slug:slug>/photo.jpg", views.public_photo, name="public-photo"),
    path("photos/<str:name>", views.photo, name="photo"),
]
