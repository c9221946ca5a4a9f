"""The console at ``/__mock/``: web pages to inspect and control the mock. They use the control API only."""
