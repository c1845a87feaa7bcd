// Opens a report with the readers of Node and prints what each sees as JSON: {reader: [[tab, [[cell, …], …]], …]},
// times as YYYY-MM-DD HH:MM:SS.
//
// read_workbook.mjs REPORT.xlsx, with what .ci/node lists installed in the folder NODE_READERS.

import { createRequire } from "node:module";

const [report] = process.argv.slice(2);
const load = createRequire(`${process.env.NODE_READERS}/package.json`);
const ExcelJS = load("exceljs");
const SheetJS = load("xlsx");
const { default: readExcelFile } = load("read-excel-file/node");

const time = (date) => new Date(date.getTime() + 500).toISOString().slice(0, 19).replace("T", " ");
// The value of a formula, as ExcelJS has it.
const plain = (value) => (value?.formula ? value.result : value);
const shown = (cell) => ((value) => (value == null ? "" : value instanceof Date ? time(value) : String(value)))(plain(cell));
const lines = (rows) => rows.map((row) => Array.from(row, shown));

async function exceljs() {
  const workbook = new ExcelJS.Workbook();
  await workbook.xlsx.readFile(report);
  return workbook.worksheets.map((sheet) => {
    const rows = [];
    sheet.eachRow({ includeEmpty: true }, (row) => rows.push(row.values.slice(1)));
    return [sheet.name, lines(rows)];
  });
}

async function readExcel() {
  const tabs = await readExcelFile(report, { trim: false });
  return tabs.map(({ sheet, data }) => [sheet, lines(data)]);
}

function sheetjs() {
  const workbook = SheetJS.readFile(report, { cellDates: true });
  const rows = (name) => SheetJS.utils.sheet_to_json(workbook.Sheets[name], { header: 1, defval: "" });
  return workbook.SheetNames.map((name) => [name, lines(rows(name))]);
}

const seen = { exceljs: await exceljs(), "read-excel-file": await readExcel(), SheetJS: sheetjs() };
console.log(JSON.stringify(seen));
