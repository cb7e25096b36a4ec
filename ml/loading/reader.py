"""Reads the files of a load, as rows for the raw tables and for the ledger."""

from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from ml.loading.checks import check_usable
from ml.loading.input_files import InputFile, LoadedFile, check_unchanged, list_files
from ml.loading.inputs import Inputs
from ml.loading.mapping import Source
from ml.loading.query_rows import read_rows
from ml.loading.raw_tables import no_customers
from ml.loading.report import report_customers
from ml.loading.rows import customers, one_per_customer, transactions
from ml.loading.sources import NoRowsError
from ml.loading.tables_in_place import View, view_of
from ml.session import log
from ml.tables import RAW_TABLES, table_properties


class Reader:
    """Reads files of the inputs, and numbers them in the order in which it reads them."""

    def __init__(
        self,
        spark: SparkSession,
        inputs: Inputs,
        folder: Path,
        loaded_at: datetime,
        known: list[LoadedFile],
    ):
        """`folder` is for staged files; `known` are the rows of raw.loads."""
        self.spark = spark
        self.inputs = inputs
        self.folder = folder
        self.loaded_at = loaded_at
        # Numbers are never reused: the models hold the old ones until the next build.
        self.next_number = 1 + max((file.number for file in known), default=0)

    def all(self, section: str) -> tuple[DataFrame | View, list[LoadedFile]]:
        """Returns what the raw table of a section is to hold, and the rows for raw.loads.

        For a table in place it returns a view, and no rows for raw.loads. Files of customers may
        have no rows. Otherwise raises as `lines` and `people` do.
        """
        path = self.inputs.paths.get(section)
        if path is None:
            return no_customers(self.spark), []
        if self.inputs.is_in_place(section):
            return self.view(section), []
        files = list_files(self.spark, path)
        if section == "transactions":
            return self.lines(files)
        try:
            return self.people(files)
        except NoRowsError as error:
            log(f"{error}: customers are known from their orders only")
            return no_customers(self.spark), self.record(section, files, None)

    def view(self, section: str) -> View:
        """Returns the view of a table in place; raises StepError when no row can be used."""
        known = table_properties(self.spark, RAW_TABLES[section].name)
        source = self.inputs.source(section)
        view = view_of(self.spark, source, self.loaded_at, known)
        if section == "customers":
            report_customers(view.new_rows, source.path)
        # New rows are not checked: they can be few, and all of them can be wrong.
        elif not view.is_increment:
            check_usable(view.new_rows, source.path)
        return view

    def read(self, section: str, files: list[InputFile]) -> tuple[Source, DataFrame]:
        """Returns a section's source, and the rows of these files as they are in the source."""
        source = self.inputs.source(section)
        folder = self.folder / section
        return source, read_rows(self.spark, source, folder, files, self.next_number)

    def lines(self, files: list[InputFile]) -> tuple[DataFrame, list[LoadedFile]]:
        """Returns the rows for raw.transactions, and for raw.loads.

        Raises NoRowsError when the files have no rows, and StepError when no row can be used.
        """
        source, found = self.read("transactions", files)
        lines = transactions(
            found, source.mapping, self.loaded_at, source.format, self.inputs.replaces_orders
        )
        check_usable(lines, source.path)
        return lines, self.record(source.section, files, lines)

    def people(self, files: list[InputFile]) -> tuple[DataFrame, list[LoadedFile]]:
        """Returns the rows for raw.customers, and for raw.loads.

        Raises NoRowsError when the files have no rows, and StepError when no row has an id.
        """
        source, found = self.read("customers", files)
        rows = customers(found, source.mapping, source.format)
        report_customers(rows, source.path)
        return one_per_customer(rows), self.record(source.section, files, rows)

    def record(
        self, section: str, files: list[InputFile], rows: DataFrame | None
    ) -> list[LoadedFile]:
        """Returns the rows for raw.loads of files just read; `rows` is None if all are empty."""
        counted = rows.groupBy("file_number").count().collect() if rows is not None else []
        counts = dict(map(tuple, counted))
        recorded = [
            LoadedFile(
                number,
                section,
                file.path,
                file.size,
                file.modified_at,
                file.checksum,
                self.inputs.mapping_checksum,
                counts.get(number, 0),
                self.loaded_at,
            )
            for number, file in enumerate(files, self.next_number)
        ]
        # After the checksums, which read the files once more.
        check_unchanged(files)
        self.next_number += len(files)
        return recorded
