// What the page was given, and how it is read. A price is text with its digits; to compare prices, exact integers are
// made of them. Names are anybody's: they become text nodes, never markup.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const MISSING = "–";
const KINDS = {
  d: ["dearer", "▲"],
  c: ["cheaper", "▼"],
  a: ["added", "+"],
  r: ["removed", "−"],
  n: ["renamed", "≈"],
  p: ["priced", "●"],
  u: ["unpriced", "○"],
};

const find = (selector, root = document) => root.querySelector(selector);

function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svgElement(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// --- prices

// "3.85 4.10 7:3.99" is 3.85 in list 0, 4.10 in lists 1 to 6, 3.99 from list 7 on; "-" is no price.
function unfolded(text, count) {
  const values = [];
  let value = null;
  for (const word of text.split(" ")) {
    const colon = word.indexOf(":");
    const place = colon < 0 ? values.length : Number(word.slice(0, colon));
    while (values.length < place) values.push(value);
    value = word.slice(colon + 1);
    if (value === "-") value = null;
    values.push(value);
  }
  while (values.length < count) values.push(value);
  return values;
}

function latest(text) {
  const value = text.slice(Math.max(text.lastIndexOf(" "), text.lastIndexOf(":")) + 1);
  return value === "-" ? null : value;
}

function units(price, digits) {
  const [whole, part = ""] = price.split(".");
  return BigInt(whole + part.padEnd(digits, "0"));
}

const digitsOf = (...prices) => Math.max(...prices.map((price) => (price.split(".")[1] ?? "").length));

const sizeOf = (number) => (number < 0n ? -number : number);

function signed(number, digits, isLess = number < 0n) {
  const text = String(sizeOf(number)).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return `${isLess ? "−" : "+"}${whole}${digits ? `.${text.slice(-digits)}` : ""}`;
}

function isLess(one, other) {
  const digits = digitsOf(one, other);
  return units(one, digits) < units(other, digits);
}

const isSame = (one, other) => !isLess(one, other) && !isLess(other, one);

// The new price less the old one, and that in percent to one place, rounded as the library does: half to even.
function difference(from, to) {
  const digits = digitsOf(from, to);
  const old = units(from, digits);
  const by = units(to, digits) - old;
  if (old === 0n) return [signed(by, digits), null];
  const [all, whole] = [sizeOf(by) * 1000n, sizeOf(old)];
  let percent = all / whole;
  const twice = 2n * (all % whole);
  if (twice > whole || (twice === whole && percent % 2n === 1n)) percent += 1n;
  return [signed(by, digits), signed(percent, 1, by < 0n !== old < 0n)];
}

// --- lines

// Accents and case don't count in a search: "cote" finds "Côte d'Ivoire".
const ASCII = /^[\x20-\x7e]*$/;
const plain = (text) => (ASCII.test(text) ? text : text.normalize("NFKD").replace(/\p{M}/gu, "")).toLowerCase();

class Line {
  constructor(kind, id, name, prices) {
    this.kind = kind;
    this.id = id;
    this.names = Array.isArray(name) ? name : [0, name];
    this.prices = prices;
  }

  get name() {
    return this.names.at(-1);
  }

  get title() {
    const operator = `operator ${this.id}${this.name ? ` ${this.name}` : ""}`;
    return { zone: this.name.trim() || `zone ${this.id}`, operator, mail: "e-mail" }[this.kind];
  }

  get searched() {
    const names = this.names.filter((_, place) => place % 2);
    return (this.searchText ??= plain(this.kind === "zone" ? [this.id, ...names].join(" ") : this.title));
  }

  nameIn(place) {
    let name = this.names[1];
    for (let at = 0; at < this.names.length; at += 2) if (this.names[at] <= place) name = this.names[at + 1];
    return name;
  }

  price(service) {
    return this.prices[this.kind === "zone" ? service : 0];
  }
}

function linesOf(account) {
  return [
    ...account.zones.map(([id, name, ...prices]) => new Line("zone", id, name, prices)),
    ...account.codes.map(([id, cost, network = ""]) => new Line("operator", id, network, [cost])),
    new Line("mail", "", "", [account.mail]),
  ];
}

for (const account of data.accounts) account.lines = linesOf(account);

// --- instants

const long = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "shortOffset",
});
const written = (seconds) => long.format(new Date(seconds * 1000));
// Clocks that are set back show some times twice: those have their offset.
const isAmbiguous = (seconds) =>
  [1800, 3600, 7200].some((by) => [seconds - by, seconds + by].some((other) => written(other) === written(seconds)));
const local = (seconds) => (isAmbiguous(seconds) ? exact.format(new Date(seconds * 1000)) : written(seconds));
const utc = (seconds) => `${new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;

function timeElement(seconds) {
  const datetime = new Date(seconds * 1000).toISOString();
  return make("time", { datetime, title: utc(seconds) }, local(seconds));
}
