import fs from '../../sys/host-fs.js'
import { writeWhole } from '../../location/partial.js'
import type { BadRun } from '../../block/salvage.js'
import { corrupt, printable, reference } from '../../errors.js'

/** A million runs, at about forty characters. */
const maximumSize = 128 * 1048576

/** Writes which parts of a disk could not be read. Whole or not at all. @throws ImageError target */
export function writeSalvageMap(path: string, size: number, bad: readonly BadRun[], tool: string): void {
  writeWhole(path, salvageMapText(size, bad, tool), 0o600)
}

/**
 * Which parts of a disk could not be read, as GNU ddrescue writes its mapfile (its manual, "Mapfile structure"): `-` is
 * bad, `+` is done.
 */
export function salvageMapText(size: number, bad: readonly BadRun[], tool: string): string {
  const lines = [
    `# Mapfile. Created by ${tool}`,
    '# current_pos  current_status  current_pass',
    '0x00000000     +               1',
    '#      pos        size  status',
  ]
  const add = (offset: number, length: number, status: string): void => {
    if (length > 0) lines.push(`${hexadecimal(offset)}  ${hexadecimal(length)}  ${status}`)
  }
  let end = 0
  for (const { offset, length } of bad) {
    add(end, offset - end, '+')
    add(offset, length, '-')
    end = offset + length
  }
  add(end, size - end, '+')
  return `${lines.join('\n')}\n`
}

function hexadecimal(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(8, '0')}`
}

/**
 * The runs that a mapfile does not call done, ours or ddrescue's.
 * @param size bytes of the disk that it must cover. @throws ImageError reference E_NO_MAP; corrupt E_MAP.
 */
export function readSalvageMap(path: string, size: number): BadRun[] {
  const name = printable(path)
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  if (stat === undefined)
    throw reference('E_NO_MAP', `there is no map of unreadable ranges at ${name}`, {
      hint: 'Without one there is nothing to go on with: the image is complete, or was never finished.',
    })
  if (!stat.isFile() || stat.size > maximumSize)
    throw corrupt(
      'E_MAP',
      `${name} is no map of unreadable ranges: ` +
        (stat.isFile() ? `it has ${stat.size} bytes` : 'it is no regular file'),
    )
  const bad: BadRun[] = []
  let end = 0
  let head = true
  for (const [index, line] of fs.readFileSync(path, 'latin1').split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue
    if (head) {
      // The status line: where ddrescue was. It says nothing of the content.
      head = false
      continue
    }
    const [, position, length, status] =
      /^(0x[0-9a-f]{1,14}|\d{1,16})\s+(0x[0-9a-f]{1,14}|\d{1,16})\s+([?*/+-])\s*$/i.exec(line) ?? []
    const [offset, count] = [Number(position), Number(length)]
    if (
      status === undefined ||
      !Number.isSafeInteger(offset + count) ||
      offset !== end ||
      count === 0 ||
      offset + count > size
    ) {
      throw corrupt(
        'E_MAP',
        `line ${index + 1} of the map ${name} is ${JSON.stringify(printable(line.slice(0, 80)))}: a run that ` +
          `begins at byte ${end}, within the ${size} bytes of the disk, was expected`,
      )
    }
    end = offset + count
    if (status === '+') continue
    const last = bad.at(-1)
    if (last !== undefined && last.offset + last.length === offset)
      bad[bad.length - 1] = { offset: last.offset, length: last.length + count }
    else bad.push({ offset, length: count })
  }
  if (end !== size) throw corrupt('E_MAP', `the map ${name} covers ${end} bytes, and the disk has ${size}`)
  return bad
}
