"""A card says which faces its model is asked about; cards that were written before it could say so stay as they are."""

import json
from typing import Any

import pydantic
import pytest

from models.bundle import bundle_names, bundle_path
from models.cards import Card, Output, read_card

AGE: dict[str, Any] = {"attribute": "age", "kind": "probabilities"}
EMOTION: dict[str, Any] = {"attribute": "emotion", "kind": "logits", "classes": ("happy", "sad")}


def card_with(*outputs: dict[str, Any]) -> Card:
    card = read_card(bundle_path("age-gender"))
    return Card.model_validate(card.model_dump() | {"outputs": outputs})


def test_emotion_is_read_from_every_face_and_age_and_gender_from_the_best() -> None:
    assert {name: read_card(bundle_path(name)).rows for name in bundle_names()} == {
        "age-gender": "best",
        "emotion": "every",
        "emotion-fer2013": "every",
    }


@pytest.mark.parametrize(("fields", "default"), [(AGE, "best"), (EMOTION, "every")])
def test_only_what_is_not_the_default_is_written(fields: dict[str, Any], default: Any) -> None:
    other: Any = {"best": "every", "every": "best"}[default]
    assert Output(**fields).rows == Output(**fields, rows=default).rows == default
    assert "rows" not in json.loads(Output(**fields, rows=default).model_dump_json())
    stated = Output(**fields, rows=other)
    assert json.loads(stated.model_dump_json())["rows"] == other
    assert Output.model_validate_json(stated.model_dump_json()) == stated


def test_all_outputs_of_a_model_are_read_from_the_same_faces() -> None:
    with pytest.raises(pydantic.ValidationError, match="state rows for each"):
        card_with(AGE, EMOTION)
    assert card_with(AGE | {"rows": "every"}, EMOTION).rows == "every"
    assert card_with(AGE, EMOTION | {"rows": "best"}).rows == "best"
