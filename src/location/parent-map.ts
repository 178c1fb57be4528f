import { printable, usage } from '../errors.js'
import fs from '../sys/host-fs.js'
import { folderPart, placed, realPath } from '../sys/host-path.js'
import type { TrustedFolder } from './walk.js'

/** Where files that images name under `from` lie now: a file, or a folder with all below it. */
export interface ParentMapping {
  /**
   * The name as an image stores it, in Windows' or POSIX' form; its beginning up to a separator; or its last part
   * alone.
   */
  readonly from: string
  /** A file or folder of this system. */
  readonly to: string
}

/** `OLD=NEW` as a mapping. @throws ImageError usage E_PARENT_MAP when one side is missing. */
export function parseParentMapping(text: string): ParentMapping {
  const sign = text.indexOf('=')
  const [from, to] = [text.slice(0, Math.max(0, sign)), text.slice(sign + 1)]
  if (sign <= 0 || to === '' || text.includes('\0'))
    throw usage('E_PARENT_MAP', `${printable(text)} says of no parent where it is now; write OLD=NEW`, {
      hint: "For example: --parent-map 'C:\\VMs=/srv/vms'",
    })
  return { from, to }
}

/** Where to look for a mapped name: from a folder, and nowhere outside `within`. */
export interface MappedName {
  readonly folder: string
  readonly name: string
  readonly within: TrustedFolder
}

/**
 * Where a parent lies by the first mapping that speaks of one of its spellings; undefined when none does.
 * What the image itself stores behind the mapped beginning never leads out of the mapped folder.
 * @param spellings the name as stored, and the paths it may mean on this system. @param leaves what its last part may
 * be.
 */
export function mapped(
  mappings: readonly ParentMapping[],
  spellings: readonly string[],
  leaves: readonly string[],
): readonly MappedName[] | undefined {
  for (const { from, to } of mappings) {
    const place = placed(to) ?? to
    const within = { real: realPath(to) ?? place, spelled: [place] }
    const isFolder = fs.statSync(to, { throwIfNoEntry: false })?.isDirectory() === true
    for (const spelling of [...spellings, ...leaves]) {
      const rest = restBehind(spelling, from)
      if (rest === undefined) continue
      // A backslash may be a character of a name; else it separates folders.
      const names = rest === '' ? leaves : [...new Set([rest, rest.replaceAll('\\', '/')])]
      if (isFolder) return names.map((name) => ({ folder: within.real, name, within }))
      if (rest === '') return [{ folder: folderPart(place), name: place, within }]
    }
  }
  return undefined
}

/**
 * What follows `start` in a name, both taken apart at slashes and backslashes; '' when they are equal, undefined when
 * it does not begin so.
 */
function restBehind(name: string, start: string): string | undefined {
  const windows = /^(?:[A-Za-z]:|\\\\)/.test(start)
  const plain = (text: string): string => text.replaceAll('\\', '/').replace(/(?<=.)\/+$/, '')
  const folded = (text: string): string => (windows ? text.toLowerCase() : text)
  const [whole, begin] = [plain(name), plain(start)]
  if (folded(whole) === folded(begin)) return ''
  const open = begin.endsWith('/') ? begin : `${begin}/`
  return folded(whole).startsWith(folded(open)) ? name.slice(open.length) : undefined
}
