/**
 * Protocol buffers, as far as they are written here: no schema, only fields by number. A message is its fields in a row, a field
 * is (number · 8 + wire type) and its value. Wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
 * Source: protobuf.dev, "Encoding".
 */

export function message(...fields: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const field of fields) {
    whole.set(field, at);
    at += field.length;
  }
  return whole;
}

/** An integer from 0 up. */
export const integer = (field: number, value: number): Uint8Array => message(varint(field * 8), varint(value));

export const double = (field: number, value: number): Uint8Array =>
  message(
    varint(field * 8 + 1),
    littleEndian(8, (view) => view.setFloat64(0, value, true)),
  );

export const float = (field: number, value: number): Uint8Array =>
  message(
    varint(field * 8 + 5),
    littleEndian(4, (view) => view.setFloat32(0, value, true)),
  );

export const bytes = (field: number, content: Uint8Array): Uint8Array =>
  message(varint(field * 8 + 2), varint(content.length), content);

export const text = (field: number, content: string): Uint8Array => bytes(field, new TextEncoder().encode(content));

/** A message as a field of another. */
export const nested = (field: number, ...fields: readonly Uint8Array[]): Uint8Array => bytes(field, message(...fields));

/** Seven bits a byte, the lowest first; all but the last have the eighth. */
function varint(value: number): Uint8Array {
  const digits = [];
  for (; value > 127; value = Math.floor(value / 128)) digits.push((value % 128) + 128);
  return Uint8Array.of(...digits, value);
}

function littleEndian(size: number, write: (view: DataView) => void): Uint8Array {
  const content = new Uint8Array(size);
  write(new DataView(content.buffer));
  return content;
}
