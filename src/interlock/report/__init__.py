"""To be read: the HTML and JSON report, and its plots. Heavy packages load only when a page is written."""
