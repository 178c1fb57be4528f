// Writes docs/errors.md from the compiled tables of codes and of what is said of them (src/error-codes.ts,
// src/cli/advice): node scripts/write-error-docs.js
import { readFileSync, writeFileSync } from 'node:fs'
import { errorAdvice } from '../dist/src/cli/advice/index.js'
import { codesOf } from '../dist/src/error-codes.js'
import { exitCodes } from '../dist/src/errors.js'

/** The page with the lists in it exchanged; what stands before the first list is written by hand. */
export function errorDocs(page) {
  const lists = Object.entries(codesOf)
    .filter(([, codes]) => codes.length > 0)
    .map(
      ([kind, codes]) =>
        `## ${kind}: exit code ${exitCodes[kind]}\n\n| code | why | what to do |\n| --- | --- | --- |\n` +
        `${codes.map((code) => `| \`${code}\` | ${errorAdvice(kind, code).join(' | ')} |`).join('\n')}\n`,
    )
  return `${page.slice(0, page.indexOf('\n## ') + 1)}${lists.join('\n')}`
}

if (process.argv[1]?.endsWith('write-error-docs.js')) {
  const place = new URL('../docs/errors.md', import.meta.url)
  writeFileSync(place, errorDocs(readFileSync(place, 'utf8')))
}
