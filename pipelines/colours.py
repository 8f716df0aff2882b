"""The colours of emotions: the same ones in reports and on annotated pictures.

They are those of M. Okabe and K. Ito, Color Universal Design, 2008, which people with any colour vision can tell apart,
and a grey for `neutral`.
"""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

EMOTION_COLOURS: dict[str, Colour] = {
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (204, 121, 167),
    "happy": (240, 228, 66),
    "sad": (0, 114, 178),
    "surprise": (86, 180, 233),
    "neutral": (163, 168, 174),
}
UNKNOWN_COLOUR: Colour = (228, 230, 233)


def hex_code(colour: Colour) -> str:
    """A colour as HTML writes it: #D55E00."""
    return "#{:02X}{:02X}{:02X}".format(*colour)
