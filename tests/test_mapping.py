"""Mapping files: each mistake is reported in one line. These tests need no Spark."""

from pathlib import Path

import pytest
import yaml

from ml.loading.formats import Format
from ml.loading.mapping import read_mapping
from ml.loading.number_formats import (
    Evidence,
    NumberFormat,
    is_number,
    number_evidence,
    recognized_number_format,
)
from ml.loading.proposals import proposal
from ml.loading.time_patterns import pattern_problem, patterns_in
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
        ("format: {separator: x}", "unknown key 'separator'; the known keys are delimiter"),
        ("format: {delimiter: ab}", "delimiter must be one ASCII character, not 'ab'"),
        ("format: {delimiter: ¦}", "delimiter must be one ASCII character, not '¦'"),
        (r'format: {delimiter: "\0"}', r"delimiter must be one ASCII character, not '\\x00'"),
        ("format: {decimal: x}", "decimal must be one of '.' ',', not 'x'"),
        ("format: {decimal: ',', thousands: ','}", "must differ"),
        ("format: {encoding: klingon}", "encoding 'klingon' is unknown"),
        ("format: {encoding: undefined}", "encoding 'undefined' is unknown"),
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
        ("transactions: {amount: net, amount: gross}", "the key 'amount' stands there twice"),
        ("transactions: {ordered_at: 2026-02-30}", "is not YAML"),
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
    path.write_text("\n".join(["format:", *[f"  {level}" for level in levels]]))
    with pytest.raises(StepError, match="unknown key 'a0'"):
        read_mapping(str(path))
    delimiters = [line.split(": ", 1)[1] for line in levels]
    path.write_text(f"format: {{delimiter: [{', '.join(delimiters)}]}}")
    with pytest.raises(StepError, match="delimiter must be a text in quotes, not a list"):
        read_mapping(str(path))
    path.write_text("transactions: !!python/object/apply:os.system ['true']")
    with pytest.raises(StepError, match="is not YAML"):
        read_mapping(str(path))


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("%Y-%m-%dT%H:%M:%S", "yyyy-MM-dd'T'HH:mm:ss"),
        ("%F %T", "yyyy-MM-dd HH:mm:ss"),
        ("%-d.%m.%Y", "d.MM.yyyy"),
        ("yyyy-MM-ddTHH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss"),
        ("DD/mm/yyyy", "dd/MM/yyyy"),
        ("YYYY-mm-dd", "yyyy-MM-dd"),
        ("YYYY-DDD", "yyyy-DDD"),
        ("yyyymmdd HHmm", "yyyyMMdd HHmm"),
        ("%d.%m.%Y %I:%M", "dd.MM.yyyy HH:mm"),
        ("yyyy-MM-dd HH:MM:SS", "yyyy-MM-dd HH:mm:ss"),
        ("dd/MM/yyyy HH:MM:SS.SSS", "dd/MM/yyyy HH:mm:ss.SSS"),
        ("DDD/MM/uuuu", "dd/MM/yyyy"),
        ("MM/dd/yyyy hh:mm A", "MM/dd/yyyy hh:mm a"),
        ("dd-MON-yyyy", "dd-MMM-yyyy"),
    ],
)
def test_an_advised_time_pattern_is_good(pattern: str, advice: str):
    assert pattern_problem(pattern).endswith(f"; write {advice!r}")
    assert pattern_problem(advice) is None


@pytest.mark.parametrize(
    "pattern",
    [
        *("%A %d %B", "100%", "yyyy-Q", "YYYY-ww", "EEE, d MMM yyyy", "TT.MM.JJJJ"),
        # Quoted text splits letters that a rule looks for, such as MON.
        *("MO'x'N", "d'x'TH", "hh:mm A'x'"),
    ],
)
def test_a_time_pattern_without_a_translation_is_not_repeated_as_advice(pattern: str):
    assert pattern not in pattern_problem(pattern)


def test_a_problem_of_a_time_pattern_is_named():
    assert "'T' is not a letter of Spark's patterns" in pattern_problem("TT.MM.JJJJ")
    assert pattern_problem("HH'D%m") == "a quote is not closed"
    assert "weekdays" in pattern_problem("EEE, d MMM yyyy")
    assert "the letter a (AM or PM)" in pattern_problem("dd/MM/yyyy hh:mm")


@pytest.mark.parametrize(
    "pattern",
    [
        "yyyy-MM-dd HH:mm:ss.SSS",
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "yyyyMMddHHmmssSSS",
        "d MMM yyyy, h:mm a",
        "HH:mm dd/MM/yyyy",
        "HH MM/dd/yyyy",
        "mm:ss",
        "yyyy-DDD HH:mm",
        "yyyy\u5e74MM\u6708dd\u65e5",
    ],
)
def test_a_good_time_pattern_is_accepted(pattern: str):
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("column", "texts", "mapping"),
    [
        ("ordered_at", ["1/31/2026 9:30:00"], {"format": {"date_format": "M/d/yyyy H:mm:ss"}}),
        ("ordered_at", ["31/01/2026T10:30"], {"format": {"date_format": "d/M/yyyy'T'H:mm"}}),
        ("ordered_at", ["5 May 2026"], {"format": {"date_format": "d MMM yyyy"}}),
        ("updated_at", ["1767225600"], {"updated_at": "timestamp_seconds(cast(day as bigint))"}),
        ("amount", ["1'234.50"], {"format": {"decimal": ".", "thousands": "'"}}),
    ],
)
def test_a_proposal_is_yaml_for_the_column(column: str, texts: list[str], mapping: dict):
    proposed = proposal(column, texts).removeprefix("write into the mapping: ")
    assert yaml.safe_load(proposed.replace("<your column>", "day")) == mapping


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("ordered_at", "Jan  5, 2026"),  # Spark does not accept two spaces
        ("ordered_at", "1/31/2026, 9:30:00\u202fAM"),
        ("ordered_at", "13.01.2026 9:5"),
        ("ordered_at", "202611"),
        ("amount", "(-12.50)"),  # two signs are no number in any format
    ],
)
def test_nothing_is_proposed_where_no_format_helps(column: str, text: str):
    assert proposal(column, [text]) is None


def test_only_the_currency_that_was_seen_is_read():
    form = recognized_number_format(number_evidence(["€1.50"]), Format())
    assert is_number("€ 2.00", form)
    assert not is_number("$2.00", form)


def test_a_text_with_many_blanks_is_tested_at_once():
    """The time must not grow with a power of their number."""
    assert not is_number(" " * 5000 + "n/a", NumberFormat())
    assert number_evidence([" " * 5000 + "n/a"]) == Evidence()


def test_a_proposal_warns_of_several_currencies():
    assert proposal("amount", ["USD 1.50", "EUR 2.00"]).endswith(" as if they were one")


@pytest.mark.parametrize(
    ("sql", "patterns"),
    [
        ("to_date(replace(d, '\\'', ''), 'dd/MM/YYYY')", ["dd/MM/YYYY"]),
        ('try_to_timestamp(concat(d, " )"), "dd")', ["dd"]),
        ("to_date(d, 'yyyy''T''HH')", ["yyyy'T'HH"]),
        ("date_format(to_date(d, 'dd'), 'YY')", ["dd"]),
        ("to_timestamp('2026-01-01')", []),
        ("to_date(d, 'dd", []),
    ],
)
def test_time_patterns_are_found_in_sql(sql: str, patterns: list[str]):
    assert list(patterns_in(sql)) == patterns
