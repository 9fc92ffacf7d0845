"""How the secrets of programs are hashed."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class MachineSecretHasher(PBKDF2PasswordHasher):
    """For secrets of 192 random bits, which nobody guesses: slow hashing would only let anyone tire the server."""

    algorithm = "malha_machine"
    iterations = 1000
