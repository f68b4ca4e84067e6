// The prices of a line in all accounts over time. A price holds until the next list: the lines are steps. What the
// colours say is said by dashes too, and all of it in words beneath.

const dialog = document.getElementById("chart");
const plot = document.getElementById("plot");
const MARGIN = { top: 12, right: 14, bottom: 28, left: 52 };
const HEIGHT = 280;
// Room for the newest price to be seen as a line.
const STILL = 18;
const LOOKS = 6;
let chart = null;

// Every account that has the line now or had it, with the price in each of its lists.
function seriesOf(line, service) {
  return data.accounts.flatMap((account, place) => {
    const own = account.lines.find((each) => each.kind === line.kind && each.id === line.id);
    if (!own) return [];
    const values = unfolded(own.price(service), account.taken.length);
    const points = account.taken.map((at, list) => ({ at, value: values[list] }));
    return [{ name: account.name, look: lookOf(place), points }];
  });
}

// A colour and a dash: no two of the first 36 accounts have both.
const lookOf = (place) => `look-${place % LOOKS} dash-${(place + Math.floor(place / LOOKS)) % LOOKS}`;

function openChart(line, service) {
  find("#chart-title").replaceChildren(make("bdi", {}, line.title));
  if (line.kind === "zone") find("#chart-title").append(make("small", {}, ` zone ${line.id}`));
  const services = find("#chart-services");
  services.hidden = line.kind !== "zone";
  choices(services, "Price of", data.services, { checked: [service], changed: ([chosen]) => showChart(line, chosen) });
  find("#values").open = false;
  dialog.showModal();
  showChart(line, service);
}

function showChart(line, service) {
  const series = seriesOf(line, service);
  const instants = [...new Set(series.flatMap(({ points }) => points.map(({ at }) => at)))].sort((a, b) => a - b);
  chart = { line, service, series, instants, at: instants.length - 1 };
  fillValues();
  drawChart();
}

// The list that counts at an instant: the last one taken by then.
const at = (points, instant) => points.findLast((point) => point.at <= instant);

function priceRange(series) {
  const numbers = series.flatMap(({ points }) => points.flatMap(({ value }) => (value === null ? [] : [Number(value)])));
  if (!numbers.length) return null;
  const [low, high] = numbers.reduce(([min, max], each) => [Math.min(min, each), Math.max(max, each)], [Infinity, -Infinity]);
  const room = (high - low || Math.abs(high) || 1) * 0.1;
  return [low >= 0 ? Math.max(low - room, 0) : low - room, high + room];
}

// Round numbers, four to seven of them, and the digits that tell them apart.
function ticksOf([low, high]) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [5, 2, 1].find((each) => each * power <= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) {
    ticks.push([place * step, (place * step).toFixed(digits)]);
  }
  return ticks;
}

function scalesOf(range, instants, width) {
  const [first, last] = [instants[0], instants.at(-1)];
  const inner = width - MARGIN.left - MARGIN.right - STILL;
  const tall = HEIGHT - MARGIN.top - MARGIN.bottom;
  return {
    x: (instant) => MARGIN.left + (last > first ? (inner * (instant - first)) / (last - first) : inner / 2),
    y: (price) => MARGIN.top + tall * (1 - (price - range[0]) / (range[1] - range[0])),
  };
}

