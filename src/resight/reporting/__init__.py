"""What people look at: the report, the contact sheet, the tables on the terminal."""

from resight.reporting.lists import Hit, Picture, RankedRow, answered_rows, judged_rows
from resight.reporting.report import write_report
from resight.reporting.sheet import contact_sheet, result_sheet, search_sheet
from resight.reporting.table import hits_table, models_table, score_table

__all__ = [
    "Hit",
    "Picture",
    "RankedRow",
    "answered_rows",
    "contact_sheet",
    "hits_table",
    "judged_rows",
    "models_table",
    "result_sheet",
    "score_table",
    "search_sheet",
    "write_report",
]
