// Writes dist/types and dist/types-commonjs: the type declarations that the library's own lead to, and no others.
//
// TypeScript takes a declaration for an ES module or for CommonJS by the package.json above it, and the library can be
// had as both: the second folder holds the same files under a package.json of its own.
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
  for (const folder of ['dist/types', 'dist/types-commonjs']) {
    const target = path.join(root, folder)
    fs.rmSync(target, { recursive: true, force: true })
    for (const file of files) {
      const copy = path.join(target, path.relative(sources, file))
      fs.mkdirSync(path.dirname(copy), { recursive: true })
      fs.copyFileSync(file, copy)
    }
  }
  fs.writeFileSync(path.join(root, 'dist/types-commonjs/package.json'), '{ "type": "commonjs" }\n')
}
