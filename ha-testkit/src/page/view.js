// What part is seen, and how one moves.
const whole = { a: 0, b: data.span };
const see = { ...whole };
const host = document.getElementById('zoomable');
const make = (tag, into, words) => {
  const made = into.appendChild(document.createElement(tag));
  if (words) made.textContent = words;
  return made;
};
const buttons = make('div', host);
buttons.className = 'bar';
const canvas = make('canvas', host);
canvas.tabIndex = 0;
canvas.setAttribute('role', 'application');
canvas.setAttribute('aria-label', 'Timeline. Arrow keys move, plus and minus zoom, 0 shows all, n leads to the next violation. The tables below tell the same in numbers.');
const tip = make('div', document.body);
tip.id = 'tip';
tip.hidden = true;
let places = [], pending = false, left = 150;

const drawLatency = (room, y, single) => {
  const { ctx } = room, yOf = us => {
    const part = (Math.log10(Math.max(us, 1)) - LATENCY_LOW) / (LATENCY_HIGH - LATENCY_LOW);
    return y + LATENCY - Math.min(1, Math.max(0, part)) * LATENCY;
  };
  room.label('latency', y + 13, colours.ink, `600 ${FONT}`);
  for (const [power, words] of [[3, '1 ms'], [4, ''], [5, '100 ms'], [6, ''], [7, '10 s']]) {
    ctx.fillStyle = colours.line;
    ctx.fillRect(room.left, yOf(10 ** power), room.wide - room.left, 1);
    ctx.font = SMALL;
    ctx.textAlign = 'right';
    ctx.fillStyle = colours.soft;
    ctx.fillText(words, room.left - 5, yOf(10 ** power) + 4);
    ctx.textAlign = 'left';
  }
  if (single) {
    for (const i of single) {
      if (ops.fate[i] === NEVER || ops.from[i] < room.see.a) continue;
      const x = room.x(ops.from[i]), top = yOf(ops.to[i] - ops.from[i]);
      ctx.fillStyle = ctx.strokeStyle = colours[`f${ops.fate[i]}`];
      if (ops.fate[i] === 2) { ctx.font = '700 12px sans-serif'; ctx.fillText('?', x - 3, top + 4); } else {
        ctx.beginPath();
        ctx.arc(x, top, 2.8, 0, 7);
        if (ops.fate[i] === DONE) ctx.fill(); else { ctx.lineWidth = 1.6; ctx.stroke(); ctx.lineWidth = 1; }
      }
      room.place(x - 3, top - 4, x + 3, top + 4, () => tellCall(i));
    }
    return;
  }
  // How many calls took how long, when: the stronger, the more.
  room.label('line: median', y + 75, colours.soft, SMALL);
  const wide = 4, levels = 36, bins = Math.max(1, Math.ceil((room.wide - room.left) / wide));
  const counts = new Uint32Array(bins * levels), all = new Uint32Array(bins);
  for (let i = firstCall(room.see.a); i < ops.n && ops.from[i] < room.see.b; i++) {
    if (ops.fate[i] === NEVER) continue;
    const bin = Math.min(bins - 1, Math.floor((room.x(ops.from[i]) - room.left) / wide));
    const level = Math.min(levels - 1, Math.floor((y + LATENCY - yOf(ops.to[i] - ops.from[i])) / LATENCY * levels));
    counts[bin * levels + level]++;
    all[bin]++;
  }
  const most = Math.log1p(counts.reduce((most, count) => Math.max(most, count), 1)), tall = LATENCY / levels;
  const us = level => 10 ** (LATENCY_LOW + (level + .5) / levels * (LATENCY_HIGH - LATENCY_LOW));
  for (let bin = 0; bin < bins; bin++) {
    let sum = 0, middle = -1, longest = 0;
    for (let level = 0; level < levels; level++) {
      const count = counts[bin * levels + level];
      if (!count) continue;
      ctx.globalAlpha = .22 + .6 * Math.log1p(count) / most;
      ctx.fillStyle = colours.link || colours.f0;
      ctx.fillRect(room.left + bin * wide, y + LATENCY - (level + 1) * tall, wide - .5, tall - .5);
      sum += count;
      longest = level;
      if (middle < 0 && sum * 2 >= all[bin]) middle = level;
    }
    ctx.globalAlpha = 1;
    if (!all[bin]) continue;
    ctx.fillStyle = colours.ink;
    ctx.fillRect(room.left + bin * wide, y + LATENCY - (middle + .5) * tall - 1, wide, 2);
    room.place(room.left + bin * wide + 2, y, room.left + (bin + 1) * wide - 2, y + LATENCY,
      () => [`${all[bin]} calls`, `median about ${span(us(middle))}`, `longest about ${span(us(longest))}`]);
  }
};

