import type { BigIntStats } from 'node:fs'
import fs from '../sys/host-fs.js'
import {
  above,
  asText,
  inFolder,
  isAbsolute,
  isBelow,
  parts,
  placed,
  realPath,
  rootOf,
  textMeansAll,
} from '../sys/host-path.js'

/** How many links the system follows in one path (Linux: MAXSYMLINKS). */
const mostLinks = 40

/** Where a name leads, if it may be followed there. `place`: before its last link; `real`: behind all of them. */
export type Followed =
  | { readonly kind: 'found'; readonly place: string; readonly real: string; readonly stat: BigIntStats }
  | { readonly kind: 'missing' | 'forbidden' | 'circle'; readonly place: string }
  /** `link`: the link that leads out; undefined where the name itself does. */
  | { readonly kind: 'outside'; readonly place: string; readonly link?: string }

/**
 * Follows a name from a folder as the system does: `..` is the folder above the one that a link led to, not what the
 * text before it says. Nothing outside `roots` is looked at, only the folders above them.
 * @param folder a real path. @param roots real paths of the files and folders that may be reached.
 * @param spelled other ways to spell the roots, through links that are then looked at.
 */
export function walk(
  folder: string,
  name: string,
  roots: readonly string[],
  spelled: readonly string[] = [],
): Followed {
  return textMeansAll ? walkText(folder, name, roots, spelled) : new Walker(roots, spelled).walk(folder, name)
}

class Walker {
  readonly #roots: readonly string[]
  readonly #ways: readonly string[]

  constructor(roots: readonly string[], spelled: readonly string[]) {
    this.#roots = roots
    this.#ways = [...roots, ...spelled]
  }

  // eslint-disable-next-line complexity -- one step of a path after the other, as the system takes them
  walk(folder: string, name: string): Followed {
    let here = isAbsolute(name) ? rootOf(name) : folder
    let place = here
    let link: string | undefined
    let links = 0
    let stat: BigIntStats | undefined
    /** What is still to follow; those of the name itself, not of a link in it, count for `place`. */
    const open = parts(name).map((part) => ({ part, own: true }))
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const { part, own } = next
      if (part === '' || part === '.') continue
      if (part === '..') {
        here = above(here)
        stat = undefined
        if (own) place = here
        continue
      }
      const path = inFolder(here, part)
      if (own) place = path
      const rest = open.filter((each) => each.own).map((each) => each.part)
      const whole = rest.reduce((start, each) => inFolder(start, each), place)
      if (!this.#mayLook(path)) return { kind: 'outside', place: link === undefined ? whole : path, link }
      try {
        stat = fs.lstatSync(path, { bigint: true })
        if (stat.isSymbolicLink()) {
          if (++links > mostLinks) return { kind: 'circle', place: whole }
          const target = fs.readlinkSync(path)
          link ??= place
          open.unshift(...parts(target).map((each) => ({ part: each, own: false })))
          if (isAbsolute(target)) here = rootOf(target)
          continue
        }
      } catch (error) {
        return { kind: failure(error), place: whole }
      }
      if (open.length > 0 && !stat.isDirectory()) return { kind: 'missing', place: whole }
      here = path
    }
    if (!this.#roots.some((root) => isBelow(here, root)))
      return { kind: 'outside', place: link === undefined ? place : here, link }
    try {
      return { kind: 'found', place, real: here, stat: stat ?? fs.lstatSync(here, { bigint: true }) }
    } catch (error) {
      return { kind: failure(error), place }
    }
  }

  /** What is in a root, or on the way to one. */
  #mayLook(path: string): boolean {
    return this.#ways.some((way) => isBelow(path, way) || isBelow(way, path))
  }
}

/** Windows takes `..` out of the text itself, before it looks at anything. */
function walkText(folder: string, name: string, roots: readonly string[], spelled: readonly string[]): Followed {
  const place = asText(folder, name)
  if (![...roots, ...spelled].some((root) => isBelow(place, root))) return { kind: 'outside', place }
  try {
    const real = fs.realpathSync(place)
    if (!roots.some((root) => isBelow(real, root))) return { kind: 'outside', place: real, link: place }
    return { kind: 'found', place, real, stat: fs.statSync(real, { bigint: true }) }
  } catch (error) {
    return { kind: failure(error), place }
  }
}

function failure(error: unknown): 'missing' | 'forbidden' | 'circle' {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ELOOP' ? 'circle' : code === 'EACCES' || code === 'EPERM' ? 'forbidden' : 'missing'
}

/** A file or folder that may be reached with all below it: its real path, and other spellings of it. */
export interface TrustedFolder {
  readonly real: string
  readonly spelled: readonly string[]
}

/** What may be reached by a path that the user gave; nothing where it leads nowhere. */
export function trusted(given: string): TrustedFolder[] {
  const real = realPath(given)
  if (real === undefined) return []
  // Its text means what the system makes of it where it has no dots.
  const plain = !parts(given).some((part) => part === '..' || part === '.')
  const start = isAbsolute(given) ? '' : realPath('.')
  return [{ real, spelled: [...(plain && start !== undefined ? [inFolder(start, given)] : []), placed(given) ?? real] }]
}
