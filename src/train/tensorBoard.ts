/**
 * TensorBoard's event files, as far as a training run needs them: scalars and text.
 *
 * A file is a row of records: length (u64), its CRC, an `Event` in protocol buffers, its CRC. A run that goes on from a saved
 * state opens a new file in the same folder, which says from which step on; TensorBoard then drops what the old ones hold
 * beyond it. Source: tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer.cc.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../model/files.ts";
import { RediffError } from "../tensor/index.ts";
import { double, float, integer, message, nested, text } from "./protobuf.ts";

export interface TensorBoard {
  scalar(tag: string, value: number, step: number): void;
  /** Markdown. */
  text(tag: string, markdown: string, step: number): void;
  close(): void;
}

/** Opens an event file in `folder` for a run that is at `firstStep`. `now`: seconds since 1970. Throws RediffError. */
export function tensorBoard(folder: string, firstStep: number, now = () => Date.now() / 1000): TensorBoard {
  const name = `events.out.tfevents.${String(Math.floor(now())).padStart(10, "0")}.rediff.${process.pid}.${firstStep}`;
  let file: number;
  try {
    makeFolder(folder);
    file = openSync(join(folder, name), "a");
  } catch (error) {
    throw new RediffError(`No event file can be written in ${folder} (${String(error)}).`, { folder });
  }
  const put = (...fields: Uint8Array[]) => writeSync(file, record(message(double(1, now()), ...fields)));
  const summary = (step: number, ...value: Uint8Array[]) => put(integer(2, step), nested(5, nested(1, ...value)));
  put(text(3, "brain.Event:2"));
  put(integer(2, firstStep), nested(7, integer(1, SESSION_START)));
  return {
    scalar: (tag, value, step) => void summary(step, text(1, tag), float(2, value)),
    text: (tag, markdown, step) =>
      void summary(
        step,
        text(1, tag),
        nested(9, nested(1, text(1, "text"))),
        nested(8, integer(1, DT_STRING), nested(2, nested(2, integer(1, 1))), text(8, markdown)),
      ),
    close: () => closeSync(file),
  };
}

const SESSION_START = 1;
const DT_STRING = 7;

/** A record of a TFRecord file. */
function record(event: Uint8Array): Uint8Array {
  const framed = new Uint8Array(event.length + 16);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(event.length), true);
  view.setUint32(8, maskedCrc(framed.subarray(0, 8)), true);
  framed.set(event, 12);
  view.setUint32(12 + event.length, maskedCrc(event), true);
  return framed;
}

/** Checksums are stored rotated, so that a checksum of bytes that hold checksums stays useful. */
function maskedCrc(of: Uint8Array): number {
  const crc = crc32c(of);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0x82f63b78 : byte >>> 1;
  return byte;
});

/** CRC-32C (Castagnoli), RFC 3720. */
export function crc32c(of: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of of) crc = crcTable[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
