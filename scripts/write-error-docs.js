// Writes docs/errors.md from the compiled table of codes (src/error-codes.ts): node scripts/write-error-docs.js
import { readFileSync, writeFileSync } from 'node:fs'
import { codesOf } from '../dist/src/error-codes.js'
import { exitCodes } from '../dist/src/errors.js'

/** The page with the lists in it exchanged; what stands before the first list is written by hand. */
export function errorDocs(page) {
  const lists = Object.entries(codesOf)
    .filter(([, codes]) => codes.length > 0)
    .map(
      ([kind, codes]) =>
        `## ${kind}: exit code ${exitCodes[kind]}\n\n${codes.map((code) => `\`${code}\``).join(', ')}\n`,
    )
  return `${page.slice(0, page.indexOf('\n## ') + 1)}${lists.join('\n')}`
}

if (process.argv[1]?.endsWith('write-error-docs.js')) {
  const place = new URL('../docs/errors.md', import.meta.url)
  writeFileSync(place, errorDocs(readFileSync(place, 'utf8')))
}
