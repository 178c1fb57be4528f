import type { ByteStore } from '../../../block/types.js'
import { unsupported } from '../../../errors.js'
import { roundUp, viewOf } from '../../../binary/integers.js'
import { cidText, type Descriptor } from '../format/descriptor.js'
import { sectorLength, sparseHeader } from '../format/structs.js'

/** Where a descriptor is: a file of its own, or a part of a sparse extent. Bytes. */
export interface DescriptorPlace {
  readonly store: ByteStore
  readonly position: number
  /** How long the text may get. */
  readonly space: number
  readonly embedded: boolean
}

/** The text with one line exchanged: lines that begin with the key, in any case. One byte a character. */
export function withLine(text: string, key: string, line: string | undefined): string {
  const pattern = new RegExp(`^[ \\t]*${key}[ \\t]*=[^\\r\\n]*(?:\\r\\n|\\n|\\r|$)`, 'im')
  const found = pattern.exec(text)
  const eol = /\r\n/.test(text) ? '\r\n' : '\n'
  if (found !== null) return text.replace(pattern, () => (line === undefined ? '' : `${line}${eol}`))
  return line === undefined
    ? text
    : text.replace(/^([ \t]*createType[^\r\n]*(?:\r\n|\n|\r))/im, (all) => `${all}${line}${eol}`)
}

/** The text with another content id, as many digits long: nothing moves. Undefined where it has none. */
export function withContentId(text: string, { cid }: Descriptor, next: number): string | undefined {
  const found = /^([ \t]*CID[ \t]*=[ \t]*"?(?:0x)?)([0-9a-f]{1,8})/im.exec(text)
  if (found === null || cid === undefined) return undefined
  const digits = cidText(next).slice(-(found[2]?.length ?? 8))
  return text.replace(found[0], () => `${found[1] ?? ''}${digits}`)
}

/**
 * The text with another length of one extent, in sectors. A line of comment behind it becomes as much shorter as the
 * number becomes longer, so that what follows stays in its place.
 * @param line its number, from 1 on.
 */
export function withSectors(text: string, line: number, sectors: number): string {
  const breaks = [...text.matchAll(/\r\n|\n|\r/g)]
  const start = line === 1 ? 0 : (breaks[line - 2]?.index ?? 0) + (breaks[line - 2]?.[0].length ?? 0)
  const end = breaks[line - 1]?.index ?? text.length
  const [, access = '', number = '', rest = ''] = /^([ \t]*\S+[ \t]+)(\d+)(.*)$/s.exec(text.slice(start, end)) ?? []
  const digits = String(sectors)
  const padded = digits.padEnd(number.length)
  const longer = padded.length - number.length
  const before = text.slice(0, start)
  const after = text.slice(end)
  const comment = new RegExp(`#[^\\r\\n]{${longer},}`)
  const found = longer > 0 ? comment.exec(after) : null
  const moved =
    found === null
      ? after
      : after.slice(0, found.index) + found[0].slice(0, -longer) + after.slice(found.index + found[0].length)
  return `${before}${access}${padded}${rest}${moved}`
}

/** The text with the cylinders of another capacity (bytes), by the heads and sectors that it says. */
export function withCylinders(text: string, capacity: number): string {
  const value = (key: string): number =>
    Number(new RegExp(`^[ \\t]*ddb\\.geometry\\.${key}[ \\t]*=[ \\t]*"?(\\d{1,9})`, 'im').exec(text)?.[1])
  const track = value('heads') * value('sectors') * sectorLength
  if (!(track > 0)) return text
  const most = value('heads') === 16 ? 16383 : 65535
  const cylinders = Math.min(most, Math.ceil(capacity / track))
  return text.replace(/^([ \t]*ddb\.geometry\.cylinders[ \t]*=[ \t]*"?)\d+/im, (_, key: string) => `${key}${cylinders}`)
}

/** Whether {@link exchangeDescriptor} can put one text in place of the other. */
export function canExchange({ embedded, space }: DescriptorPlace, before: string, after: string): boolean {
  if (after.length > space) return false
  return embedded || changedSectors(...padded(before, after)).length <= 1
}

/** Both texts as bytes, of one length. */
function padded(before: string, after: string): [Buffer, Buffer] {
  const length = Math.max(before.length, after.length)
  const [old, next] = [Buffer.alloc(length), Buffer.alloc(length)]
  old.write(before, 'latin1')
  next.write(after, 'latin1')
  return [old, next]
}

/**
 * Puts another text in place of a descriptor, so that a stop leaves the one or the other: in one sector where that is
 * enough, else through a second place that the header leads to meanwhile.
 * @throws ImageError unsupported E_NO_RELINK where the text has no room, or cannot be exchanged at once.
 */
export function exchangeDescriptor(place: DescriptorPlace, before: string, after: string): void {
  const { store, position, space, embedded } = place
  const [old, bytes] = padded(before, after)
  const changed = changedSectors(old, bytes)
  if (after.length > space)
    throw unsupported('E_NO_RELINK', `${store.name}: the descriptor would take ${after.length} bytes, and has ${space}`)
  if (changed.length <= 1) {
    const [start = 0] = changed
    if (changed.length === 1)
      store.write(position + start, bytes.subarray(start, Math.min(bytes.length, start + sectorLength)))
    store.flush()
    return
  }
  if (!embedded)
    throw unsupported(
      'E_NO_RELINK',
      `${store.name}: the change takes several sectors of the descriptor, which cannot be written at once`,
      { hint: 'Convert the image to one of one file.' },
    )
  const size = store.size
  const other = roundUp(size, sectorLength)
  const room = Buffer.alloc(space)
  bytes.copy(room)
  store.write(other, room)
  store.flush()
  lead(store, other)
  store.flush()
  store.write(position, room)
  store.flush()
  lead(store, position)
  store.flush()
  store.truncate(size)
  store.flush()
}

function lead(store: ByteStore, position: number): void {
  const header = new Uint8Array(sparseHeader.size)
  store.read(0, header)
  viewOf(header).setBigUint64(28, BigInt(position / sectorLength), true)
  store.write(0, header)
}

/** Sectors in which two texts differ, from the start of the descriptor. */
function changedSectors(before: Buffer, after: Buffer): number[] {
  const changed: number[] = []
  for (let at = 0; at < after.length; at += sectorLength)
    if (!before.subarray(at, at + sectorLength).equals(after.subarray(at, at + sectorLength))) changed.push(at)
  return changed
}
