// Total scores and ranks by other first-level weights. Whole numbers throughout, and every mean one half-up division,
// as in the pipeline: at the published weights the digits are the published ones.
"use strict";

const DATA = JSON.parse(document.getElementById("scores").textContent);
const LINES = DATA.lines.map(([isRanked, ...scores]) => ({
  isRanked: isRanked === 1,
  scores: scores.map((nano) => (nano === null ? null : BigInt(nano))),
}));
const sliders = DATA.weights.map(([code]) => document.getElementById(`w-${code}`));
const group = document.getElementById("group");
const told = document.getElementById("told");
const body = document.getElementById("ranked").tBodies[0];

const halfUp = (numerator, denominator) => (2n * numerator + denominator) / (2n * denominator);
const sum = (numbers) => numbers.reduce((one, other) => one + other, 0n);

// Nothing where less than the method's share of the weights is there, as in the roll-up.
function total(scores, weights) {
  const present = weights.filter((_, index) => scores[index] !== null);
  const found = scores.filter((nano) => nano !== null);
  const share = (all) => (DATA.is_by_count ? BigInt(all.length) : sum(all));
  const isScarce = 100n * share(present) < BigInt(DATA.min_availability_pct) * share(weights);
  const whole = sum(present);
  return isScarce || whole === 0n ? null : halfUp(sum(found.map((nano, index) => nano * present[index])), whole);
}

function mean(totals) {
  const found = totals.filter((nano) => nano !== null);
  return found.length ? halfUp(sum(found), BigInt(found.length)) : null;
}

// Half up to 8 decimals, then to 2.
const hundredths = (nano) => (nano === null ? null : halfUp(halfUp(nano, 10n), 1000000n));
const points = (centi) => (centi === null ? "–" : `${centi / 100n}.${String(centi % 100n).padStart(2, "0")}`);

// Competition ranks; who has none comes last. Units stand by code, and sorting keeps equal ones in their order.
function ranked(units, totals) {
  const rows = units.map(([code, name, published, ...places]) => {
    const centi = hundredths(mean(places.map((place) => totals[place])));
    const isRanked = centi !== null && places.some((place) => LINES[place].isRanked && totals[place] !== null);
    return { code, name, published, centi, isRanked };
  });
  const placed = rows.filter((row) => row.isRanked);
  for (const row of placed) {
    row.rank = 1 + placed.filter((other) => other.centi > row.centi).length;
    row.isTied = placed.some((other) => other !== row && other.centi === row.centi);
  }
  return [...placed.sort((one, other) => one.rank - other.rank), ...rows.filter((row) => !row.isRanked)];
}

function element(tag, content, attributes = {}) {
  const made = document.createElement(tag);
  made.append(...content);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function tableRow(row, folder) {
  const moved = row.isRanked && row.published !== null ? row.published - row.rank : null;
  const name = element("a", [element("bdi", [row.name])], { href: `${folder}/${row.code}.html` });
  return element("tr", [
    element("td", row.isRanked ? [row.rank, ...(row.isTied ? [element("small", ["并列"])] : [])] : ["–"]),
    element("th", [name], { scope: "row" }),
    element("td", [points(row.centi)]),
    element("td", [row.published ?? "–"]),
    element("td", [moved === null ? "–" : moved > 0 ? `+${moved}` : moved]),
  ]);
}

function showWeights(weights) {
  const whole = Number(sum(weights));
  sliders.forEach((slider, index) => {
    const weight = Number(weights[index]);
    const share = whole ? `${((100 * weight) / whole).toFixed(1)}%` : "–";
    slider.nextElementSibling.textContent = `${weight}（${share}）`;
    slider.setAttribute("aria-valuetext", `${weight}，占 ${share}`);
  });
}

function show() {
  const weights = sliders.map((slider) => BigInt(slider.value));
  const totals = LINES.map((line) => total(line.scores, weights));
  const rows = ranked(DATA.groups[group.value], totals);
  const national = points(hundredths(mean(totals)));
  const moved = rows.filter((row) => row.isRanked && row.rank !== row.published).length;
  showWeights(weights);
  body.replaceChildren(...rows.map((row) => tableRow(row, group.selectedOptions[0].dataset.folder)));
  told.textContent = sum(weights)
    ? `全国总体得分 ${national}（公布 ${told.dataset.published}）；本排名中 ${moved} 个名次与公布的不同。`
    : "权重全为 0，无法计算。";
}

sliders.forEach((slider) => slider.addEventListener("input", show));
group.addEventListener("change", show);
document.getElementById("published").addEventListener("click", () => {
  sliders.forEach((slider, index) => (slider.value = DATA.weights[index][2]));
  show();
});
// A ranking's page leads here with its code.
if (location.hash.slice(1) in DATA.groups) group.value = location.hash.slice(1);
show();
