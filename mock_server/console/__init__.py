"""The console at ``/__mock/``: pages that show and steer the mock. They use the control API only."""
