"""A Beam coder that refuses to encode, for values that hold pixels and must stay in one fused stage."""

from typing import Any

from apache_beam import coders


class InProcessCoder(coders.Coder):
    """The coder of values that must not leave their process: encoding one is a mistake in the pipeline, so it fails."""

    def encode(self, value: Any) -> bytes:
        """Always fails."""
        raise TypeError(
            f"{type(value).__name__} holds pixels and stays in its stage: no shuffle or branch may come here"
        )

    def decode(self, encoded: bytes) -> Any:
        """Always fails."""
        raise TypeError("nothing was encoded")

    def estimate_size(self, value: Any) -> int:
        """Gives Beam's counters a size, because otherwise they would encode a sample of the elements."""
        return 1

    def is_deterministic(self) -> bool:
        """False: such a value can be no key."""
        return False


def stays_in_process(kind: type) -> type:
    """Class decorator: gives a type the coder that keeps its values in one fused stage."""
    coders.registry.register_coder(kind, InProcessCoder)
    return kind
