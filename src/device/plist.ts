import { unsupported } from '../errors.js'

/** Property lists of diskutil are a few levels deep. */
const deepest = 32
const token = /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!DOCTYPE[^>]*>|<(\/?)([a-z]+)(?:\s[^>]*?)?(\/?)>|([^<]+)/gy

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: '\'' }

/**
 * The value of a property list in XML (Apple's PropertyList-1.0.dtd): objects, arrays, texts, numbers and booleans; data and dates as
 * their text. @throws ImageError unsupported E_TOOL when it is none.
 */
export function parsePlist(text: string): unknown {
  const reader = new PlistReader(text)
  reader.open('plist')
  const value = reader.value(0)
  reader.close('plist')
  return value
}

interface Tag { readonly name: string, readonly closes: boolean, readonly empty: boolean }

class PlistReader {
  readonly #text: string
  #position = 0

  constructor(text: string) {
    this.#text = text
  }

  open(name: string): void {
    const tag = this.#tag()
    if (tag.name !== name || tag.closes) throw this.#wrong(`<${name}> was expected`)
  }

  close(name: string): void {
    const tag = this.#tag()
    if (tag.name !== name || !tag.closes) throw this.#wrong(`</${name}> was expected`)
  }

  value(depth: number, tag: Tag = this.#tag()): unknown {
    if (depth > deepest) throw this.#wrong('it is nested too deep')
    if (tag.closes) throw this.#wrong(`</${tag.name}> stands where a value was expected`)
    switch (tag.name) {
      case 'true':
      case 'false':
        if (!tag.empty) this.close(tag.name)
        return tag.name === 'true'
      case 'string':
      case 'data':
      case 'date':
        return this.#content(tag)
      case 'integer':
      case 'real':
        return Number(this.#content(tag))
      case 'array':
        return tag.empty ? [] : this.#array(depth)
      case 'dict':
        return tag.empty ? {} : this.#dict(depth)
      default:
        throw this.#wrong(`<${tag.name}> is no value`)
    }
  }

  #array(depth: number): unknown[] {
    const items: unknown[] = []
    for (let tag = this.#tag(); !(tag.closes && tag.name === 'array'); tag = this.#tag()) items.push(this.value(depth + 1, tag))
    return items
  }

  #dict(depth: number): Record<string, unknown> {
    const members: [string, unknown][] = []
    for (let tag = this.#tag(); !(tag.closes && tag.name === 'dict'); tag = this.#tag()) {
      if (tag.name !== 'key' || tag.closes) throw this.#wrong('<key> was expected')
      members.push([this.#content(tag), this.value(depth + 1)])
    }
    return Object.fromEntries(members)
  }

  /** The text of an element, to its end. */
  #content({ name, empty }: Tag): string {
    if (empty) return ''
    const end = this.#text.indexOf(`</${name}>`, this.#position)
    if (end < 0) throw this.#wrong(`</${name}> is missing`)
    const text = this.#text.slice(this.#position, end)
    if (text.includes('<')) throw this.#wrong(`<${name}> holds further elements`)
    this.#position = end + name.length + 3
    return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]+));/gi, (whole, decimal: string | undefined, hexadecimal: string | undefined, entity: string | undefined) => {
      if (entity !== undefined) return entities[entity] ?? whole
      const code = decimal === undefined ? parseInt(hexadecimal ?? '', 16) : Number(decimal)
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole
    })
  }

  /** The next tag; between tags stands white space only. */
  #tag(): Tag {
    for (;;) {
      token.lastIndex = this.#position
      const match = token.exec(this.#text)
      if (match === null) throw this.#wrong('it ends too early, or is no XML')
      this.#position = token.lastIndex
      const [, slash, name, empty, between] = match
      if (name !== undefined) return { name, closes: slash === '/', empty: empty === '/' }
      if (between !== undefined && between.trim() !== '') throw this.#wrong(`${JSON.stringify(between.trim().slice(0, 20))} stands between elements`)
    }
  }

  #wrong(why: string): Error {
    return unsupported('E_TOOL', `what diskutil printed is no property list: near character ${this.#position}: ${why}`)
  }
}
