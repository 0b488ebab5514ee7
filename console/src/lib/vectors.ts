// How near texts are to each other, and where they lie on a plane. Pure.

export function cosine(a: readonly number[], b: readonly number[]): number {
  let [dot, left, right] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    const [x, y] = [a[i] ?? 0, b[i] ?? 0];
    dot += x * y;
    left += x * x;
    right += y * y;
  }
  const size = Math.sqrt(left * right);
  return size > 0 ? dot / size : 0;
}

/** cosine() of each with each. */
export function similarities(vectors: readonly (readonly number[])[]): number[][] {
  return vectors.map((a) => vectors.map((b) => cosine(a, b)));
}

// The eigenvector of the largest eigenvalue of a symmetric matrix, by repeated multiplication from a start that is always the same.
function leading(matrix: number[][]): { value: number; vector: number[] } {
  const n = matrix.length;
  let vector = Array.from({ length: n }, (_, i) => 1 + ((i * 2_654_435_761) % 1000) / 1000);
  let value = 0;
  for (let turn = 0; turn < 500; turn += 1) {
    const next = matrix.map((row) => row.reduce((sum, one, k) => sum + one * (vector[k] ?? 0), 0));
    const size = Math.hypot(...next);
    if (size < 1e-12) return { value: 0, vector: vector.map(() => 0) };
    const unit = next.map((one) => one / size);
    const moved = Math.hypot(...unit.map((one, k) => one - (vector[k] ?? 0)));
    vector = unit;
    value = size;
    if (moved < 1e-10) break;
  }
  return { value, vector };
}

export interface Plane {
  points: [number, number][];
  /** The share of all differences that the plane shows: 0 to 1. */
  kept: number;
}

/** Principal components: the plane that keeps most of the distances. Worked out from products of the vectors, of which there are few. */
export function project(vectors: readonly (readonly number[])[]): Plane {
  const n = vectors.length;
  const width = vectors[0]?.length ?? 0;
  const mean = Array.from({ length: width }, (_, k) => vectors.reduce((sum, vector) => sum + (vector[k] ?? 0), 0) / Math.max(1, n));
  const centred = vectors.map((vector) => vector.map((one, k) => one - (mean[k] ?? 0)));
  let matrix = centred.map((a) => centred.map((b) => a.reduce((sum, one, k) => sum + one * (b[k] ?? 0), 0)));
  const whole = matrix.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
  const axes = [0, 1].map(() => {
    const { value, vector } = leading(matrix);
    matrix = matrix.map((row, i) => row.map((one, k) => one - value * (vector[i] ?? 0) * (vector[k] ?? 0)));
    return { value, vector };
  });
  const [x, y] = axes.map(({ value, vector }) => vector.map((one) => one * Math.sqrt(value)));
  return {
    points: vectors.map((_, i) => [x?.[i] ?? 0, y?.[i] ?? 0]),
    kept: whole > 1e-12 ? Math.min(1, axes.reduce((sum, axis) => sum + axis.value, 0) / whole) : 0,
  };
}
