import { corrupt } from '../errors.js'
import { safeNumber, viewOf } from './integers.js'
import { guidText, parseGuid, parseUuid, uuidText } from './guid.js'

/**
 * Declared on-disk layouts. A header is one table of fields with offsets; reading, writing, its size, its checksum
 * range and the rows of `vdisk info --headers` all come from that table.
 *
 *   const footer = struct('big', 512, { cookie: ascii(0, 8), features: flags32(8), currentSize: u64(48) })
 *   const values = footer.read(bytes)       // { cookie: string, features: bigint, currentSize: bigint }
 *   const bytes = footer.write(values)      // 512 bytes, everything not declared is zero
 */
export type Endian = 'big' | 'little'

/** One field: where it lies in its structure (bytes) and how its bytes and its value correspond. */
export interface Field<Value> {
  readonly offset: number
  readonly length: number
  /** How `info --headers` prints it. */
  readonly display: 'decimal' | 'hex' | 'text' | 'bytes'
  get(view: DataView, at: number, endian: Endian): Value
  set(view: DataView, at: number, value: Value, endian: Endian): void
}

/** The values of a structure, by field name. */
export type ValuesOf<Table> = {
  -readonly [Name in keyof Table]: Table[Name] extends Field<infer Value> ? Value : never
}
/** The values that {@link Struct.read} gives for a declared structure. */
export type StructValues<Of> = Of extends Struct<infer Table> ? ValuesOf<Table> : never

/** One field as `info --headers` shows it. `position` is where it lies in the host file, in bytes. */
export interface FieldRow {
  readonly name: string
  readonly position: number
  readonly length: number
  readonly value: string | number | bigint
  readonly display: 'decimal' | 'hex' | 'text' | 'bytes'
}

export interface Struct<Table> {
  readonly size: number
  readonly fields: Table
  /** @throws ImageError corrupt E_TRUNCATED when fewer than `size` bytes are given. */
  read(bytes: Uint8Array, at?: number): ValuesOf<Table>
  /** The structure's bytes. With `base`, bytes of no declared field keep what they hold there. */
  write(values: ValuesOf<Table>, base?: Uint8Array): Uint8Array
  /** Writes the structure into memory that is there; bytes of no declared field stay. */
  writeInto(view: DataView, at: number, values: ValuesOf<Table>): void
  /**
   * A copy of the structure's bytes in which one field is zero, to take a checksum over. `length` extends beyond the
   * declared size.
   */
  without(field: keyof Table & string, bytes: Uint8Array, length?: number): Uint8Array
  /** Every field with its place and value. `position` is where the structure begins in the file. */
  rows(bytes: Uint8Array, position: number): FieldRow[]
}

export function struct<Table extends Record<string, Field<unknown>>>(
  endian: Endian,
  size: number,
  fields: Table,
): Struct<Table> {
  const entries = Object.entries<Field<unknown>>(fields)
  for (const [name, field] of entries) {
    if (field.offset + field.length > size)
      throw new RangeError(`field ${name} lies outside its structure of ${size} bytes`)
  }
  const need = (bytes: Uint8Array, at: number): DataView => {
    if (bytes.length - at < size) {
      throw corrupt('E_TRUNCATED', `a structure of ${size} bytes has only ${Math.max(0, bytes.length - at)}`)
    }
    return viewOf(bytes)
  }
  return {
    size,
    fields,
    read(bytes, at = 0) {
      const view = need(bytes, at)
      // Of the same shape each time: logs hold hundreds of thousands of them, and a server reads one for every request.
      const values: Record<string, unknown> = {}
      for (const [name, field] of entries) values[name] = field.get(view, at + field.offset, endian)
      return values as ValuesOf<Table>
    },
    write(values, base) {
      const bytes = new Uint8Array(Math.max(size, base?.length ?? 0))
      if (base !== undefined) bytes.set(base)
      const view = viewOf(bytes)
      const table = values as Record<string, unknown>
      for (const [name, field] of entries) field.set(view, field.offset, table[name], endian)
      return bytes
    },
    writeInto(view, at, values) {
      const table = values as Record<string, unknown>
      for (const [name, field] of entries) field.set(view, at + field.offset, table[name], endian)
    },
    without(name, bytes, length = size) {
      const copy = Uint8Array.from(bytes.subarray(0, length))
      const field = fields[name] as Field<unknown>
      copy.fill(0, field.offset, field.offset + field.length)
      return copy
    },
    rows(bytes, position) {
      const view = need(bytes, 0)
      return entries.map(([name, field]) => ({
        name,
        position: position + field.offset,
        length: field.length,
        value: shown(field.get(view, field.offset, endian)),
        display: field.display,
      }))
    },
  }
}

function shown(value: unknown): string | number | bigint {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string') return value
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value)
}

const isLittle = (endian: Endian): boolean => endian === 'little'

