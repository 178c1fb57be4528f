import { viewOf } from '../../../binary/integers.js'

/** A value under a key of a list of modules, as kmod looks it up. */
export interface IndexValue {
  readonly key: string
  readonly value: string
  /** Of several values under one key the lowest comes first. */
  readonly priority: number
}

/** kmod, libkmod/libkmod-index.c: a trie, all numbers big-endian. */
const magic = 0xb007f457
const version = 0x00020001
const hasPrefix = 0x80000000
const hasValues = 0x40000000
const hasChildren = 0x20000000
const headerLength = 12

/** Longer keys are no aliases: nodes lie as deep as keys are long. */
const longestKey = 1024

/**
 * A list of modules in the form in which kmod reads it (`modules.dep.bin`, `modules.alias.bin`). Keys are in ASCII,
 * hold no NUL and have at most 1024 characters; others are left out.
 */
export function moduleIndex(values: Iterable<IndexValue>): Uint8Array {
  const sorted = [...values]
    .filter(({ key }) => key.length <= longestKey && /^[\x20-\x7e]+$/.test(key))
    .sort((one, other) => order(one.key, other.key) || one.priority - other.priority || order(one.value, other.value))
  const index = new Index()
  const root = index.node(sorted, 0)
  const bytes = Buffer.concat([Buffer.alloc(headerLength), ...index.parts])
  const view = viewOf(bytes)
  view.setUint32(0, magic)
  view.setUint32(4, version)
  view.setUint32(8, root)
  return bytes
}

class Index {
  readonly parts: Uint8Array[] = []
  #length = headerLength

  /** Writes the node of keys that are the same up to `depth`, behind its children. @returns where it is, with flags. */
  node(values: readonly IndexValue[], depth: number): number {
    const [first, last] = [values[0]?.key ?? '', values.at(-1)?.key ?? '']
    let end = depth
    while (end < first.length && first[end] === last[end]) end++
    // A key that ends here comes before those that go on.
    const further = values.findIndex(({ key }) => key.length > end)
    const own = further < 0 ? values : values.slice(0, further)
    const children = this.#children(values.slice(own.length), end)
    const parts: Uint8Array[] = []
    if (end > depth) parts.push(Buffer.from(`${first.slice(depth, end)}\0`, 'latin1'))
    if (children.length > 0) parts.push(...childTable(children))
    if (own.length > 0) {
      parts.push(word(own.length))
      for (const { value, priority } of own) parts.push(word(priority), Buffer.from(`${value}\0`, 'latin1'))
    }
    const position = this.#length
    const bytes = Buffer.concat(parts)
    this.parts.push(bytes)
    this.#length += bytes.length
    return (
      position +
      (end > depth ? hasPrefix : 0) +
      (children.length > 0 ? hasChildren : 0) +
      (own.length > 0 ? hasValues : 0)
    )
  }

  /** The nodes below, by the character that leads to each. */
  #children(values: readonly IndexValue[], depth: number): (readonly [number, number])[] {
    const children: (readonly [number, number])[] = []
    for (let start = 0; start < values.length;) {
      const code = values[start]?.key.charCodeAt(depth) ?? 0
      let end = start + 1
      while (end < values.length && values[end]?.key.charCodeAt(depth) === code) end++
      children.push([code, this.node(values.slice(start, end), depth + 1)])
      start = end
    }
    return children
  }
}

/** From the first character to the last; 0 where none leads on. */
function childTable(children: readonly (readonly [number, number])[]): Uint8Array[] {
  const first = children[0]?.[0] ?? 0
  const last = children.at(-1)?.[0] ?? 0
  const table = new Uint8Array((last - first + 1) * 4)
  for (const [code, node] of children) viewOf(table).setUint32((code - first) * 4, node)
  return [Uint8Array.of(first, last), table]
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value)
  return bytes
}

function order(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

/** A name that devices have for their driver, as kmod compares it: `-` is `_`, but not between brackets. */
export function normalAlias(alias: string): string {
  return alias.replace(/\[[^\]]*\]|-/g, (found) => (found === '-' ? '_' : found))
}
