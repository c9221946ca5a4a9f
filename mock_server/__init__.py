import warnings

# Connexion imports Starlette's test client, which warns on stderr that it prefers httpx2.
warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
