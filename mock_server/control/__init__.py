"""The test-control API below ``/__mock/api``: sandboxes, snapshots, changes, records and clocks.

`openapi.yaml` describes it. It is served by the same middlewares of Connexion as the contract.
"""
