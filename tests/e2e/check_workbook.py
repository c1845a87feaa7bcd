#!/usr/bin/python3
"""Opens a padron report with openpyxl and LibreOffice and compares every cell.

check_workbook.py REPORT.xlsx EXPECTED.csv

EXPECTED.csv: the tab's name, then the cells of one line of it as text (numbers in digits, times as
YYYY-MM-DD HH:MM:SS). Its tabs must be all tabs but the first, the Summary, which only has to open and
to hold the sum of the city totals. Prefixes of the file must open nowhere.
"""

import csv
import datetime
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import openpyxl
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
        workbook = openpyxl.load_workbook(report, read_only=read_only)
        names = workbook.sheetnames[1:]
        same(f"openpyxl, read_only={read_only}: tabs", names, list(tabs))
        for name in names:
            rows = [[shown(value) for value in row] for row in workbook[name].iter_rows(values_only=True)]
            rows = [row + [""] * (9 - len(row)) for row in rows]
            same(f"openpyxl, read_only={read_only}: {name}", rows, tabs[name])
        summary = [row for row in workbook.worksheets[0].iter_rows(values_only=True) if isinstance(row[2], (int, float))]
        total = sum(int(rows[-1][1]) for rows in tabs.values() if rows[-1][0] == "Total")
        same("Summary: grand total", [summary[-1][2]], [total])
        if not read_only:
            same("Summary: charts", len(workbook.worksheets[0]._charts), 1 if tabs else 0)


def check_libreoffice(report, tabs):
    with tempfile.TemporaryDirectory() as folder:
        profile = f"-env:UserInstallation=file://{folder}/profile"
        command = ["soffice", profile, "--headless", "--convert-to", EXPORT, "--outdir", folder, str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        files = {path.stem.removeprefix(report.stem + "-"): path for path in pathlib.Path(folder).glob("*.csv")}
        same("LibreOffice: number of tabs", len(files), len(tabs) + 1)
        for name, expected in tabs.items():
            # A cell of LibreOffice has one kind of line end.
            expected = [[cell.replace("\r\n", "\n") for cell in row] for row in expected]
            with open(files[name], newline="", encoding="utf-8") as file:
                text = file.read().replace("\0", "\ue000")
            rows = [[cell.replace("\ue000", "\0") for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
            same(f"LibreOffice: {name}", rows, expected)


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
    print(f"{report}: {len(tabs)} tabs, {sum(map(len, tabs.values()))} lines are as expected in openpyxl and LibreOffice")


main()
