import warnings

# Connexion imports Starlette's test client, which says on stderr that it would rather have httpx2.
warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
