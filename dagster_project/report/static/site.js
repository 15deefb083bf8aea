// Sorting, filtering and charts. Every number is in the page already: without this file it can still be read.
"use strict";

const pinyin = new Intl.Collator("zh-Hans-CN-u-co-pinyin", { numeric: true });
// Characters that are read otherwise in the names of places than the collation takes them, with one of that reading.
const READ_AS = [["六安", "陆安"], ["蚌埠", "泵埠"], ["丽水", "离水"], ["长", "常"], ["重", "虫"], ["厦", "夏"]];
const spoken = (name) => READ_AS.reduce((text, [written, read]) => text.replaceAll(written, read), name);

function cellText(row, column) {
  const cell = row.cells[column].cloneNode(true);
  cell.querySelectorAll("small").forEach((each) => each.remove());
  return cell.textContent.trim();
}

// Rows without a number come last, whichever way the others are sorted.
function comparison(column, type, direction) {
  if (type === "text") {
    return (one, other) => direction * pinyin.compare(spoken(cellText(one, column)), spoken(cellText(other, column)));
  }
  const value = (row) => {
    const text = cellText(row, column);
    return text === "" || text === "–" ? NaN : Number(text);
  };
  return (one, other) => {
    const [left, right] = [value(one), value(other)];
    if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
    return direction * (left - right);
  };
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      body.append(...[...body.rows].sort(comparison(column, button.dataset.type, direction)));
    });
  });
}

function makeFilterable(tools) {
  const rows = [...document.querySelector("table.sortable").tBodies[0].rows];
  const text = tools.querySelector("[data-filter=text]");
  const kind = tools.querySelector("[data-filter=class]");
  const count = tools.querySelector("[data-count]");
  const show = () => {
    const wanted = text.value.trim();
    for (const row of rows) {
      const isWanted = (cellText(row, 1) + " " + (kind ? cellText(row, 2) : "")).includes(wanted);
      row.hidden = !isWanted || Boolean(kind && kind.value && cellText(row, 3) !== kind.value);
    }
    count.value = rows.filter((row) => !row.hidden).length;
  };
  text.addEventListener("input", show);
  if (kind) kind.addEventListener("change", show);
}

const BLUE = "#1f5fa8";
const PALE = "#b8c4d0";
const PARTS = ["#1f5fa8", "#5f97cf", "#a9c8e8", "#b8c4d0", "#e3a008"];

function barOption(data) {
  const decimals = data.unit === "条" ? 0 : 2;
  const label = { show: true, position: "right", formatter: (each) => each.value.toFixed(decimals) };
  const series = [{ name: "本期", type: "bar", data: data.values, itemStyle: { color: BLUE }, label }];
  if (data.before) {
    series.push({ name: "上期", type: "bar", data: data.before, itemStyle: { color: PALE } });
  }
  return {
    grid: { left: 8, right: 56, top: data.before ? 32 : 8, bottom: 8, containLabel: true },
    legend: data.before ? { top: 0, left: 0, itemHeight: 10 } : undefined,
    xAxis: { type: "value", min: 0, axisLabel: { hideOverlap: true } },
    yAxis: { type: "category", inverse: true, data: data.labels, axisLabel: { width: 150, overflow: "break" } },
    series,
  };
}

function partitionOption(data) {
  const rows = data.before ? ["本期", "上期"] : ["本期"];
  const series = data.labels.map((name, index) => ({
    name,
    type: "bar",
    stack: "whole",
    data: data.before ? [data.values[index], data.before[index]] : [data.values[index]],
    itemStyle: { color: PARTS[index % PARTS.length] },
    label: {
      show: true,
      color: index === 0 ? "#fff" : "#1c2530",
      formatter: (each) => (each.value >= 6 ? each.value.toFixed(2) : ""),
    },
  }));
  return {
    grid: { left: 8, right: 16, top: 8 + 24 * Math.ceil(data.labels.length / 2), bottom: 8, containLabel: true },
    legend: { top: 0, left: 0, itemHeight: 10 },
    xAxis: { type: "value", max: 100, axisLabel: { formatter: "{value}%" } },
    yAxis: { type: "category", inverse: true, data: rows },
    series,
  };
}

function draw(box) {
  const data = JSON.parse(document.getElementById(box.dataset.chart).textContent);
  const chart = echarts.init(box);
  const option = data.kind === "partition" ? partitionOption(data) : barOption(data);
  // A tooltip of HTML would need inline styles, which the page forbids.
  chart.setOption({ animation: false, tooltip: { trigger: "axis", renderMode: "richText" }, ...option });
  window.addEventListener("resize", () => chart.resize());
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".tools").forEach(makeFilterable);
if (window.echarts) document.querySelectorAll("[data-chart]").forEach(draw);
