/** Text tables: columns with a title, a width and a way to print a row's value. */
export interface Column<R> {
  readonly title: string;
  /** Characters. Text is cut and stands left, numbers stand right. */
  readonly width: number;
  readonly value: (row: R) => string | number | undefined;
  /** Of numbers, after the point. */
  readonly digits?: number;
}

export const headOf = <R>(columns: readonly Column<R>[]): string =>
  columns.map(({ title, width }) => (width < 0 ? title.padEnd(-width) : title.padStart(width))).join("");

/** One line. A negative width is a text column. */
export const lineOf = <R>(columns: readonly Column<R>[], row: R): string =>
  columns
    .map(({ width, value, digits = 1 }) => {
      const cell = value(row) ?? "";
      const text = typeof cell === "number" ? cell.toFixed(digits) : cell;
      return width < 0 ? text.slice(0, -width - 1).padEnd(-width) : text.padStart(width);
    })
    .join("");

/** Sizes and attributes as people write them: "NT, M 2048, N 384". */
export function show(params: object): string {
  return Object.entries(params)
    .map(([name, value]) =>
      typeof value === "string" ? value : value === true ? name : value === false ? "" : `${name} ${String(value)}`,
    )
    .filter(Boolean)
    .join(", ");
}
