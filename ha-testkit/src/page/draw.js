// Draws what is seen. Every thing that is drawn leaves a place behind that tells of it when pointed at.
const BAR = 17, ROW = 20, CALLS = 26, DENSITY = 84, LATENCY = 110, GAP = 10;
// So many calls in sight are drawn one by one.
const SINGLE_MAX = 2500;
const LATENCY_LOW = 2, LATENCY_HIGH = 8; // 100 µs to 100 s, as powers of ten
const FONT = '12px system-ui, "Liberation Sans", "DejaVu Sans", sans-serif';
const SMALL = '11px system-ui, "Liberation Sans", "DejaVu Sans", sans-serif';

const colours = {};
const patterns = new Map();
const readColours = () => {
  const style = getComputedStyle(document.documentElement);
  for (const name of ['back', 'panel', 'ink', 'soft', 'line', 'bad', 'fault', 'nobody', 'pause', 'on-bar',
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(i => `p${i}`), 'f0', 'f1', 'f2', 'f3']) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
  patterns.clear();
};
const ofProcess = process => colours[`p${process % 10}`];

// Lines across, so that a thing is known without its colour.
const hatched = (ctx, colour, slope) => {
  const key = colour + slope;
  if (!patterns.has(key)) {
    const tile = document.createElement('canvas');
    tile.width = tile.height = 6;
    const pen = tile.getContext('2d');
    pen.strokeStyle = colour;
    pen.lineWidth = 1.6;
    for (const shift of [-6, 0, 6]) {
      pen.beginPath();
      pen.moveTo(shift, slope > 0 ? 6 : 0);
      pen.lineTo(shift + 6, slope > 0 ? 0 : 6);
      pen.stroke();
    }
    patterns.set(key, ctx.createPattern(tile, 'repeat'));
  }
  return patterns.get(key);
};

// One picture of a part of the time: `see.a` to `see.b`, from `left` to `wide`.
const picture = (ctx, see, left, wide, height) => {
  const scale = (wide - left) / (see.b - see.a);
  const places = [];
  const x = at => left + (at - see.a) * scale;
  const clampX = at => Math.min(wide, Math.max(left, x(at)));
  const inSight = (from, to) => to >= see.a && from <= see.b;
  const place = (x0, y0, x1, y1, tell) => places.push([x0 - 2, y0, x1 + 2, y1, tell]);
  const text = (words, at, y, room, colour, font) => {
    if (room < 14) return;
    ctx.font = font || SMALL;
    ctx.fillStyle = colour;
    let shown = words;
    if (ctx.measureText(shown).width > room) {
      let keep = Math.floor(shown.length * room / ctx.measureText(shown).width) - 1;
      if (keep < 2) return;
      shown = shown.slice(0, keep) + '…';
    }
    ctx.fillText(shown, at, y);
  };
  const label = (words, y, colour, font) => text(words, 8, y, left - 14, colour || colours.ink, font || FONT);
  const bar = (from, to, y, high, fill, edge) => {
    const x0 = clampX(from), x1 = Math.max(clampX(to), x0 + 1.5);
    ctx.fillStyle = fill;
    ctx.fillRect(x0, y, x1 - x0, high);
    if (edge) {
      ctx.strokeStyle = edge;
      ctx.strokeRect(x0 + .5, y + .5, Math.max(x1 - x0 - 1, .5), high - 1);
    }
    return [x0, x1];
  };
  return { ctx, see, left, wide, height, x, inSight, place, places, text, label, bar, scale };
};

const axisSteps = room => {
  const raw = room.see.b - room.see.a, ticks = Math.max(3, (room.wide - room.left) / 110);
  const power = 10 ** Math.floor(Math.log10(raw / ticks));
  return [1, 2, 5, 10].map(by => by * power).find(step => raw / step <= ticks) || 10 * power;
};

const drawAxis = (room, y) => {
  const { ctx } = room, step = axisSteps(room);
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(step / 1e6) - 1e-9)));
  for (let i = Math.ceil(room.see.a / step); i * step <= room.see.b; i++) {
    const at = room.x(i * step);
    ctx.fillStyle = colours.line;
    ctx.fillRect(Math.round(at), y, 1, room.height - y);
    room.text(`${(i * step / 1e6).toFixed(digits)} s`, at + 4, y + 13, room.wide - at - 4, colours.soft);
  }
};

