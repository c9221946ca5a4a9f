"""Security schemes of all kinds, as Connexion verifies them."""
