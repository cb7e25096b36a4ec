"""The parts of `ml/load.py`, in the order of a load.

1. What is asked for: `inputs` (paths and mapping), `mapping`, `queries`, `formats`.
2. Which files there are, and which are new: `files`, `input_files`, `ledger`.
3. From files to rows: `reader` and `sources`; for CSV `csv_dialect`, `csv_text`, `csv_records`,
   `csv_columns` and `csv_staging`; `parquet_files`; `query_rows` for a mapping in SQL.
4. From rows to canonical columns: `expressions`, `reading`, `number_formats`, `time_patterns` and
   `casts`, put together by `rows`. `columns` lists the canonical columns.
5. Whether the lines can be used, and what to write otherwise: `checks`, `proposals`.
6. Into the raw tables: `raw_tables`; `tables_in_place` for a table that stays where it is.
7. What the user sees: `report`, `wording`.
"""
