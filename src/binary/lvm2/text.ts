import { corrupt } from '../../errors.js'

/** A value of LVM's texts. Numbers that are no safe integers are not there. */
export type TextValue = string | number | readonly (string | number)[]

/** A section of LVM's texts: `name { key = value … section { … } }`. */
export class TextSection {
  readonly values = new Map<string, TextValue>()
  readonly sections = new Map<string, TextSection>()

  text(key: string): string | undefined {
    const value = this.values.get(key)
    return typeof value === 'string' ? value : undefined
  }

  /** A number from 0 up. */
  count(key: string): number | undefined {
    const value = this.values.get(key)
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
  }

  list(key: string): readonly (string | number)[] {
    const value = this.values.get(key)
    return value === undefined ? [] : typeof value === 'object' ? value : [value]
  }
}

const deepest = 8
const mostMembers = 1024 * 1024
/** Space and comments, then a word, a number, a text in quotes, or a sign. */
const token = /(?:\s|#[^\n]*(?:\n|$))*(?:([A-Za-z0-9_.+-]+)|"((?:[^"\\]|\\.)*)"|([={}[\],]))/sy

interface Token {
  readonly kind: 'word' | 'text' | 'sign'
  readonly value: string
}

/**
 * Takes a text of LVM's apart (lvm.conf(5), "SYNTAX"). @throws ImageError corrupt E_FS_CORRUPT: it is no such text, or
 * deeper than 8 sections.
 */
export function parseText(text: string): TextSection {
  return new Parser(text).whole()
}

class Parser {
  readonly #text: string
  readonly #token = new RegExp(token)
  #members = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): TextSection {
    const section = new TextSection()
    this.#fill(section, 0)
    return section
  }

  #next(): Token | undefined {
    const match = this.#token.exec(this.#text)
    if (match === null) return undefined
    const [, word, quoted, sign] = match
    if (word !== undefined) return { kind: 'word', value: word }
    if (quoted !== undefined) return { kind: 'text', value: quoted.replace(/\\(.)/gs, '$1') }
    return { kind: 'sign', value: sign ?? '' }
  }

  #fill(section: TextSection, depth: number): void {
    for (;;) {
      const name = this.#next()
      if (name === undefined || (name.kind === 'sign' && name.value === '}')) {
        if ((name === undefined) !== (depth === 0)) throw this.#wrong('a section is not closed, or closed twice')
        return
      }
      if (name.kind === 'sign' || ++this.#members > mostMembers)
        throw this.#wrong(`${name.value} stands where a name should`)
      const sign = this.#next()
      if (sign?.kind === 'sign' && sign.value === '{') {
        if (depth >= deepest) throw this.#wrong(`sections are more than ${deepest} deep`)
        const below = new TextSection()
        this.#fill(below, depth + 1)
        section.sections.set(name.value, below)
      } else if (sign?.kind === 'sign' && sign.value === '=') section.values.set(name.value, this.#value())
      else throw this.#wrong(`${name.value} has no value`)
    }
  }

  #value(): TextValue {
    const first = this.#next()
    if (first?.kind !== 'sign') return this.#single(first)
    if (first.value !== '[') throw this.#wrong(`${first.value} stands where a value should`)
    const list: (string | number)[] = []
    for (;;) {
      const next = this.#next()
      if (next?.kind === 'sign' && next.value === ']') return list
      if (next?.kind === 'sign' && next.value === ',') continue
      if (++this.#members > mostMembers) throw this.#wrong('it is too long')
      list.push(this.#single(next))
    }
  }

  #single(found: Token | undefined): string | number {
    if (found === undefined || found.kind === 'sign') throw this.#wrong('a value is missing')
    return found.kind === 'word' && /^-?\d+$/.test(found.value) ? Number(found.value) : found.value
  }

  #wrong(message: string): Error {
    return corrupt('E_FS_CORRUPT', `the metadata of LVM2 cannot be read: ${message}`)
  }
}
