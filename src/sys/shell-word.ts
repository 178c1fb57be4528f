import type { HostPath } from '../errors.js'

/** Characters that a shell and a reader see as they are. */
const plain = /^[\w./@:=+,%-]+$/
/** What cannot be seen, or turns the direction, and bytes that are not UTF-8. */
const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/**
 * A path, or another word, as it is typed in a shell of Linux and macOS (sh, bash, zsh; `$'…'` also in POSIX of 2024):
 * what a printed command says must be what runs. A name that begins with `-` would be taken for a flag.
 */
export function shellWord(path: HostPath): string {
  const word = path.startsWith('-') ? `./${path}` : path
  if (plain.test(word)) return word
  if (!hidden.test(word)) return `'${word.replaceAll("'", "'\\''")}'`
  let text = ''
  for (const character of word) text += escaped(character)
  return `$'${text}'`
}

function escaped(character: string): string {
  if (character === "'" || character === '\\') return `\\${character}`
  if (character === '\n') return '\\n'
  if (!hidden.test(character)) return character
  const code = character.codePointAt(0) ?? 0
  // A byte that is not UTF-8 stands as U+DC00 + byte. Octal has three digits at most, so that no digit behind it
  // counts.
  const bytes = code >= 0xdc80 && code <= 0xdcff ? [code - 0xdc00] : Buffer.from(character, 'utf8')
  return [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
}

/**
 * The words of a command line, as a shell splits them: spaces, `'…'`, `"…"` and backslashes; nothing is expanded.
 * @returns undefined when a quote is not closed
 */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = []
  // A word is what stands together: plain characters, escaped ones and quoted pieces.
  const piece = /\\([^])|'([^']*)'|"((?:\\[^]|[^"\\])*)"|(\s+)|(['"\\])|([^\s'"\\]+)/g
  let word: string | undefined
  for (const [, escape, single, double, space, open, characters] of text.matchAll(piece)) {
    if (open !== undefined) return undefined
    if (space !== undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
      continue
    }
    word = (word ?? '') + (escape ?? single ?? double?.replaceAll(/\\(["\\$`])/g, '$1') ?? characters ?? '')
  }
  if (word !== undefined) words.push(word)
  return words
}
