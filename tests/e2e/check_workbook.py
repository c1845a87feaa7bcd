#!/usr/bin/env python3
"""Opens a padron report with the programs and libraries that people read spreadsheets with, and compares every cell.

check_workbook.py REPORT.xlsx EXPECTED.csv

EXPECTED.csv: the tab's name, then the cells of one line of it as text (numbers in digits, times as
YYYY-MM-DD HH:MM:SS). Its tabs must be all tabs but the first, the Summary, which only has to open and
to hold the sum of the city totals. Prefixes of the file must open nowhere. Needs what .ci/tools installs.
"""

import csv
import datetime
import html
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import openpyxl
import pylightxl
from openpyxl.utils.escape import unescape

EXPORT = 'csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1'


def expected_tabs(path):
    tabs = {}
    with open(path, newline="", encoding="utf-8") as file:
        # NUL is escaped for Python before 3.11.
        for tab, *cells in csv.reader(io.StringIO(file.read().replace("\0", "\ue000"), newline="")):
            tabs.setdefault(tab, []).append([cell.replace("\ue000", "\0") for cell in cells])
    return tabs


def shown(value):
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return (value + datetime.timedelta(milliseconds=500)).strftime("%Y-%m-%d %H:%M:%S")
    # openpyxl leaves the escapes of inline text as they are.
    return unescape(value) if isinstance(value, str) else str(value)


def same(where, found, expected):
    if found == expected:
        return
    for number, (left, right) in enumerate(zip(found, expected), 1):
        if left != right:
            sys.exit(f"{where}: line {number} is\n{left!r}, expected\n{right!r}")
    sys.exit(f"{where}: {len(found)} lines, expected {len(expected)}")


def check_openpyxl(report, tabs):
    for read_only in (False, True):
        # The values of formulas, which are the addresses of photos.
        workbook = openpyxl.load_workbook(report, read_only=read_only, data_only=True)
        names = workbook.sheetnames[1:]
        same(f"openpyxl, read_only={read_only}: tabs", names, list(tabs))
        for name in names:
            rows = [[shown(value) for value in row] for row in workbook[name].iter_rows(values_only=True)]
            rows = [row + [""] * (9 - len(row)) for row in rows]
            same(f"openpyxl, read_only={read_only}: {name}", rows, tabs[name])
        summary = [row for row in workbook.worksheets[0].iter_rows(values_only=True) if isinstance(row[2], (int, float))]
        same("Summary: grand total", summary[-1][2], total_of(tabs))
        if not read_only:
            same("Summary: charts", len(workbook.worksheets[0]._charts), 1 if tabs else 0)


def as_exported(cell):
    """LibreOffice exports times whole and as its own language writes them, whatever a cell shows."""
    return re.sub(r"^(\d{4})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)$", r"\2/\3/\1 \4", cell)


def check_libreoffice(report, tabs):
    with tempfile.TemporaryDirectory() as folder:
        profile = f"-env:UserInstallation=file://{folder}/profile"
        command = ["soffice", profile, "--headless", "--convert-to", EXPORT, "--outdir", folder, str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        files = {path.stem.removeprefix(report.stem + "-"): path for path in pathlib.Path(folder).glob("*.csv")}
        same("LibreOffice: number of tabs", len(files), len(tabs) + 1)
        for name, expected in tabs.items():
            # A cell of LibreOffice has one kind of line end, and times of its own.
            expected = [[as_exported(cell.replace("\r\n", "\n")) for cell in row] for row in expected]
            with open(files[name], newline="", encoding="utf-8") as file:
                text = file.read().replace("\0", "\ue000")
            rows = [[cell.replace("\ue000", "\0") for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
            same(f"LibreOffice: {name}", rows, expected)


def loosely(cell):
    """What every reader gets right: some leave the escapes of XML and Excel as they are or resolve them twice, so that here
    they are resolved until none is left. Control characters are shown in many ways, blanks at the ends left out."""
    while (resolved := html.unescape(unescape(cell))) != cell:
        cell = resolved
    return re.sub("[\0-\x1f\ufffd-\uffff]", "", cell).strip()


def is_escaped(cell):
    return re.search("[\0-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{1,4}_", cell)


def read_pylightxl(report):
    workbook = pylightxl.readxl(str(report))
    rows = lambda name: [[str(cell) for cell in row] for row in workbook.ws(ws=name).rows]
    tabs = [(name, rows(name)) for name in workbook.ws_names]
    times = lambda row: row[:6] + [cell.replace("/", "-") for cell in row[6:7]] + row[7:]
    return [(name, [times(row) for row in rows]) for name, rows in tabs]


def read_xlsx2csv(report):
    names = openpyxl.load_workbook(report, read_only=True).sheetnames
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["xlsx2csv", "--all", "--dateformat", "%Y-%m-%d %H:%M:%S", str(report), f"{folder}/tabs"], check=True)
        texts = [pathlib.Path(folder, "tabs", f"{name}.csv").read_text(encoding="utf-8") for name in names]
    rows = lambda text: list(csv.reader(io.StringIO(text.replace("\0", ""), newline="")))
    return [(name, rows(text)) for name, text in zip(names, texts)]


def check_others(report, tabs):
    script = pathlib.Path(__file__).with_name("read_workbook.mjs")
    seen = json.loads(subprocess.run(["node", script, report], check=True, capture_output=True).stdout)
    seen |= {"pylightxl": read_pylightxl(report), "xlsx2csv": read_xlsx2csv(report)}
    for reader, found in seen.items():
        (_, summary), *found = found
        same(f"{reader}: tabs", [name for name, _ in found], list(tabs))
        for name, rows in found:
            rows = [[loosely(cell) for cell in row] + [""] * (9 - len(row)) for row in rows]
            # It knows no inline text.
            blind = is_escaped if reader == "pylightxl" else lambda cell: False
            expected = [["" if blind(cell) else loosely(cell) for cell in row] for row in tabs[name]]
            same(f"{reader}: {name}", rows, expected)
        same(f"{reader}: grand total", summary[-1][2].replace(",", ""), str(total_of(tabs)))
    return list(seen)


def total_of(tabs):
    return sum(int(rows[-1][1]) for rows in tabs.values() if rows[-1][0] == "Total")


def check_prefixes(report):
    whole = report.read_bytes()
    for end in [*range(0, len(whole), len(whole) // 20), len(whole) - 22, len(whole) - 1]:
        for open_it in (zipfile.ZipFile, openpyxl.load_workbook):
            try:
                open_it(io.BytesIO(whole[:end]))
            except zipfile.BadZipFile:
                continue
            sys.exit(f"{open_it.__name__} opens the first {end} of {len(whole)} bytes")


def main():
    report, tabs = pathlib.Path(sys.argv[1]), expected_tabs(sys.argv[2])
    assert zipfile.ZipFile(report).testzip() is None
    check_prefixes(report)
    check_openpyxl(report, tabs)
    check_libreoffice(report, tabs)
    others = ", ".join(check_others(report, tabs))
    lines = sum(map(len, tabs.values()))
    print(f"{report}: {len(tabs)} tabs, {lines} lines are as expected in openpyxl, LibreOffice, {others}")


main()
