"""Faces drawn on pictures and videos, or blurred in them."""
