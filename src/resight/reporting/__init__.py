"""Reporting: the HTML report, contact sheets, tables on the terminal."""

from resight.reporting.console import hits_table, models_table
from resight.reporting.contact_sheet import contact_sheet, result_sheet, search_sheet
from resight.reporting.ranked_lists import Hit, Picture, RankedRow, answered_rows, ranked_rows
from resight.reporting.report import write_report

__all__ = [
    "Hit",
    "Picture",
    "RankedRow",
    "answered_rows",
    "contact_sheet",
    "hits_table",
    "models_table",
    "ranked_rows",
    "result_sheet",
    "search_sheet",
    "write_report",
]
