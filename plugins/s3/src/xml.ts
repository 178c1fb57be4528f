import sax from 'sax'

/** Answers of S3 are at most this long, in characters: a list of 1,000 parts has half of it. */
const longestAnswer = 1024 * 1024

type Texts = Readonly<Record<string, string>>

/** Elements of an answer, each as the texts of those right below it by name. @param name undefined: the outermost. */
export function elementsIn(text: string, name?: string): readonly Texts[] {
  const found: Record<string, string>[] = []
  const open: string[] = []
  let value = ''
  const parser = sax.parser(true)
  const isOne = (depth: number): boolean => (name === undefined ? depth === 0 : open[depth] === name)
  parser.onopentag = (tag) => {
    open.push(tag.name)
    value = ''
    if (isOne(open.length - 1)) found.push({})
  }
  parser.ontext = (piece) => {
    value += piece
  }
  parser.onclosetag = (closed) => {
    open.pop()
    const last = found.at(-1)
    if (last !== undefined && open.length > 0 && isOne(open.length - 1)) last[closed] ??= value
    value = ''
  }
  // What is no XML says nothing.
  parser.onerror = () => {
    parser.resume()
  }
  parser.write(text.slice(0, longestAnswer)).close()
  return found
}

/** The text of an element right below the outermost one. */
export function textIn(text: string, name: string): string | undefined {
  return elementsIn(text)[0]?.[name]
}

/** A text as it stands in XML. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
