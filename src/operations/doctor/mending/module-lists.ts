import type { ListedModule } from '../started-kernel.js'
import { moduleIndex, normalAlias } from './module-index.js'
import { moduleName } from '../module-names.js'

/** The lists of a system's modules, as depmod wrote them, line by line. */
export interface SystemLists {
  readonly loadable: ReadonlyMap<string, ListedModule>
  readonly alias: readonly string[]
  readonly softdep: readonly string[]
  /** Paths in the order in which modules with the same alias are loaded. */
  readonly order: readonly string[]
}

/** Of a module that the order does not name. */
const lastPriority = 0x7fffffff

/**
 * The lists of the modules in an initramfs, which kmod looks drivers up in: those of the system, as far as they are
 * about these modules. @param paths of each module, by its name, in the folder of the modules.
 */
export function moduleLists(
  paths: ReadonlyMap<string, string>,
  { loadable, alias, softdep, order }: SystemLists,
): Map<string, Uint8Array> {
  const priorities = new Map(order.map((path, index) => [moduleName(path), index] as const))
  const priority = (name: string): number => priorities.get(name) ?? lastPriority
  const needs = [...paths].map(([name, path]) => {
    const needed = (loadable.get(name)?.needs ?? []).flatMap((one) => paths.get(moduleName(one)) ?? [])
    return { key: name, value: [`${path}:`, ...needed].join(' '), priority: priority(name) }
  })
  const aliases = alias.flatMap((line) => {
    const [, pattern = '', name = ''] = /^alias (\S+) (\S+)$/.exec(line) ?? []
    const module = moduleName(name)
    return paths.has(module) ? [{ line, key: normalAlias(pattern), value: module, priority: priority(module) }] : []
  })
  const own = softdep.filter((line) => paths.has(softDependency(line)?.name ?? ''))
  const lists = new Map<string, Uint8Array>([
    ['modules.dep', text(needs.map(({ value }) => value))],
    ['modules.dep.bin', moduleIndex(needs)],
    ['modules.alias', text(aliases.map(({ line }) => line))],
    ['modules.alias.bin', moduleIndex(aliases)],
  ])
  if (own.length > 0) lists.set('modules.softdep', text(own))
  return lists
}

/** A line of `modules.softdep`: a module, and modules or aliases that are loaded before and after it. */
export function softDependency(
  line: string,
): { readonly name: string; readonly others: readonly string[] } | undefined {
  const [word, name, ...rest] = line.trim().split(/\s+/)
  if (word !== 'softdep' || name === undefined) return undefined
  return { name: moduleName(name), others: rest.filter((one) => one !== 'pre:' && one !== 'post:') }
}

function text(lines: readonly string[]): Uint8Array {
  return Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1')
}
