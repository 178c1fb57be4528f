import { withoutSecrets } from '../sys/secrets.js'
import { jsonText } from './error-text.js'

/** Answers that are too long to be one text: they are written in pieces, each when the one before was taken. */

/** Characters that are written together. */
const pieceLength = 65536

interface Output {
  write(text: string, done: (error?: Error | null) => void): boolean
}

/** Writes pieces, none of which a secret crosses the end of; the rest is left out when the reader has gone away. */
export async function writePieces(output: Output, pieces: Iterable<string>): Promise<void> {
  let text = ''
  for (const piece of pieces) {
    text += piece
    if (text.length < pieceLength) continue
    if (!(await isWritten(output, text))) return
    text = ''
  }
  if (text !== '') await isWritten(output, text)
}

/** What the stream does not take is reported by what watches it (outputs.ts). */
const isWritten = (output: Output, text: string): Promise<boolean> =>
  new Promise((resolve) => {
    output.write(withoutSecrets(text), (error) => resolve(error === undefined || error === null))
  })

export function* linePieces(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`
}

/** A document as {@link jsonText} has it, with a line end; its lists need not be arrays. */
export function* documentPieces(document: object): Generator<string> {
  let before = '{'
  for (const [key, value] of Object.entries(document) as [string, unknown][]) {
    if (value === undefined) continue
    yield `${before}\n  ${JSON.stringify(key)}: `
    if (isList(value)) yield* listPieces(value)
    else yield indented(value, '  ')
    before = ','
  }
  yield '\n}\n'
}

function* listPieces(list: Iterable<unknown>): Generator<string> {
  let before = '['
  for (const item of list) {
    yield `${before}\n    ${indented(item, '    ')}`
    before = ','
  }
  yield before === '[' ? '[]' : '\n  ]'
}

const indented = (value: unknown, indent: string): string => jsonText(value).replaceAll('\n', `\n${indent}`)

function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}
