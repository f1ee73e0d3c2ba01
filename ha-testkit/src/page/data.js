// What was embedded, as columns that are quick to go through. Times are microseconds.
const data = JSON.parse(document.getElementById('data').textContent);
const ops = (() => {
  const from = data.operations, n = from.from.length;
  const columns = { n, from: new Float64Array(n), to: new Float64Array(n), track: new Uint8Array(n) };
  let at = 0;
  for (let i = 0; i < n; i++) {
    at += from.from[i];
    columns.from[i] = at;
    columns.to[i] = at + from.lasted[i];
  }
  columns.process = Uint16Array.from(from.life, life => data.lives[life][0]);
  columns.details = from.details.split('\n');
  return Object.assign(columns, { life: from.life, kind: from.kind, fate: from.fate, under: from.under });
})();

const DONE = 0, NEVER = 3;
const FATES = ['done', 'not applied', 'unknown', 'never returned'];
const ENDS = ['runs to the end', 'killed', 'closed'];
// Calls of one process that overlap stand in so many tracks; those beyond lie upon others.
const TRACKS = 4;

// Gives each call a track in which no other call of its process is under way. One that never returned keeps its track
// for a moment only: it would stand in the way until its process dies.
(() => {
  const free = data.processes.map(() => new Float64Array(TRACKS).fill(-1));
  for (let i = 0; i < ops.n; i++) {
    const tracks = free[ops.process[i]];
    let best = 0;
    for (let track = 0; track < TRACKS; track++) {
      if (tracks[track] <= ops.from[i]) { best = track; break; }
      if (tracks[track] < tracks[best]) best = track;
    }
    ops.track[i] = best;
    tracks[best] = ops.fate[i] === NEVER ? ops.from[i] : ops.to[i];
  }
})();

// The first call that was made at that time or later.
const firstCall = at => {
  let low = 0, high = ops.n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ops.from[middle] < at) low = middle + 1; else high = middle;
  }
  return low;
};

const lifeName = life => `${data.processes[data.lives[life][0]]}, life ${data.lives[life][1]}`;

const span = us => {
  if (us < 1e3) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toPrecision(3)} ms`;
  if (us < 6e8) return `${us < 1e8 ? (us / 1e6).toPrecision(3) : Math.round(us / 1e6)} s`;
  return `${(us / 6e7).toFixed(1)} min`;
};
const moment = us => `${(us / 1e6).toFixed(3)} s`;

const tellCall = i => {
  const lines = [`${data.kinds[ops.kind[i]]}: ${FATES[ops.fate[i]]}`];
  if (ops.details[i]) lines.push(ops.details[i]);
  const under = data.texts[ops.under[i]];
  lines.push(lifeName(ops.life[i]) + (under ? `, under ${under}` : ''));
  const took = ops.fate[i] === NEVER ? 'without an answer' : `took ${span(ops.to[i] - ops.from[i])}`;
  lines.push(`at ${moment(ops.from[i])}, ${took}`);
  return lines;
};
