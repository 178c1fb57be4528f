import type { PartitionTable, TableIssue } from '../../partition/index.js'
import { shellWord } from '../../sys/shell-word.js'

/** The command that mends an issue of a table, as it is typed; undefined where there is none. */
export function mendingCommand({ code, fixable }: TableIssue, table: PartitionTable, path: string): string | undefined {
  const image = shellWord(path)
  switch (code) {
    case 'W_DUP_GUID':
      return `vdisk partition fix ${image} --new-ids --output FIXED`
    case 'W_SECTOR_SIZE':
      return `vdisk partition convert ${image} CONVERTED --sector-size ${table.sectorSize === 512 ? 4096 : 512}`
    // Partitions that are cut off need the disk back at its size first; a table that is too large for its disk alone is
    // fitted.
    case 'W_GPT_TRUNCATED':
      return table.issues.some((issue) => issue.code === 'W_PART_PAST_END')
        ? undefined
        : `vdisk partition fix ${image} --output FIXED`
    case 'W_PART_PAST_END':
      return `vdisk convert ${image} ENLARGED --size ${largestEnd(table)}`
    default:
      return fixable === true ? `vdisk partition fix ${image} --output FIXED` : undefined
  }
}

/** Bytes that a disk needs for all its partitions and a second GPT behind them. */
function largestEnd({ partitions }: PartitionTable): number {
  const mebibyte = 1048576
  const end = Math.max(...partitions.map(({ start, length }) => start + length))
  return Math.min((Math.ceil(end / mebibyte) + 1) * mebibyte, Number.MAX_SAFE_INTEGER)
}
