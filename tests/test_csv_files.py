"""Tests of CSV files: no line swallows another, and nothing uncertain is guessed.

These tests need no Spark: the result is Parquet files of texts.
"""

import codecs
import csv
import gzip
import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.loading import csv_records, csv_text
from ml.loading.columns import BROKEN_LINE
from ml.loading.csv_columns import combine_columns
from ml.loading.csv_staging import stage_csv
from ml.loading.files import DataFile, find_files, locate
from ml.loading.formats import Format
from ml.loading.input_files import list_local
from ml.session import StepError

EMPTY_FORMAT = Format()
NEEDED = {"customer_id", "ordered_at", "amount"}
HEADER = "customer_id,ordered_at,amount,note\n"
QUICK = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def covers(names: list[str]) -> bool:
    return {name.lower() for name in names} >= NEEDED


def staged(folder: Path, form: Format = EMPTY_FORMAT) -> tuple[list[str], list[tuple], list[str]]:
    """Returns column names, rows and broken lines of the data files in `folder`."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    columns = stage_csv(find_files(str(folder)).files, form, covers, out)
    table = pq.read_table(sorted(out.glob("*.parquet")))
    rows = list(zip(*(column.to_pylist() for column in table.columns[:-1]), strict=True))
    broken = table[BROKEN_LINE].to_pylist()
    for file in out.glob("*.parquet"):
        file.unlink()
    sound = [row for row, line in zip(rows, broken, strict=True) if line is None]
    return columns.names, sound, [line for line in broken if line is not None]


def read(folder: Path, content: str | bytes, form: Format = EMPTY_FORMAT):
    """Returns column names, rows and broken lines of one file with this content."""
    data = content.encode() if isinstance(content, str) else content
    (folder / "data.csv").write_bytes(data)
    return staged(folder, form)


# --- no line swallows another -----------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        # An open quote: the only one, before a quoted field, and before one that closes nothing.
        (['a,2024-01-01,1,"x', "b,2024-01-02,2,y", "c,2024-01-03,3,z"], [0]),
        (['a,2024-01-01,1,"x', "b,2024-01-02,2,y", 'c,2024-01-03,3,"z"'], [0]),
        (['a,2024-01-01,1,"x', "b,2024-01-02,2,y", 'c,2024-01-03,3,z"'], [0]),
        # Lines between two open quotes are records.
        (['a,2024-01-01,1,"x', "b,2024-01-02,2,y", 'c,2024-01-03,3,"', "d,2024-01-04,4,z"], [0, 2]),
        # A quote in a quoted field must be doubled. A quote in a plain field is sound.
        (['a,2024-01-01,1,"12" x"', 'b,2024-01-02,2,"12"" x"', 'c,2024-01-03,3,12" x'], [0]),
        (['"12" x,2024-01-01,1,', "b,2024-01-02,2,y"], [0]),
        (['a,2024-01-01,1,"12\\" x, y"', "b,2024-01-02,2,y"], [0]),
        # Too few fields, too many fields, and extra fields that are blank. The last line is sound.
        (["a,2024-01-01", "b,2024-01-02,2,y,z", "c,2024-01-03,3,z,,"], [0, 1]),
        # Most lines end in a delimiter, and one has a value there.
        (["a,d,1,x,", "b,d,2,y,", "c,d,3,z,call back", "e,d,4,w"], [2]),
    ],
)
def test_each_line_is_a_row_or_kept_as_its_text(
    tmp_path: Path, lines: list[str], broken: list[int]
):
    _, rows, texts = read(tmp_path, HEADER + "\n".join(lines))
    assert texts == [lines[place] for place in broken]
    sound = [line for place, line in enumerate(lines) if place not in broken]
    assert sorted(rows) == sorted(tuple(next(csv.reader([line]))[:4]) for line in sound)


def test_quoted_line_breaks_and_doubled_quotes_stay_one_field(tmp_path: Path):
    note = 'two\nlines, with "quotes"\r\n\r\nand 2024-01-02,5'
    text = io.StringIO()
    csv.writer(text).writerow(["a", "2024-01-01", "1", note])
    _, rows, broken = read(tmp_path, HEADER + text.getvalue() + "\nb,2024-01-02,2,\n")
    assert (rows, broken) == ([("a", "2024-01-01", "1", note), ("b", "2024-01-02", "2", "")], [])
    # The first and the last field have line breaks. The line between has all fields.
    _, rows, broken = read(tmp_path, HEADER + '"Ann\nLee",2024-01-01,1,"x\ny"\n')
    assert (rows, broken) == ([("Ann\nLee", "2024-01-01", "1", "x\ny")], [])


def test_open_quotes_at_the_boundary_of_two_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = [
        line
        for number in range(40)
        for line in (f"c{number},2024-01-01,{number},plain\r", f'd{number},2024-01-01,1,"x\ny"\r')
    ]
    lines.insert(33, 'e,2024-01-01,1,"open\r')
    expected = None
    for size in (7, 64, 1000, 10_000):
        monkeypatch.setattr(csv_text, "CHUNK", size)
        monkeypatch.setattr(csv_records, "MAX_RECORD_LENGTH", 200)
        _, rows, broken = read(tmp_path, HEADER + "\n".join(lines))
        assert broken == ['e,2024-01-01,1,"open']
        assert len(rows) == 80
        expected = expected or sorted(rows)
        assert sorted(rows) == expected


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_rows = st.lists(st.tuples(texts, texts, texts, texts), min_size=1, max_size=30)


@QUICK
@given(plain_rows, st.sampled_from(["\n", "\r\n"]), st.sampled_from([16, 50, 2**20]))
def test_standard_csv_is_read_as_python_reads_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple], line_end: str, chunk: int
):
    folder = tmp_path_factory.mktemp("standard")
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "CHUNK", chunk)
        _, found, broken = read(folder, HEADER + text.getvalue())
    assert (sorted(found), broken) == (sorted(rows), [])


DAMAGED = (
    'a,2024-01-01,1,"x',
    '"',
    'b,2024-01-02,2,"y"',
    'c,2024-01-03,3,"z""',
    "d,2024-01-04,4,",
    '"e",2024-01-05,"5","',
    'f,"2024-01-06,6,x',
    'g,2024-01-07,7,12" x',
    'h,2024-01-08,"8,"x',
)
damaged = st.lists(st.sampled_from(DAMAGED), min_size=1, max_size=40)


@QUICK
@given(damaged, st.sampled_from([16, 50, 2**20]))
def test_no_line_goes_into_another_with_quotes_anywhere(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], chunk: int
):
    folder = tmp_path_factory.mktemp("damaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "CHUNK", chunk)
        _, rows, broken = read(folder, HEADER + "\n".join(lines) + "\n")
    # The customer of each line is in a row or in a kept text.
    with_customer = [line for line in lines if line != '"']
    found = [row[0] for row in rows] + [line.strip('"')[0] for line in broken if line.strip('"')]
    assert sorted(found) == sorted(line.strip('"')[0] for line in with_customer)
    # Each row has its own amount.
    amounts = {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8"}
    assert all(row[2] == amounts[row[0]] for row in rows)


def test_line_that_is_not_utf8_is_refused_with_its_number_and_the_likely_encoding(tmp_path: Path):
    content = (
        HEADER.encode() + b"a,2024-01-01,1,x\n" * 3000 + "Müller,2024-01-02,2,\n".encode("cp1252")
    )
    with pytest.raises(StepError) as refused:
        read(tmp_path, content)
    assert "line 3,002 of" in str(refused.value)
    assert "'Müller,2024-01-02,2,'" in str(refused.value)
    assert "format: {encoding: 'windows-1252'}" in str(refused.value)
    _, rows, _ = read(tmp_path, content, Format(encoding="windows-1252"))
    assert rows[-1][0] == "Müller"


def test_open_quote_before_the_amount_breaks_only_its_line(tmp_path: Path):
    header = "customer_id,ordered_at,note,amount\n"
    lines = ['a,2024-01-01,"x,1', 'b,2024-01-02,",2', "c,2024-01-03,,3"]
    _, rows, broken = read(tmp_path, header + "\n".join(lines))
    assert (rows, broken) == ([("c", "2024-01-03", "", "3")], lines[:2])


def test_a_line_with_a_field_that_is_too_long_breaks_only_itself(tmp_path: Path):
    long = "a," + "x" * 3 * 2**20
    _, rows, broken = read(tmp_path, f"{HEADER}{long}\nb,2024-01-02,2,y\n")
    assert rows == [("b", "2024-01-02", "2", "y")]
    assert broken == [long]


def test_line_break_in_the_first_field_stays_in_it(tmp_path: Path):
    _, rows, broken = read(tmp_path, HEADER + '"a, ""b"",\nc",2024-01-01,1,x\nd,2024-01-02,2,y\n')
    assert (rows, broken) == (
        [('a, "b",\nc', "2024-01-01", "1", "x"), ("d", "2024-01-02", "2", "y")],
        [],
    )


# --- headers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "names", "row"),
    [
        # The index column of pandas or R; Excel's trailing delimiters in all lines or in some.
        (",customer_id,ordered_at,amount\n0,a,d,1\n", ["_c0", *sorted(NEEDED)], None),
        ('"",customer_id,ordered_at,amount,\n0,a,d,1,\n', None, ("0", "a", "d", "1", "")),
        ("customer_id,ordered_at,amount\na,d,1,,\n", None, ("a", "d", "1")),
        ("customer_id,ordered_at,amount\na,d,1\nb,d,2,\nc,d,3\n", None, ("a", "d", "1")),
        (" customer_id , ordered_at,amount \na,d,1\n", None, ("a", "d", "1")),
        ('customer_id,ordered_at,"amount","the\nnote"\na,d,1,x\n', None, ("a", "d", "1", "x")),
        # A repeated name becomes its place, also where another column has such a name.
        ("customer_id,ordered_at,amount,Name,NAME,_c3\na,d,1,x,y,z\n",
         ["customer_id", "ordered_at", "amount", "_c3_", "_c4", "_c3"], None),
        # A column that the loader adds, in a file that Spark has written.
        (f"customer_id,ordered_at,amount,{BROKEN_LINE}\na,d,1,x\n",
         ["customer_id", "ordered_at", "amount", "_c3"], ("a", "d", "1", "x")),
    ],
)  # fmt: skip
def test_header_with_odd_names_is_read(
    tmp_path: Path, content: str, names: list[str] | None, row: tuple | None
):
    found, rows, broken = read(tmp_path, content)
    assert names is None or sorted(found) == sorted(names)
    assert row is None or rows[0] == row
    assert not broken


def test_columns_of_several_files_are_matched_by_name(tmp_path: Path):
    for name, content in {
        "2023.csv": "customer_id,ordered_at,amount\na,d1,1\n",
        "2024.csv": "Ordered_At;channel;CUSTOMER_ID;amount\nd2;web;b;2\n",
        "region=north/2025.tsv": "amount\tcustomer_id\tordered_at\n3\tc\td3\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    names, rows, _ = staged(tmp_path)
    assert names == ["customer_id", "ordered_at", "amount", "channel", "region"]
    assert sorted(rows) == [
        ("a", "d1", "1", None, None),
        ("b", "d2", "2", "web", None),
        ("c", "d3", "3", None, "north"),
    ]


def test_a_folder_with_the_name_of_a_column_does_not_replace_it():
    header, folders = ["id", "_c2", "date"], ["Date"]
    columns = combine_columns([header], [folders])
    assert columns.names == ["id", "_c2", "_c2_", "_folder_Date"]
    assert columns.places == [[0, 1, 2, 3]]
    assert columns.repeated == {
        "date": "'date' (column 3, here _c2_) and 'Date' (folder, here _folder_Date)"
    }


def test_folders_of_one_name_in_other_letter_case_are_two_columns():
    columns = combine_columns([["id"]], [["Date", "date"]])
    assert columns.names == ["id", "_folder_Date", "_folder_date_"]
    assert columns.places == [[0, 1, 2]]


# --- dialects ---------------------------------------------------------------------------

ROWS = [("Zoë", "2024-01-05", "10,50"), ("Bo", "2024-01-06", "2")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "before", ["", "\n\n", "sep={}\n", "Sales report\n\n", "Report{0}{0}\nof May{0}{0}\n{0}{0}\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_certain_dialect_is_recognized(tmp_path: Path, delimiter: str, before: str, encoding: str):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([sorted(NEEDED, reverse=True), *ROWS])
    content = (before.format(delimiter) + text.getvalue()).encode(encoding)
    names, rows, broken = read(tmp_path, content)
    assert (names, rows, broken) == (["ordered_at", "customer_id", "amount"], ROWS, [])


def test_a_file_that_ends_within_a_character_is_refused(tmp_path: Path):
    content = "customer_id,ordered_at,amount\na,2024-01-05,12.50\n".encode("utf-16")
    with pytest.raises(StepError, match="is not utf-16: truncated data"):
        read(tmp_path, content[:-1])


def test_utf16_without_a_byte_order_is_refused(tmp_path: Path):
    with pytest.raises(StepError, match=r"write the byte order .*encoding: 'utf-16-le'"):
        read(tmp_path, "customer_id,ordered_at,amount\n", Format(encoding="utf-16"))


def test_the_line_of_a_character_that_does_not_fit_is_counted_over_all_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(csv_text, "CHUNK", 1000)
    lines = ["customer_id,ordered_at,amount\n", *["a,2024-01-05,12.50\n"] * 99]
    content = codecs.BOM_UTF16_BE + "".join(lines).encode("utf-16-be") + b"\xd8\x00\x00a"
    with pytest.raises(StepError, match="line 101 of "):
        read(tmp_path, content)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("size", range(5, 10))
def test_a_line_end_of_two_characters_counts_once_in_two_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, encoding: str
):
    monkeypatch.setattr(csv_text, "CHUNK", size)
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\r\n1,2\r\n3,4\r\n5,\xff\r\n")
    with pytest.raises(StepError, match="line 4 of "):
        list(csv_text.text_below(path, encoding, 1))


def test_an_encoding_with_several_states_is_refused_where_it_does_not_fit(tmp_path: Path):
    path = tmp_path / "data.csv"
    path.write_bytes("id,name\n1,日".encode("iso2022_jp").removesuffix(b"\x1b(B") + b"\xff\xff\n")
    with pytest.raises(StepError, match=r"line 2 of .* is not iso2022_jp"):
        list(csv_text.text_below(path, "iso2022_jp", 1))


def test_utf32_is_not_read_as_utf16(tmp_path: Path):
    content = "customer_id,ordered_at,amount\na,d,1\n".encode("utf-32")
    assert read(tmp_path, content, Format(encoding="utf-32"))[1] == [("a", "d", "1")]


def test_compressed_files_and_carriage_returns_are_read(tmp_path: Path):
    content = b"customer_id,ordered_at,amount\ra,d,1\rb,d,2\r"
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(content))
    assert staged(tmp_path)[1] == [("a", "d", "1"), ("b", "d", "2")]
    compressed = gzip.compress(content)
    for damaged in (compressed[:-9], compressed[:14] + b"\xff" * 16 + compressed[30:]):
        (tmp_path / "data.csv.gz").write_bytes(damaged)
        with pytest.raises(StepError, match=r"data\.csv\.gz cannot be read"):
            staged(tmp_path)


def test_csv_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv_text, "CHUNK", 2**16)
    content = HEADER.encode() + b"a,2024-01-01,1,x\n" * 2_000_000
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(StepError, match="unpacks to more than 200 times its size"):
        staged(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Unknown names: the shape of the lines decides, or the message proposes both delimiters.
        ("Report of May\nbuyer,day,paid\na,d,1\nb,d,2\n", "format: {skip_lines: 1}"),
        ("Report;of;May;\n;;;\nbuyer;day;paid;x\na;d;1;y\nb;d;2;z\n", None),
        ("buyer,day;paid\na,d;1\nb,d;2\n", "{delimiter: ','} or format: {delimiter: ';'}"),
    ],
)
def test_uncertain_dialect_is_proposed(tmp_path: Path, content: str, message: str | None):
    if message is None:
        assert read(tmp_path, content)[1][-1] == ("b", "d", "2", "z")
        return
    with pytest.raises(StepError, match=re.escape(message)):
        read(tmp_path, content)


@pytest.mark.parametrize("before", ["Report\r\n", "sep=,\r\n"])
def test_a_header_without_a_line_end_is_no_row(tmp_path: Path, before: str):
    names, found, broken = read(tmp_path, f"{before}customer_id,ordered_at,amount,größe")
    assert names == ["customer_id", "ordered_at", "amount", "größe"]
    assert (found, broken) == ([], [])


def test_given_format_wins(tmp_path: Path):
    content = "x,customer_id\nnonsense\ncustomer_id~ordered_at~amount\na~d~1,5\n"
    form = Format(delimiter="~", skip_lines=2)
    assert read(tmp_path, content, form)[1] == [("a", "d", "1,5")]


# --- which files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["o [1].csv", "o {Q1}.csv", "a*b?.csv", "50%41 #1.csv", "12:30.csv", "\\x.csv", "ä b.CSV"],
)
def test_characters_of_a_path_are_literal(tmp_path: Path, name: str):
    for other in ("o 1.csv", "o Q1.csv", "ab.csv", "50A #1.csv"):
        (tmp_path / other).write_text("customer_id,ordered_at,amount\nwrong,d,1\n")
    path = tmp_path / name
    path.write_text("customer_id,ordered_at,amount\nright,d,1\n")
    assert find_files(str(path)).files == [DataFile(path)]


def test_other_files_of_a_folder_are_ignored_and_named(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    for name in ("README.txt", "orders.xlsx", ".hidden.csv", "_SUCCESS", "sub/more.csv"):
        (tmp_path / name).write_text("x")
    with pytest.raises(StepError, match=r"without \.csv.*it holds only .*README\.txt"):
        find_files(str(tmp_path))
    (tmp_path / "orders.csv").write_text("x")
    found = find_files(str(tmp_path))
    assert [file.path.name for file in found.files] == ["orders.csv"]
    assert found.ignored == [".hidden.csv", "README.txt", "orders.xlsx", "sub/more.csv"]


def test_links_to_folders_are_followed_and_each_file_is_read_once(tmp_path: Path):
    inbox, archive = tmp_path / "inbox", tmp_path / "archive"
    for folder in (inbox, archive):
        folder.mkdir()
    (archive / "old.csv").write_text("x")
    (inbox / "a.csv").write_text("x")
    (inbox / "latest.csv").symlink_to(inbox / "a.csv")
    (inbox / "month=2026-09").symlink_to(archive)
    (archive / "back=1").symlink_to(inbox)
    found = [Path(file.path).relative_to(tmp_path) for file in list_local(str(inbox))]
    assert found == [Path("inbox/a.csv"), Path("archive/old.csv")]


def test_a_file_address_is_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert locate("file:sales.csv") == locate("sales.csv") == str(tmp_path / "sales.csv")
    assert locate("file:///inbox/a%20b.csv") == "/inbox/a b.csv"


def test_spreadsheet_is_refused_with_advice(tmp_path: Path):
    path = tmp_path / "orders.xlsx"
    path.write_bytes(b"PK")
    with pytest.raises(StepError, match="is a spreadsheet: save the sheet as CSV UTF-8"):
        find_files(str(path))
