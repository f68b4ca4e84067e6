"""A page of tariff lists: one HTML file to search, sort, compare, chart and print, without a network. Pure."""

from __future__ import annotations

from smsc_async.report.page import render_report

__all__ = ["render_report"]
