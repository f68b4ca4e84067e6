"""The addresses of the service."""

from django.urls import path

from examples.django_service import views

urlpatterns = [
    path("ready", views.ready),
    path("tariffs", views.tariffs),
    path("prices/<str:zone>", views.price),
]
