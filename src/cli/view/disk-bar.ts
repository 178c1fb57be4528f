/** A partition or a gap, in the order of the disk. Bytes. */
export interface BarPart {
  /** Undefined: no partition. */
  readonly number?: number
  readonly name?: string
  readonly length: number
  /** The part of it that is in use, from 0 to 1; undefined: not known. */
  readonly used?: number
}

/** One partition or gap, drawn. */
export interface BarSegment {
  readonly text: string
  /** The index of its partition among those drawn; undefined: a gap. */
  readonly index?: number
}

/**
 * A disk drawn to scale in one line, readable without colour: `[1 EFI=][2 root####----]....`. Everything that is there
 * is seen: a
 * partition has three columns at least, a gap one.
 * @returns undefined when there are too many parts for the width.
 */
export function diskBar(parts: readonly BarPart[], width: number): readonly BarSegment[] | undefined {
  const widths = share(
    parts.map(({ length }) => length),
    parts.map(({ number }) => (number === undefined ? 1 : 2 + String(number).length)),
    width,
  )
  if (widths === undefined) return undefined
  let index = 0
  return parts.map((part, at) => {
    const columns = widths[at] ?? 0
    return part.number === undefined ? { text: '.'.repeat(columns) } : { text: drawn(part, columns), index: index++ }
  })
}

/** What stands for what in the line that was drawn; empty where it explains itself. */
export function barLegend(segments: readonly BarSegment[]): string {
  const text = segments
    .map((segment) => (segment.index === undefined ? segment.text : segment.text.replace(/^\[\d+( [^#=-]*)?/, '')))
    .join('')
  const meanings = [
    ['#', 'used'],
    ['-', 'free'],
    ['=', 'use not known'],
    ['.', 'no partition'],
  ] as const
  return meanings
    .filter(([mark]) => text.includes(mark))
    .map(([mark, meaning]) => `${mark} ${meaning}`)
    .join('   ')
}

function drawn({ number = 0, name = '', used }: BarPart, columns: number): string {
  const inner = columns - 2
  const plain = String(number)
  // Marks of the drawing in a name would be read as such.
  const words = name.replace(/[^\p{L}\p{N} _]/gu, ' ').trim()
  const title =
    words === ''
      ? plain
      : Array.from(`${plain} ${words}`)
          .slice(0, Math.max(plain.length, inner - 3))
          .join('')
          .trimEnd()
  const head = inner >= title.length + 1 && title !== plain ? `${title} ` : plain
  const room = inner - head.length
  const full = used === undefined ? 0 : Math.min(room, Math.max(used > 0 ? 1 : 0, Math.round(used * room)))
  return `[${head}${used === undefined ? '='.repeat(room) : '#'.repeat(full) + '-'.repeat(room - full)}]`
}

/**
 * Shares columns out in proportion, none below its least. The largest pays for the small ones. Undefined when the least
 * do not fit.
 */
function share(lengths: readonly number[], least: readonly number[], width: number): number[] | undefined {
  const needed = least.reduce((sum, columns) => sum + columns, 0)
  if (needed > width || lengths.length === 0) return undefined
  const total = Math.max(
    1,
    lengths.reduce((sum, length) => sum + length, 0),
  )
  const columns = lengths.map((length, index) => Math.max(least[index] ?? 1, Math.floor((length / total) * width)))
  let over = columns.reduce((sum, one) => sum + one, 0) - width
  while (over !== 0) {
    // One at a time from the one furthest above (or below) its share.
    let worst = 0
    let difference = -Infinity
    for (const [index, one] of columns.entries()) {
      const exact = ((lengths[index] ?? 0) / total) * width
      const gain = over > 0 ? (one > (least[index] ?? 1) ? one - exact : -Infinity) : exact - one
      if (gain > difference) [worst, difference] = [index, gain]
    }
    columns[worst] = (columns[worst] ?? 0) - Math.sign(over)
    over -= Math.sign(over)
  }
  return columns
}
