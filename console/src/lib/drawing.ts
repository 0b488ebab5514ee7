// Charts on a canvas: the same drawing is shown and saved as a picture. Pure but for the canvas that it is given.

export interface Palette {
  surface: string;
  text: string;
  soft: string;
  line: string;
  series: string[];
  font: string;
}
export interface Bars {
  kind: "bars";
  title: string;
  bars: { name: string; value: number; text: string; series: number }[];
}
export interface Lines {
  kind: "lines";
  title: string;
  /** What the axes count, behind their numbers. */
  x: string;
  y: string;
  lines: { series: number; points: [number, number][] }[];
}
export type Figure = Bars | Lines;

const PAD = 16;
const GAP = 28;
const ROW = 26;
const TITLE = 30;
const LINES_HEIGHT = 210;
const NARROW = 720;

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

function heightOf(figure: Figure): number {
  return figure.kind === "lines" ? LINES_HEIGHT : TITLE + figure.bars.length * ROW;
}

/** Where each figure goes: bars beside each other where there is room, lines below over the whole width. */
export function layout(figures: Figure[], width: number, top: number): { boxes: Box[]; height: number } {
  const bars = figures.filter((figure) => figure.kind === "bars");
  const columns = width < NARROW ? 1 : Math.max(1, bars.length);
  const inside = width - 2 * PAD;
  const barWidth = (inside - (columns - 1) * GAP) / columns;
  const boxes: Box[] = [];
  let y = top + PAD;
  let column = 0;
  let row = 0;
  for (const figure of figures) {
    const height = heightOf(figure);
    if (figure.kind === "lines" || columns === 1) {
      if (column > 0) y += row + GAP;
      column = 0;
      row = 0;
      boxes.push({ x: PAD, y, width: inside, height });
      y += height + GAP;
    } else {
      boxes.push({ x: PAD + column * (barWidth + GAP), y, width: barWidth, height });
      row = Math.max(row, height);
      column += 1;
    }
  }
  if (column > 0) y += row + GAP;
  return { boxes, height: y - GAP + PAD };
}

/** Round numbers that divide 0 to `most` into a few steps. */
export function ticks(most: number, wanted = 4): number[] {
  if (!(most > 0)) return [0];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? rough;
  const found: number[] = [];
  for (let at = 0; at <= most * 1.0001; at += step) found.push(Math.round(at / step) * step);
  return found;
}

type Context = CanvasRenderingContext2D;

function clipped(context: Context, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}

function words(context: Context, palette: Palette, text: string, x: number, y: number, look: { weight?: number; size?: number; soft?: boolean; align?: CanvasTextAlign; width?: number } = {}): void {
  context.font = `${look.weight ?? 400} ${look.size ?? 12}px ${palette.font}`;
  context.fillStyle = look.soft ? palette.soft : palette.text;
  context.textAlign = look.align ?? "left";
  context.textBaseline = "middle";
  context.fillText(look.width === undefined ? text : clipped(context, text, look.width), x, y);
}

function drawBars(context: Context, palette: Palette, figure: Bars, box: Box): void {
  words(context, palette, figure.title, box.x, box.y + 10, { weight: 600, size: 13 });
  const most = Math.max(...figure.bars.map((bar) => bar.value).filter(Number.isFinite), 0);
  context.font = `600 12px ${palette.font}`;
  const textWidth = Math.max(...figure.bars.map((bar) => context.measureText(bar.text).width), 0);
  const nameWidth = Math.min(150, box.width * 0.4);
  const from = box.x + nameWidth + 8;
  const room = Math.max(20, box.width - nameWidth - 8 - textWidth - 8);
  figure.bars.forEach((bar, i) => {
    const middle = box.y + TITLE + i * ROW + ROW / 2 - 4;
    words(context, palette, bar.name, box.x, middle, { soft: true, width: nameWidth });
    const width = Number.isFinite(bar.value) && most > 0 ? Math.max(2, (bar.value / most) * room) : 0;
    context.fillStyle = palette.series[bar.series % palette.series.length] ?? palette.text;
    context.beginPath();
    context.roundRect(from, middle - 7, width, 14, 3);
    context.fill();
    words(context, palette, bar.text, from + width + 8, middle, { weight: 600 });
  });
}

function drawLines(context: Context, palette: Palette, figure: Lines, box: Box): void {
  words(context, palette, figure.title, box.x, box.y + 10, { weight: 600, size: 13 });
  const plot = { x: box.x + 40, y: box.y + TITLE + 4, width: box.width - 44, height: box.height - TITLE - 30 };
  const points = figure.lines.flatMap((line) => line.points);
  const [mostX, mostY] = [Math.max(...points.map(([x]) => x), 0), Math.max(...points.map(([, y]) => y), 0)];
  const atX = (x: number) => plot.x + (mostX > 0 ? (x / mostX) * plot.width : 0);
  const atY = (y: number) => plot.y + plot.height - (mostY > 0 ? (y / mostY) * plot.height : 0);
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  for (const y of ticks(mostY)) {
    context.beginPath();
    context.moveTo(plot.x, Math.round(atY(y)) + 0.5);
    context.lineTo(plot.x + plot.width, Math.round(atY(y)) + 0.5);
    context.stroke();
    words(context, palette, String(y), plot.x - 8, atY(y), { soft: true, size: 11, align: "right" });
  }
  for (const x of ticks(mostX, box.width < NARROW ? 4 : 8)) words(context, palette, `${x} ${figure.x}`, atX(x), plot.y + plot.height + 14, { soft: true, size: 11, align: x === 0 ? "left" : atX(x) > plot.x + plot.width - 30 ? "right" : "center" });
  for (const line of figure.lines) {
    context.strokeStyle = palette.series[line.series % palette.series.length] ?? palette.text;
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.beginPath();
    line.points.forEach(([x, y], i) => (i === 0 ? context.moveTo(atX(x), atY(y)) : context.lineTo(atX(x), atY(y))));
    context.stroke();
  }
}

export interface Drawing {
  width: number;
  scale: number;
  palette: Palette;
  figures: Figure[];
  /** Of a picture that leaves the page: what it shows, and where it is from. */
  title?: string;
  foot?: string;
}

/** Sizes the canvas and draws. */
export function draw(canvas: HTMLCanvasElement, { width, scale, palette, figures, title, foot }: Drawing): void {
  const top = title ? 34 : 0;
  const { boxes, height } = layout(figures, width, top);
  const whole = height + (foot ? 24 : 0);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(whole * scale);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.fillStyle = palette.surface;
  context.fillRect(0, 0, width, whole);
  if (title) words(context, palette, title, PAD, 26, { weight: 650, size: 16, width: width - 2 * PAD });
  figures.forEach((figure, i) => {
    const box = boxes[i];
    if (!box) return;
    if (figure.kind === "bars") drawBars(context, palette, figure, box);
    else drawLines(context, palette, figure, box);
  });
  if (foot) words(context, palette, foot, PAD, whole - 16, { soft: true, size: 11, width: width - 2 * PAD });
}
