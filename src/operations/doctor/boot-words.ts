/** The words of a line, without quotes and comments. */
export function wordsOf(line: string): string[] {
  const words: string[] = []
  for (const [word] of line.matchAll(/(?:[^\s"'#]|"[^"]*"|'[^']*'|(?<=\S)#)+|#.*$/g)) {
    if (word.startsWith('#')) break
    words.push(word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'))
  }
  return words
}

/** Names with their numbers as numbers: 6.10 comes behind 6.9. */
export function byVersion(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true })
}