const HEAD = 40;
const VIOLATION_ROW = data.violations.some(([, , times]) => times.length) ? ROW : 0;
const drawViolations = (room, y) => {
  const { ctx } = room;
  if (VIOLATION_ROW) room.label('violations', y + 13, colours.bad, `600 ${FONT}`);
  const marks = data.violations.flatMap(([check, what, times], number) => times.map(at => ({ at, check, what, number })));
  marks.sort((one, other) => one.at - other.at || one.number - other.number);
  let free = -Infinity;
  for (const { at, check, what, number } of marks) {
    if (!room.inSight(at, at)) continue;
    const x = room.x(at);
    ctx.strokeStyle = colours.bad;
    ctx.setLineDash([4, 3]);
    ctx.beginPath(); ctx.moveTo(x, y + 16); ctx.lineTo(x, room.height); ctx.stroke();
    ctx.setLineDash([]);
    // Where they stand close together, the first has its number, and the others a sign.
    const words = x >= free ? `✗${number + 1}` : '▾';
    room.text(words, x - 5, y + (x >= free ? 13 : 19), 40, colours.bad, '700 13px sans-serif');
    if (x >= free) free = x + 10 + ctx.measureText(words).width;
    room.place(x - 4, y, x + 6, y + ROW, () => [`✗${number + 1} ${data.texts[check]}`, data.texts[what], `at ${moment(at)}`]);
  }
};

const drawNotes = (room, y) => data.notes.forEach(([at, words]) => {
  if (!room.inSight(at, at)) return;
  const x = room.x(at);
  room.ctx.fillStyle = colours.soft;
  room.ctx.beginPath(); room.ctx.moveTo(x - 5, y); room.ctx.lineTo(x + 5, y); room.ctx.lineTo(x, y + 8); room.ctx.fill();
  room.place(x - 5, y, x + 5, y + 9, () => [data.texts[words], `at ${moment(at)}`]);
});

const layout = () => {
  const leading = leaders.reduce((sum, of) => sum + (of.length + 1) * ROW + 4, 0);
  const processes = data.processes.length;
  return HEAD + VIOLATION_ROW + faultRows * ROW + GAP + leading + GAP + processes * ROW + GAP + DENSITY + 6 + processes * CALLS + GAP + LATENCY + 12;
};

const draw = () => {
  pending = false;
  const wide = canvas.clientWidth, height = layout(), dense = window.devicePixelRatio || 1;
  left = wide < 700 ? 96 : 150;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(wide * dense);
  canvas.height = Math.round(height * dense);
  const ctx = canvas.getContext('2d');
  ctx.scale(dense, dense);
  const room = picture(ctx, see, left, wide - 6, height - 6);
  // Where in the whole we are.
  ctx.fillStyle = colours.line;
  ctx.fillRect(left, 3, wide - 6 - left, 4);
  ctx.fillStyle = colours.soft;
  const share = (wide - 6 - left) / data.span;
  ctx.fillRect(left + see.a * share, 3, Math.max(3, (see.b - see.a) * share), 4);
  drawAxis(room, 10);
  let y = HEAD;
  ctx.save();
  drawViolations(room, y);
  y = drawFaults(room, y + VIOLATION_ROW, height - 6) + GAP;
  data.components.forEach((_, component) => { y = drawLeaders(room, component, y) + 4; });
  y += GAP;
  data.processes.forEach((_, process) => { y = drawLives(room, process, y); });
  y += GAP;
  room.label('calls', y + 13, colours.ink, `600 ${FONT}`);
  const most = drawDensity(room, y, DENSITY, 3);
  room.label(`at most ${most} in ${span(3 / room.scale)}`, y + 28, colours.soft, SMALL);
  y += DENSITY + 6;
  const single = inSightCalls(room);
  data.processes.forEach((name, process) => {
    room.label(`   ${name}`, y + 15, colours.soft);
    ctx.fillStyle = colours.line;
    ctx.fillRect(left, y + CALLS - 2, wide - 6 - left, 1);
    if (single) {
      for (const i of single) if (ops.process[i] === process) drawMark(room, i, y + ops.track[i] * 6, 5);
    } else drawDensity(room, y, CALLS - 2, 3, process);
    y += CALLS;
  });
  drawLatency(room, y + GAP, single);
  drawNotes(room, 29);
  ctx.restore();
  places = room.places;
  const calls = firstCall(see.b + 1) - firstCall(see.a);
  output.textContent = `${moment(see.a)} – ${moment(see.b)}: ${calls} calls${single ? ', each drawn' : ''}`;
};
const redraw = () => { if (!pending) { pending = true; requestAnimationFrame(draw); } };

