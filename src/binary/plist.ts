import { createRequire } from 'node:module'
import type * as Sax from 'sax'

/** A value of a property list. Dates and data stay text. */
export type PlistValue = string | number | boolean | readonly PlistValue[] | { readonly [key: string]: PlistValue }

/** Deeper than any program of macOS nests what it writes. */
const deepest = 64
const leaves: ReadonlySet<string> = new Set(['key', 'string', 'data', 'date', 'integer', 'real'])
const values: ReadonlySet<string> = new Set([...leaves, 'true', 'false', 'array', 'dict'])

/** An element that is open: what it holds so far. */
interface Element {
  readonly name: string
  text: string
  readonly items: PlistValue[]
  readonly members: [string, PlistValue][]
  /** Of a dictionary: the key whose value is to come. */
  key: string | undefined
}

/**
 * The value of a property list in XML (Apple's PropertyList-1.0.dtd), as diskutil and hdiutil print them and disk
 * images hold them.
 * @throws SyntaxError when it is none, or nested deeper than 64.
 */
export function parsePlist(text: string): PlistValue {
  const reader = new PlistReader()
  // Only few files hold such a list: the package is loaded with the first one.
  const { parser: saxParser } = createRequire(import.meta.url)('sax') as typeof Sax
  const parser = saxParser(true)
  parser.onopentag = ({ name }) => reader.open(name)
  parser.ontext = (part) => reader.text(part)
  parser.oncdata = (part) => reader.text(part)
  parser.onclosetag = () => reader.close()
  parser.onerror = (error) => {
    throw new SyntaxError(error.message.split('\n')[0])
  }
  parser.write(text).close()
  return reader.value
}

class PlistReader {
  readonly #open: Element[] = []
  #value: PlistValue | undefined

  get value(): PlistValue {
    if (this.#value === undefined) throw new SyntaxError('there is no value')
    return this.#value
  }

  open(name: string): void {
    const parent = this.#open.at(-1)
    if (parent === undefined ? name !== 'plist' : !values.has(name))
      throw new SyntaxError(`<${name}> stands where it has no meaning`)
    if (parent !== undefined) this.#admit(parent, name)
    if (this.#open.length > deepest) throw new SyntaxError('it is nested too deep')
    this.#open.push({ name, text: '', items: [], members: [], key: undefined })
  }

  text(part: string): void {
    const element = this.#open.at(-1)
    if (element !== undefined && leaves.has(element.name)) element.text += part
    else if (part.trim() !== '')
      throw new SyntaxError(`${JSON.stringify(part.trim().slice(0, 20))} stands between elements`)
  }

  close(): void {
    const element = this.#open.pop()
    const parent = this.#open.at(-1)
    if (element === undefined || parent === undefined) return
    if (element.name === 'key') parent.key = element.text
    else if (parent.name === 'plist') this.#value = valueOf(element)
    else if (parent.name === 'array') parent.items.push(valueOf(element))
    else if (parent.key !== undefined) {
      parent.members.push([parent.key, valueOf(element)])
      parent.key = undefined
    }
  }

  #admit(parent: Element, name: string): void {
    const isKey = name === 'key'
    const fits =
      parent.name === 'dict'
        ? isKey === (parent.key === undefined)
        : !isKey && (parent.name === 'array' || (parent.name === 'plist' && this.#value === undefined))
    if (!fits) throw new SyntaxError(`<${name}> stands in <${parent.name}> where it does not belong`)
  }
}

function valueOf({ name, text, items, members, key }: Element): PlistValue {
  switch (name) {
    case 'true':
    case 'false':
      return name === 'true'
    case 'array':
      return items
    case 'dict':
      if (key !== undefined) throw new SyntaxError(`${JSON.stringify(key.slice(0, 40))} has no value`)
      // Not by assignment: a key may be called __proto__.
      return Object.fromEntries(members)
    case 'integer':
    case 'real': {
      const number = Number(text)
      if (text.trim() === '' || Number.isNaN(number))
        throw new SyntaxError(`${JSON.stringify(text.slice(0, 20))} is no number`)
      return number
    }
    default:
      return text
  }
}
