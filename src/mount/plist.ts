/** A value of a property list. Dates and data stay text. */
export type PlistValue = string | number | boolean | readonly PlistValue[] | { readonly [key: string]: PlistValue }

/** Deeper than any program of macOS nests its answers. */
const deepest = 64

/**
 * Reads an XML property list, as hdiutil and diskutil print it: the value of its first element. Undefined when it is none. Not a
 * general XML reader: no entities but the five of XML, no attributes that matter.
 */
export function parsePlist(text: string): PlistValue | undefined {
  const start = text.indexOf('<plist')
  if (start < 0) return undefined
  const reader = new Reader(text.slice(start))
  reader.skip('plist')
  return reader.value(0)
}

class Reader {
  readonly #tokens: IterableIterator<RegExpExecArray>
  #token: RegExpExecArray | undefined

  constructor(text: string) {
    this.#tokens = text.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>([^<]*)/g)
    this.#next()
  }

  skip(name: string): void {
    if (this.#token?.[2] === name) this.#next()
  }

  /** The value that begins here; undefined where none does. */
  value(depth: number): PlistValue | undefined {
    const [, closing, name, empty, content = ''] = this.#token ?? []
    if (name === undefined || closing === '/' || depth > deepest) return undefined
    const isEmpty = empty === '/'
    this.#next()
    if (name === 'true' || name === 'false') return name === 'true'
    if (name === 'array') return isEmpty ? [] : this.#array(depth)
    if (name === 'dict') return isEmpty ? {} : this.#dictionary(depth)
    if (!isEmpty) this.#close(name)
    const text = isEmpty ? '' : unescaped(content)
    return name === 'integer' || name === 'real' ? Number(text) : text
  }

  #array(depth: number): PlistValue[] {
    const values: PlistValue[] = []
    for (;;) {
      const value = this.value(depth + 1)
      if (value === undefined) break
      values.push(value)
    }
    this.#close('array')
    return values
  }

  #dictionary(depth: number): Record<string, PlistValue> {
    const values: [string, PlistValue][] = []
    while (this.#token?.[2] === 'key' && this.#token[1] !== '/') {
      const key = unescaped(this.#token[4] ?? '')
      this.#next()
      this.#close('key')
      const value = this.value(depth + 1)
      if (value === undefined) break
      values.push([key, value])
    }
    this.#close('dict')
    // Not by assignment: a key may be called __proto__.
    return Object.fromEntries(values)
  }

  #close(name: string): void {
    if (this.#token?.[1] === '/' && this.#token[2] === name) this.#next()
  }

  #next(): void {
    const next = this.#tokens.next()
    this.#token = next.done === true ? undefined : next.value
  }
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: '\'' }

function unescaped(text: string): string {
  return text.replace(/&(lt|gt|amp|quot|apos);/g, (whole, name: string) => entities[name] ?? whole)
}