function drawChart() {
  const { series, instants } = chart;
  const range = priceRange(series);
  plot.setAttribute("aria-label", `${spoken()} Left and right arrows go from list to list.`);
  if (!range) {
    plot.replaceChildren(make("p", { class: "note" }, "No account has, or had, a price for this."));
    return showCursor();
  }
  const width = Math.max(plot.clientWidth, 240);
  const scales = scalesOf(range, instants, width);
  Object.assign(chart, { scales, width });
  const image = svgElement("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true" });
  image.append(...gridOf(range, scales, width), ...series.flatMap((each) => stepsOf(each, scales)));
  image.append(svgElement("line", { class: "cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
  plot.replaceChildren(image);
  showCursor();
}

function gridOf(range, { x, y }, width) {
  const end = width - MARGIN.right;
  const prices = ticksOf(range).flatMap(([price, text]) => [
    svgElement("line", { class: "grid", x1: MARGIN.left, x2: end, y1: y(price), y2: y(price) }),
    svgElement("text", { class: "tick", x: MARGIN.left - 8, y: y(price), dy: "0.32em", "text-anchor": "end" }, text),
  ]);
  const days = daysOf(width).map(([instant, text, anchor]) =>
    svgElement("text", { class: "tick", x: x(instant), y: HEIGHT - 8, "text-anchor": anchor }, text),
  );
  return [...prices, ...days];
}

// Instants at even distances, as many as there is room for.
function daysOf(width) {
  const [first, last] = [chart.instants[0], chart.instants.at(-1)];
  const day = 86_400;
  const shape = last - first < 2 * day
    ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }
    : { day: "numeric", month: "short", ...(last - first > 300 * day ? { year: "2-digit" } : {}) };
  const format = new Intl.DateTimeFormat("en-GB", shape);
  const text = (instant) => format.format(new Date(instant * 1000));
  if (first === last) return [[first, text(first), "middle"]];
  const room = Math.max(1, Math.min(Math.floor(width / 120), Math.floor((last - first) / day) || 2));
  return Array.from({ length: room + 1 }, (_, place) => {
    const instant = first + ((last - first) * place) / room;
    return [instant, text(instant), place === 0 ? "start" : place === room ? "end" : "middle"];
  });
}

function stepsOf({ look, points }, { x, y }) {
  let path = "";
  let before = null;
  const marks = [];
  for (const { at: instant, value } of points) {
    const [right, height] = [x(instant).toFixed(1), value === null ? null : y(Number(value)).toFixed(1)];
    if (before !== null) path += `H${right}`;
    if (value !== null) path += before === null ? `M${right} ${height}` : `V${height}`;
    if (value !== null && value !== before) marks.push(svgElement("circle", { class: look, cx: right, cy: height, r: 3 }));
    before = value;
  }
  // The price still holds, also where the list of another account is newer.
  if (before !== null) path += `H${x(chart.instants.at(-1)) + STILL}`;
  return [svgElement("path", { class: `steps ${look}`, d: path }), ...marks];
}

// --- in words

function spoken() {
  const what = chart.line.kind === "zone" ? `${data.services[chart.service]} price` : "Price";
  const each = chart.series.map(({ name, points }) => {
    const prices = points.filter(({ value }) => value !== null);
    if (!prices.length) return `${name} has no price.`;
    const changes = points.filter(({ value }, place) => place && value !== points[place - 1].value).length;
    const low = prices.reduce((one, other) => (isLess(other.value, one.value) ? other : one));
    const high = prices.reduce((one, other) => (isLess(one.value, other.value) ? other : one));
    const now = points.at(-1).value ?? "no price";
    return `${name}: ${points[0].value ?? "no price"} at first, ${now} now, ${changes} changes, between ${low.value} and ${high.value}.`;
  });
  return `${what} of ${chart.line.title}. ${each.join(" ")}`;
}

function swatch(look) {
  return svgElement("svg", { width: 30, height: 10, "aria-hidden": "true" }, svgElement("path", { class: `steps ${look}`, d: "M1 5H29" }));
}

function sinceFirst(points, now) {
  const first = points.find(({ value }) => value !== null)?.value;
  if (!first || now === null || now === undefined) return MISSING;
  if (isSame(first, now)) return "the same";
  const [by, percent] = difference(first, now);
  return percent === null ? by : `${by} (${percent} %)`;
}

function showCursor() {
  const { series, instants, scales } = chart;
  const instant = instants[chart.at];
  const count = `list ${chart.at + 1} of ${instants.length}`;
  find("#cursor").replaceChildren(timeElement(instant), ` · ${count}`);
  const rows = series.map(({ name, look, points }) => {
    const price = at(points, instant)?.value;
    const head = make("th", { scope: "row" }, swatch(look), make("bdi", {}, name));
    return make("tr", {}, head, make("td", {}, price ?? MISSING), make("td", {}, sinceFirst(points, price)));
  });
  find("tbody", find("#chart > table")).replaceChildren(...rows);
  const cursor = find(".cursor", plot);
  if (cursor) for (const end of ["x1", "x2"]) cursor.setAttribute(end, scales.x(instant));
}

function moveCursor(place) {
  chart.at = Math.min(Math.max(place, 0), chart.instants.length - 1);
  showCursor();
}

// Made when it is opened: it can be long.
function fillValues() {
  const body = find("#values tbody");
  body.replaceChildren();
  if (!find("#values").open) return;
  const changes = chart.series.flatMap(({ name, points }) =>
    points
      .filter(({ value }, place) => !place || value !== points[place - 1].value)
      .map(({ at: since, value }) => ({ since, name, value })),
  );
  changes.sort((one, other) => other.since - one.since);
  for (const { since, name, value } of changes) {
    const who = make("td", {}, make("bdi", {}, name));
    body.append(make("tr", {}, make("th", { scope: "row" }, timeElement(since)), who, make("td", {}, value ?? MISSING)));
  }
}

find("#values").addEventListener("toggle", () => chart && fillValues());
find("#close").addEventListener("click", () => dialog.close());
// Outside of the box: a click on what is behind it.
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
plot.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: chart.at - 1, ArrowRight: chart.at + 1, Home: 0, End: Infinity };
  if (!(event.key in steps)) return;
  event.preventDefault();
  moveCursor(steps[event.key]);
});
plot.addEventListener("pointermove", (event) => {
  if (!chart?.scales || !find("svg", plot)) return;
  const right = event.clientX - plot.getBoundingClientRect().left;
  const far = chart.instants.map((instant) => Math.abs(chart.scales.x(instant) - right));
  moveCursor(far.indexOf(Math.min(...far)));
});
new ResizeObserver(() => dialog.open && plot.clientWidth !== chart.width && drawChart()).observe(dialog);
