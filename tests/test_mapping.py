"""Mapping files: each mistake is reported in one line. These tests need no Spark."""

from pathlib import Path

import pytest

from ml.loading.formats import Format
from ml.loading.mapping import read_mapping
from ml.session import StepError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "transactions: {price: x}",
            "unknown column 'price'; the known columns are transaction_id",
        ),
        ("transactions: {load_time: x}", "unknown column 'load_time'"),
        ("customers: {loaded_at: x}", "unknown column 'loaded_at'"),
        ("orders: {amount: x}", "unknown section 'orders'; the known sections are transactions"),
        (
            "format: {separator: x}",
            "unknown key 'separator'; the known keys are delimiter",
        ),
        ("format: {delimiter: ab}", "delimiter must be one character, not 'ab'"),
        ("format: {decimal: x}", "decimal must be one of '.' ',', not 'x'"),
        ("format: {decimal: ',', thousands: ','}", "must differ"),
        ("format: {encoding: klingon}", "encoding 'klingon' is unknown"),
        ("format: {skip_lines: -1}", "skip_lines must be a number of lines, not -1"),
        ("format: {date_format: 'DD/MM/YYYY'}", "write 'dd/MM/yyyy'"),
        ("format: comma", "format must be a map with delimiter"),
        ("format: {customers: comma}", "format must be a map with delimiter"),
        ("transactions: [amount]", "transactions must be a map"),
        ("transactions: {amount: }", "transactions.amount is not a text"),
        ("transactions: {amount: true}", "transactions.amount is not a text"),
        ("just words", "must be a map"),
        ("", "must be a map"),
        ("a: b: {", "is not YAML"),
    ],
)
def test_mapping_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    path = tmp_path / "mapping.yml"
    path.write_text(text)
    with pytest.raises(StepError, match=message) as error:
        read_mapping(str(path))
    assert "\n" not in str(error.value)


def test_missing_mapping_file_is_refused(tmp_path):
    with pytest.raises(StepError, match="cannot be read: No such file"):
        read_mapping(str(tmp_path / "nope.yml"))


def test_customers_file_may_have_its_own_format(tmp_path):
    path = tmp_path / "mapping.yml"
    path.write_text("format: {delimiter: ';', decimal: ',', customers: {delimiter: tab}}")
    formats = read_mapping(str(path)).formats
    assert formats["transactions"] == Format(delimiter=";", decimal=",")
    assert formats["customers"] == Format(delimiter="\t", decimal=",")


def test_yaml_bomb_and_yaml_with_code_are_refused(tmp_path: Path):
    path = tmp_path / "laughs.yml"
    levels = ["a0: &a0 [lol, lol]"] + [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)
    ]
    path.write_text("\n".join([*levels, "transactions: {amount: *a11}"]))
    with pytest.raises(StepError, match="unknown section 'a0'"):
        read_mapping(str(path))
    path.write_text("transactions: !!python/object/apply:os.system ['true']")
    with pytest.raises(StepError, match="is not YAML"):
        read_mapping(str(path))