const faultRows = data.faults.reduce((rows, fault) => Math.max(rows, fault[3] + 1), 0);
const drawFaults = (room, y, height) => {
  const { ctx } = room;
  if (faultRows) room.label('faults', y + 13);
  const seen = data.faults.map((fault, index) => [fault, index]).filter(([[, from, to]]) => room.inSight(from, to));
  for (const [[name, from, to, row], index] of seen) {
    const top = y + row * ROW;
    ctx.globalAlpha = .07;
    room.bar(from, to, top, height - top, colours.fault);
    ctx.globalAlpha = .3;
    const [x0, x1] = room.bar(from, to, top, BAR, colours.fault);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colours.fault;
    ctx.fillRect(x0, top, 1.5, BAR);
    ctx.fillRect(x1 - 1.5, top, 1.5, BAR);
    const next = seen.find(([fault, other]) => other > index && fault[3] === row);
    const end = Math.max(x1, next ? room.x(next[0][1]) - 4 : room.wide);
    ctx.font = SMALL;
    // The name stands in the band if there is room, else behind it.
    const start = ctx.measureText(data.texts[name]).width < x1 - x0 - 8 || x1 > room.wide - 30 ? x0 + 4 : x1 + 3;
    room.text(data.texts[name], start, top + 12.5, end - start - 2, colours.ink);
    room.place(x0, top, x1, top + BAR, () => [`fault: ${data.texts[name]}`, `${moment(from)} – ${moment(to)}`, `lasted ${span(to - from)}`]);
  }
  return y + faultRows * ROW;
};

const leadersOf = component => {
  const who = new Set(data.reigns.filter(reign => reign[0] === component).map(reign => data.lives[reign[1]][0]));
  return [...who].sort((one, other) => one - other);
};
const leaders = data.components.map((_, component) => leadersOf(component));
const drawLeaders = (room, component, y) => {
  const { ctx } = room;
  room.label(data.components[component], y + 13, colours.ink, `600 ${FONT}`);
  const vacant = data.vacant.filter(([of, from, to]) => of === component && room.inSight(from, to));
  ctx.font = SMALL;
  vacant.forEach(([, from, to], index) => {
    const [x0, x1] = room.bar(from, to, y + 2, BAR - 4, hatched(ctx, colours.nobody, 1), colours.nobody);
    const end = index + 1 < vacant.length ? room.x(vacant[index + 1][1]) : room.wide, words = `nobody ${span(to - from)}`;
    const fits = [words, words.slice(7)].find(words => ctx.measureText(words).width < end - x1 - 8);
    if (fits) room.text(fits, x1 + 4, y + 12.5, 120, colours.bad);
    room.place(x0, y, x1, y + BAR, () => [`nobody leads ${data.components[component]}`, `${moment(from)} – ${moment(to)}`, `for ${span(to - from)}`]);
  });
  y += ROW;
  for (const process of leaders[component]) {
    room.label(`   ${data.processes[process]}`, y + 13, colours.soft);
    for (const [of, life, from, to, term, ended] of data.reigns) {
      if (of !== component || data.lives[life][0] !== process || !room.inSight(from, to)) continue;
      const [x0, x1] = room.bar(from, to, y, BAR, ofProcess(process), colours.ink);
      for (const [stands, goes] of data.lives[life][5]) {
        const [since, until] = [Math.max(stands, from), Math.min(goes, to)];
        if (until > since && room.inSight(since, until)) room.bar(since, until, y, BAR, hatched(ctx, colours['on-bar'], -1));
      }
      const epoch = data.texts[term].slice(data.texts[term].lastIndexOf('#'));
      const wide = x1 - x0 > 90, paused = data.lives[life][5].some(([stands, goes]) => goes > from && stands < to);
      if (paused && wide) {
        ctx.font = SMALL;
        ctx.fillStyle = ofProcess(process);
        ctx.fillRect(x0 + 2, y + 2, ctx.measureText(`${data.processes[process]} ${epoch}`).width + 4, BAR - 4);
      }
      room.text(wide ? `${data.processes[process]} ${epoch}` : epoch, x0 + 4, y + 12.5, x1 - x0 - 5, colours['on-bar']);
      room.place(x0, y, x1, y + BAR, () => [`${data.components[component]} led by ${lifeName(life)}`, `under ${data.texts[term]}`,
        `${moment(from)} – ${moment(to)}, for ${span(to - from)}`, data.texts[ended] ? `ended: ${data.texts[ended]}` : 'to the end']);
    }
    y += ROW;
  }
  return y;
};

