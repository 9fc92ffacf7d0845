"""Styles, fonts and scripts as built by Vite."""
