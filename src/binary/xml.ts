import { createRequire } from 'node:module'
import type * as Sax from 'sax'

/** An element of an XML document. Names are local names; `space` is the namespace, empty without one. */
export interface XmlElement {
  readonly name: string
  readonly space: string
  /** Local names of attributes, and their values; of two with one local name the first counts. */
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** The text directly in it. */
  readonly text: string
}

/** What a document may have at most. */
export interface XmlLimits {
  readonly depth: number
  readonly elements: number
  readonly attributes: number
}

const usualLimits: XmlLimits = { depth: 100, elements: 100_000, attributes: 200_000 }
/** So much is parsed between two looks at the limits, in characters. */
const pieceLength = 65536

/**
 * The root element of an XML document. A document type, and with it every entity that it could declare, is refused.
 * @throws SyntaxError when the text is no such document, or passes a limit.
 */
export function parseXml(text: string, limits: XmlLimits = usualLimits): XmlElement {
  const reader = new XmlReader(limits)
  // Only few files hold XML: the package is loaded with the first one.
  const { parser: saxParser } = createRequire(import.meta.url)('sax') as typeof Sax
  const parser = saxParser(true)
  parser.onopentagstart = () => reader.begin()
  parser.onattribute = ({ name, value }) => reader.attribute(name, value)
  parser.onopentag = ({ name }) => reader.open(name)
  parser.ontext = (part) => reader.text(part)
  parser.oncdata = (part) => reader.text(part)
  parser.onclosetag = () => reader.close()
  parser.ondoctype = () => {
    throw new SyntaxError('it declares a document type')
  }
  parser.onerror = (error) => {
    throw new SyntaxError(error.message.replaceAll('\n', ', '))
  }
  for (let at = 0; at < text.length; at += pieceLength) parser.write(text.slice(at, at + pieceLength))
  parser.close()
  return reader.root
}

/** The children of an element that have a local name. */
export function childElements({ children }: XmlElement, ...names: readonly string[]): XmlElement[] {
  return children.filter(({ name }) => names.includes(name))
}

/** The text of its first child of a name, without blanks around it. */
export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text.trim()
}

/** Prefixes that an element declares, and those further out. */
interface Scope {
  readonly prefixes: ReadonlyMap<string, string>
  readonly outer: Scope | undefined
}

interface OpenElement {
  readonly element: XmlElement & { text: string; readonly children: XmlElement[] }
  readonly scope: Scope | undefined
}

class XmlReader {
  readonly #limits: XmlLimits
  readonly #open: OpenElement[] = []
  #root: XmlElement | undefined
  #elements = 0
  #attributes = 0
  #given: (readonly [string, string])[] = []

  constructor(limits: XmlLimits) {
    this.#limits = limits
  }

  get root(): XmlElement {
    if (this.#root === undefined) throw new SyntaxError('it has no element')
    return this.#root
  }

  begin(): void {
    this.#given = []
    this.#elements++
    if (this.#elements > this.#limits.elements)
      throw new SyntaxError(`it has more than ${this.#limits.elements} elements`)
    if (this.#open.length >= this.#limits.depth)
      throw new SyntaxError(`its elements are nested deeper than ${this.#limits.depth}`)
  }

  attribute(name: string, value: string): void {
    this.#attributes++
    if (this.#attributes > this.#limits.attributes)
      throw new SyntaxError(`it has more than ${this.#limits.attributes} attributes`)
    this.#given.push([name, value])
  }

  open(qualified: string): void {
    const outer = this.#open.at(-1)
    const prefixes = new Map<string, string>()
    const attributes = new Map<string, string>()
    for (const [name, value] of this.#given) {
      if (name === 'xmlns') prefixes.set('', value)
      else if (name.startsWith('xmlns:')) prefixes.set(name.slice(6), value)
      else {
        const [, local] = split(name)
        if (!attributes.has(local)) attributes.set(local, value)
      }
    }
    const scope = prefixes.size === 0 ? outer?.scope : { prefixes, outer: outer?.scope }
    const [prefix, name] = split(qualified)
    const element = { name, space: spaceOf(scope, prefix), attributes, children: [], text: '' }
    outer?.element.children.push(element)
    this.#root ??= element
    this.#open.push({ element, scope })
  }

  text(part: string): void {
    const open = this.#open.at(-1)
    if (open !== undefined) open.element.text += part
  }

  close(): void {
    this.#open.pop()
  }
}

/** A qualified name: prefix and local name. */
function split(name: string): readonly [string, string] {
  const colon = name.indexOf(':')
  return colon < 0 ? ['', name] : [name.slice(0, colon), name.slice(colon + 1)]
}

function spaceOf(scope: Scope | undefined, prefix: string): string {
  for (let each = scope; each !== undefined; each = each.outer) {
    const space = each.prefixes.get(prefix)
    if (space !== undefined) return space
  }
  return ''
}