const drawLives = (room, process, y) => {
  const { ctx } = room;
  room.label(data.processes[process], y + 13);
  data.lives.forEach(([of, incarnation, from, to, end, pauses], life) => {
    if (of !== process || !room.inSight(from, to)) return;
    ctx.globalAlpha = .5;
    const [x0, x1] = room.bar(from, to, y + 3, BAR - 6, ofProcess(process));
    ctx.globalAlpha = 1;
    room.text(`life ${incarnation}`, Math.max(x0, room.left) + 4, y + 12.5, x1 - x0 - 14, colours.ink);
    room.place(x0, y, x1, y + BAR, () => [lifeName(life), `${moment(from)} – ${moment(to)}`, ENDS[end]]);
    for (const [stands, goes] of pauses) {
      if (!room.inSight(stands, goes)) continue;
      const [p0, p1] = room.bar(stands, goes, y + 1, BAR - 2, colours.back, colours.pause);
      room.bar(stands, goes, y + 1, BAR - 2, hatched(ctx, colours.pause, -1));
      room.place(p0, y, p1, y + BAR, () => [`${lifeName(life)}: paused`, `${moment(stands)} – ${moment(goes)}`, `for ${span(goes - stands)}`]);
    }
    if (to < room.see.a || to > room.see.b || end === 0) return;
    ctx.font = `700 14px sans-serif`;
    ctx.fillStyle = end === 1 ? colours.bad : colours.ink;
    ctx.fillText(end === 1 ? '✗' : '■', room.x(to) - 5, y + 14);
  });
  return y + ROW;
};

// Counts calls in sight, by when they were made: for all, or for one process.
const counted = (room, wide, process) => {
  const bins = Math.max(1, Math.floor((room.wide - room.left) / wide));
  const counts = FATES.map(() => new Uint32Array(bins));
  const per = bins / (room.see.b - room.see.a);
  for (let i = firstCall(room.see.a); i < ops.n && ops.from[i] < room.see.b; i++) {
    if (process !== undefined && ops.process[i] !== process) continue;
    counts[ops.fate[i]][Math.min(bins - 1, Math.floor((ops.from[i] - room.see.a) * per))]++;
  }
  return { bins, counts };
};

const drawDensity = (room, y, high, wide, process) => {
  const { ctx } = room, { bins, counts } = counted(room, wide, process);
  let most = 1;
  for (let bin = 0; bin < bins; bin++) most = Math.max(most, counts.reduce((sum, of) => sum + of[bin], 0));
  for (let bin = 0; bin < bins; bin++) {
    let base = y + high;
    const x0 = room.left + bin * wide, told = counts.map(of => of[bin]);
    if (!told.some(count => count)) continue;
    told.forEach((count, fate) => {
      if (!count) return;
      // What is rare is what one looks for: it is never too small to be seen.
      const tall = Math.max(count / most * (high - 8), fate === DONE ? 1 : high > 40 ? 3 : 2);
      ctx.fillStyle = colours[`f${fate}`];
      ctx.fillRect(x0, base - tall, wide - .5, tall);
      base -= tall;
    });
    const from = room.see.a + bin * wide / room.scale;
    room.place(x0 + 2, y, x0 + wide - 2, y + high, () => [`${moment(from)}, ${span(wide / room.scale)} long`,
      ...told.map((count, fate) => `${FATES[fate]}: ${count}`).filter((_, fate) => told[fate])]);
  }
  return most;
};

// One mark: its sign tells the outcome without its colour.
const drawMark = (room, i, y, high) => {
  const { ctx } = room, fate = ops.fate[i], colour = colours[`f${fate}`];
  const x0 = Math.max(room.left, room.x(ops.from[i])), x1 = Math.min(room.wide, Math.max(room.x(ops.to[i]), x0 + 3));
  if (fate === NEVER) {
    ctx.fillStyle = colour;
    ctx.globalAlpha = .35;
    ctx.fillRect(x0, y + high / 2 - .75, Math.min(x1, room.wide) - x0, 1.5);
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x0, y); ctx.lineTo(x0 + high + 1, y + high / 2); ctx.lineTo(x0, y + high);
    ctx.fill();
    return room.place(x0, y, x0 + high + 1, y + high, () => tellCall(i));
  }
  if (fate === DONE) {
    ctx.fillStyle = colour;
    ctx.fillRect(x0, y, x1 - x0, high);
  } else {
    ctx.fillStyle = fate === 2 ? hatched(ctx, colour, 1) : colours.panel;
    ctx.fillRect(x0, y, x1 - x0, high);
    ctx.lineWidth = 1.5;
    ctx.strokeStyle = colour;
    ctx.strokeRect(x0 + .5, y + .5, Math.max(2, x1 - x0 - 1), high - 1);
    ctx.lineWidth = 1;
  }
  room.place(x0, y, x1, y + high, () => tellCall(i));
};

const inSightCalls = room => {
  const seen = [];
  for (let i = 0; i < ops.n && ops.from[i] <= room.see.b; i++) {
    if (ops.to[i] >= room.see.a && (ops.from[i] >= room.see.a || ops.fate[i] !== NEVER)) seen.push(i);
    if (seen.length > SINGLE_MAX) return null;
  }
  return seen;
};
