// Writes docs/library-api.md: every export of the library with its declaration, without comments, in alphabetical
// order, and the types they lead to. A change of the interface is a change of that page.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
const entry = path.join(root, 'dist/types/index.d.ts')

/** The page, from the declarations that the build has made. */
export function apiReport() {
  const program = ts.createProgram([entry], { module: ts.ModuleKind.NodeNext, types: [], lib: ['lib.es2023.d.ts'] })
  const checker = program.getTypeChecker()
  const printer = ts.createPrinter({ removeComments: true })
  const resolved = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
  const texts = new Map()
  const pending = []
  const add = (name, symbol) => {
    const own = (symbol.declarations ?? []).filter((node) =>
      node.getSourceFile().fileName.startsWith(`${root}dist/types/`),
    )
    if (own.length === 0 || texts.has(symbol)) return
    const nodes = own.map((node) => (ts.isVariableDeclaration(node) ? node.parent.parent : node))
    const text = nodes
      .map((node) => printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile()))
      .map((one) => one.replace(/^(?:export )?(?:declare )?/, ''))
      .join('\n')
    texts.set(symbol, { name, text })
    for (const node of nodes) pending.push(node)
  }
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)))
  for (const symbol of exported) add(symbol.name, resolved(symbol))
  const own = new Set(texts.keys())
  // Types that the exports name without their being exports themselves: they are part of what programs see.
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    const visit = (part) => {
      const symbol = ts.isIdentifier(part) ? checker.getSymbolAtLocation(part) : undefined
      const parent = symbol === undefined ? undefined : resolved(symbol).declarations?.[0]?.parent
      if (parent !== undefined && ts.isSourceFile(parent)) add(symbol.name, resolved(symbol))
      ts.forEachChild(part, visit)
    }
    visit(node)
  }
  const sorted = (some) => some.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.text < b.text ? -1 : 1))
  const section = (some) => sorted(some).map(({ name, text }) => `### ${name}\n\n\`\`\`ts\n${text}\n\`\`\`\n`)
  const of = (wanted) => [...texts].flatMap(([symbol, item]) => (own.has(symbol) === wanted ? [item] : []))
  return [
    '# Interface of the library\n',
    [
      'Made by `scripts/write-api-report.js` from the declarations of the package, and compared with them by a test:',
      'a change here is a change for programs that use vdisk. [The library](library.md) says what each is for.',
      '',
    ].join('\n'),
    '## Exports\n',
    ...section(of(true)),
    '## Types that exports name\n',
    ...section(of(false)),
  ].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  fs.writeFileSync(path.join(root, 'docs/library-api.md'), apiReport())
