// Writes dist/types: the type declarations that the library's own lead to, and no others.
//
// TypeScript takes a declaration for an ES module or for CommonJS by its name or the package.json above it, and the
// library can be had as both. The files are CommonJS, as the bundle is; index.d.mts, for ES modules, exports the same.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = path.join(root, 'dist/src')

/** Every declaration that one leads to, itself among them. */
export function declarationsFrom(first) {
  const found = new Set([first])
  for (const file of found)
    for (const [, name] of fs.readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)\.js'/g))
      found.add(path.resolve(path.dirname(file), `${name}.d.ts`))
  return [...found].sort()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = declarationsFrom(path.join(sources, 'index.d.ts'))
  const target = path.join(root, 'dist/types')
  fs.rmSync(target, { recursive: true, force: true })
  for (const file of files) {
    const copy = path.join(target, path.relative(sources, file))
    fs.mkdirSync(path.dirname(copy), { recursive: true })
    fs.copyFileSync(file, copy)
  }
  // A program need not name Node's types: since TypeScript 6 none are taken that it does not name.
  const index = path.join(target, 'index.d.ts')
  fs.writeFileSync(index, `/// <reference types="node" />\n${fs.readFileSync(index, 'utf8')}`)
  fs.writeFileSync(path.join(target, 'index.d.mts'), "export * from './index.js'\n")
  fs.writeFileSync(path.join(target, 'package.json'), '{ "type": "commonjs" }\n')
}
