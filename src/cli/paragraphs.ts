/**
 * A help text whose lines are wrapped in the source: a blank line ends a paragraph, and help wraps each paragraph to
 * the terminal.
 */
export function paragraphs(text: string): string {
  return text
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim().replace(/\s*\n\s*/g, ' '))
    .join('\n\n')
}
