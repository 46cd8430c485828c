"""A refusal tells how to write what was sent, and shows nobody an expression."""

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from gcc.web.api.shapes import Given
from gcc.web.gateway import app
from gcc.web.identity import shapes


def given(model: type[Given]) -> Iterator[type[Given]]:
    for each in model.__subclasses__():
        yield each
        yield from given(each)


MODELS = sorted(set(given(Given)), key=lambda model: model.__name__)
ODD: list[Any] = ["\x01 \x01", ["\x01 \x01"]]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("odd", ODD, ids=["text", "list"])
def test_no_refusal_is_an_expression(model: type[Given], odd: object) -> None:
    assert app.gateway_app  # so that every model is loaded
    sent = dict.fromkeys((field.alias or name for name, field in model.model_fields.items()), odd)
    told: list[str] = []
    try:
        model.model_validate(sent)
    except pydantic.ValidationError as error:
        told = [each["msg"] for each in error.errors() if each["type"] == "string_pattern_mismatch"]
    assert told == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (" asha@brand.example\n", "asha@brand.example"), ("u\u0308n@brand.example", "ün@brand.example"),
        ("o'brien+x@brand.example", "o'brien+x@brand.example"), ("x@exämple.com", "x@exämple.com"),
        ("x@y.com\u200b", None), ("a\u202eb@x.com", None), ("x\x7f@y.com", None), ("Asha <asha@brand.example>", None),
        ("x y@brand.example", None), ("x@@y.com", None), ("@y.com", None), ("x\0@y.com", None),
    ],
)  # fmt: skip
def test_an_e_mail_is_kept_as_it_looks(sent: str, kept: str | None) -> None:
    written = pydantic.TypeAdapter(shapes.Email)
    if kept is not None:
        assert written.validate_python(sent, strict=True) == kept
    else:
        with pytest.raises(pydantic.ValidationError, match="write one address as"):
            written.validate_python(sent, strict=True)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (" Main ", "Main"), ("Cafe\u0301", "Café"), ("👩\u200d💻", "👩\u200d💻"), ("می\u200cخواهم", "می\u200cخواهم"),
        ("=1+1", "=1+1"), ("\u200b", None), ("a\nb", None), ("\u202eabc", None), ("a\x07", None), ("a\u2028b", None),
    ],
)  # fmt: skip
def test_a_name_is_one_line_with_something_to_see(sent: str, kept: str | None) -> None:
    written = pydantic.TypeAdapter(shapes.Text)
    if kept is not None:
        assert written.validate_python(sent, strict=True) == kept
    else:
        with pytest.raises(pydantic.ValidationError, match="write one line"):
            written.validate_python(sent, strict=True)
