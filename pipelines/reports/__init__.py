"""Pages for people: from tables to content, from content to charts and pages; `report.py` wires them."""