export function u8(offset: number): Field<number> {
  return {
    offset,
    length: 1,
    display: 'decimal',
    get: (view, at) => view.getUint8(at),
    set: (view, at, value) => view.setUint8(at, value),
  }
}
export function u16(offset: number): Field<number> {
  return {
    offset,
    length: 2,
    display: 'decimal',
    get: (view, at, endian) => view.getUint16(at, isLittle(endian)),
    set: (view, at, value, endian) => view.setUint16(at, value, isLittle(endian)),
  }
}
export function u32(offset: number, display: 'decimal' | 'hex' = 'decimal'): Field<number> {
  return {
    offset,
    length: 4,
    display,
    get: (view, at, endian) => view.getUint32(at, isLittle(endian)),
    set: (view, at, value, endian) => view.setUint32(at, value, isLittle(endian)),
  }
}
/** A 64-bit word as it is: for values that may hold all ones. Use {@link offset64} for places and sizes. */
export function u64(offset: number, display: 'decimal' | 'hex' = 'decimal'): Field<bigint> {
  return {
    offset,
    length: 8,
    display,
    get: (view, at, endian) => view.getBigUint64(at, isLittle(endian)),
    set: (view, at, value, endian) => view.setBigUint64(at, value, isLittle(endian)),
  }
}
/** A 64-bit place or size in bytes, as a number. Reading throws E_TOO_LARGE above 2^53−1. */
export function offset64(offset: number, what: string): Field<number> {
  return {
    offset,
    length: 8,
    display: 'decimal',
    get: (view, at, endian) => safeNumber(view.getBigUint64(at, isLittle(endian)), what),
    set: (view, at, value, endian) => view.setBigUint64(at, BigInt(value), isLittle(endian)),
  }
}
/** A 32-bit word of flags. */
export function flags32(offset: number): Field<bigint> {
  return {
    offset,
    length: 4,
    display: 'hex',
    get: (view, at, endian) => BigInt(view.getUint32(at, isLittle(endian))),
    set: (view, at, value, endian) => view.setUint32(at, Number(value), isLittle(endian)),
  }
}
/** A 64-bit word of flags. */
export function flags64(offset: number): Field<bigint> {
  return u64(offset, 'hex')
}
/** Bytes as they are; reading copies. */
export function bytes(offset: number, length: number): Field<Uint8Array> {
  return {
    offset,
    length,
    display: 'bytes',
    get: (view, at) => Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset + at, length)),
    set: (view, at, value) => new Uint8Array(view.buffer, view.byteOffset + at, length).set(value.subarray(0, length)),
  }
}
/** One byte a character, NUL padded; trailing NULs are not part of the value. */
export function ascii(offset: number, length: number): Field<string> {
  return {
    offset,
    length,
    display: 'text',
    get: (view, at) =>
      Buffer.from(view.buffer, view.byteOffset + at, length)
        .toString('latin1')
        .replace(/\0+$/, ''),
    set: (view, at, value) => {
      Buffer.from(view.buffer, view.byteOffset + at, length)
        .fill(0)
        .write(value, 'latin1')
    },
  }
}
/** UTF-16 up to the first NUL, in the byte order given (which need not be the structure's). `length` in bytes. */
export function utf16(offset: number, length: number, order: Endian): Field<string> {
  return {
    offset,
    length,
    display: 'text',
    get: (view, at) => {
      let text = ''
      for (let unit = 0; unit + 1 < length; unit += 2) {
        const code = view.getUint16(at + unit, isLittle(order))
        if (code === 0) break
        text += String.fromCharCode(code)
      }
      return text
    },
    set: (view, at, value) => {
      for (let unit = 0; unit + 1 < length; unit += 2)
        view.setUint16(at + unit, value.charCodeAt(unit / 2) || 0, isLittle(order))
    },
  }
}
function identifier(
  offset: number,
  text: (bytes: Uint8Array) => string,
  parse: (text: string) => Uint8Array | undefined,
): Field<string> {
  return {
    offset,
    length: 16,
    display: 'text',
    get: (view, at) => text(new Uint8Array(view.buffer, view.byteOffset + at, 16)),
    set: (view, at, value) => {
      const parsed = parse(value)
      if (parsed === undefined) throw new RangeError(`not a UUID: ${value}`)
      new Uint8Array(view.buffer, view.byteOffset + at, 16).set(parsed)
    },
  }
}
/** 16 bytes in plain order, as text (VHD). */
export function uuid(offset: number): Field<string> {
  return identifier(offset, uuidText, parseUuid)
}
/** 16 bytes in Microsoft's mixed order, as text (VHDX, GPT). */
export function guid(offset: number): Field<string> {
  return identifier(offset, guidText, parseGuid)
}
/** The UUID of sixteen zero bytes. */
export const nilUuid = '00000000-0000-0000-0000-000000000000'
