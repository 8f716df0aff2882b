"""Values that live and die in one fused stage: pixels never cross a shuffle, and here Beam is told so."""

from typing import Any

from apache_beam import coders


class InProcessCoder(coders.Coder):
    """Stands for values that no other process may see: to encode one is a mistake in the pipeline, and fails."""

    def encode(self, value: Any) -> bytes:
        """Refuses."""
        raise TypeError(
            f"{type(value).__name__} holds pixels and stays in its stage: no shuffle or branch may come here"
        )

    def decode(self, encoded: bytes) -> Any:
        """Refuses."""
        raise TypeError("nothing was encoded")

    def estimate_size(self, value: Any) -> int:
        """A figure for Beam's counters, which would otherwise encode samples of what passes."""
        return 1

    def is_deterministic(self) -> bool:
        """Never a key."""
        return False


def stays_in_process(kind: type) -> type:
    """Class decorator: collections of this type must stay in one fused stage."""
    coders.registry.register_coder(kind, InProcessCoder)
    return kind
