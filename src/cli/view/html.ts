import { printable } from '../../errors.js'

/** Text that is HTML already. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | Markup | readonly Markup[]

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** A piece of a page: what is put in is escaped, unless it is a piece itself. */
export function html(pieces: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return new Markup(
    pieces.map((piece, index) => piece + (index < values.length ? markup(values[index] ?? '') : '')).join(''),
  )
}

function markup(value: Value): string {
  if (value instanceof Markup) return value.text
  if (typeof value === 'object') return value.map(({ text }) => text).join('')
  return printable(String(value)).replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