let noted = 0;
const show = (a, b) => {
  const long = Math.min(data.span, Math.max(20, b - a));
  see.a = Math.min(Math.max(0, a), data.span - long);
  see.b = see.a + long;
  tip.hidden = true;
  clearTimeout(noted);
  noted = setTimeout(() => {
    // So that a view can be sent around. Not every browser lets a file do so.
    try { history.replaceState(null, '', `#${(see.a / 1e6).toFixed(6)}-${(see.b / 1e6).toFixed(6)}`); } catch { /* then not */ }
  }, 400);
  redraw();
};
const zoom = (by, around = (see.a + see.b) / 2) => show(around - (around - see.a) * by, around + (see.b - around) * by);
const pan = part => { const by = (see.b - see.a) * part; show(see.a + by, see.b + by); };
const times = [...new Set(data.violations.flatMap(([, , of]) => of))].sort((one, other) => one - other);
const nextViolation = () => {
  if (!times.length) return;
  const middle = (see.a + see.b) / 2, at = times.find(at => at > middle + 1) ?? times[0];
  const half = Math.min((see.b - see.a) / 2, 2e6);
  show(at - half, at + half);
};

const keys = {
  ArrowLeft: () => pan(-.15), ArrowRight: () => pan(.15), PageUp: () => pan(-.8), PageDown: () => pan(.8),
  '+': () => zoom(.6), '=': () => zoom(.6), ArrowUp: () => zoom(.6), '-': () => zoom(1 / .6), ArrowDown: () => zoom(1 / .6),
  0: () => show(0, data.span), Home: () => show(0, data.span), n: nextViolation,
};
for (const [words, name, key] of [['+', 'zoom in', '+'], ['−', 'zoom out', '-'], ['◀', 'earlier', 'ArrowLeft'], ['▶', 'later', 'ArrowRight'],
  ['all', 'show all', '0'], ...(times.length ? [['✗ next', 'next violation', 'n']] : [])]) {
  const button = make('button', buttons, words);
  button.type = 'button';
  button.setAttribute('aria-label', name);
  button.onclick = () => keys[key]();
}
const output = make('output', buttons);
output.setAttribute('aria-live', 'polite');
make('span', buttons, 'wheel or + − zoom · drag or ← → move · 0 all' + (times.length ? ' · n next violation' : '')).className = 'keys';

canvas.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});
const timeAt = event => see.a + (event.offsetX - left) / Math.max(1, canvas.clientWidth - 6 - left) * (see.b - see.a);
canvas.addEventListener('wheel', event => {
  // Beside the lanes, and where all is seen already, the wheel moves the page.
  if (event.offsetX < left) return;
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
  if (!sideways && event.deltaY > 0 && see.b - see.a >= data.span) return;
  event.preventDefault();
  if (sideways) pan((event.deltaX || event.deltaY) / 1000); else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), timeAt(event));
}, { passive: false });
let dragged = null;
canvas.addEventListener('pointerdown', event => {
  if (event.button !== 0) return;
  dragged = { x: event.clientX, a: see.a, b: see.b };
  canvas.setPointerCapture(event.pointerId);
});
for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { dragged = null; });
canvas.addEventListener('pointermove', event => {
  if (dragged) {
    const by = (dragged.x - event.clientX) / (canvas.clientWidth - 6 - left) * (dragged.b - dragged.a);
    return show(dragged.a + by, dragged.b + by);
  }
  const [x, y] = [event.offsetX, event.offsetY];
  // What was drawn last lies on top.
  const hit = places.findLast(([x0, y0, x1, y1]) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
  tip.hidden = !hit;
  if (!hit) return;
  tip.replaceChildren();
  for (const line of hit[4]()) make('div', tip, line);
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
});
canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
canvas.addEventListener('dblclick', event => zoom(.4, timeAt(event)));

const fromAddress = () => {
  const found = /^#([0-9.]+)-([0-9.]+)$/.exec(location.hash);
  if (!found) return false;
  show(found[1] * 1e6, found[2] * 1e6);
  return true;
};
addEventListener('hashchange', () => { if (fromAddress()) document.getElementById('timeline').scrollIntoView(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { readColours(); redraw(); });
new ResizeObserver(redraw).observe(host);
readColours();
colours.link = getComputedStyle(document.documentElement).getPropertyValue('--link').trim();
host.hidden = false;
document.getElementById('overview').hidden = true;
if (!fromAddress()) redraw();
