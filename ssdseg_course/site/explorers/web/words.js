// Numbers in words as Python writes them: exact, and to the even digit where two are equally near.
"use strict";
{
function fixed(value, digits) {
  const long = Math.abs(value).toFixed(80), cut = long.length - 80 + digits;
  const tie = /^50*$/.test(long.slice(cut));
  let written = Math.abs(value).toFixed(digits);
  if (tie) {
    const lower = long.slice(0, digits ? cut : cut - 1); // toFixed goes up from the middle
    if (Number(lower.at(-1)) % 2 === 0) written = lower;
  }
  return value < 0 || Object.is(value, -0) ? `-${written}` : written;
}

// The nearest whole number; of two equally near ones the even one, as NumPy rounds.
function even(value) {
  const below = Math.floor(value), rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}

const percent = (share, digits = 0) => `${fixed(100 * share, digits)}%`;
const thousands = number => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const sum = values => values.reduce((all, one) => all + one, 0);
const range = count => Array.from({ length: count }, (_, k) => k);
const argmax = values => values.reduce((best, value, k) => value > values[best] ? k : best, 0);

explorerParts.words = { fixed, even, percent, thousands, sum, range, argmax };
}
