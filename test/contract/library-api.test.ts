import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import ts from 'typescript'
import { root } from '../support/cli.js'

const { apiReport } = (await import(join(root, 'scripts/write-api-report.js'))) as { apiReport: () => string }

test('docs/library-api.md is the interface that the declarations have', () => {
  const report = apiReport()
  assert.equal(
    fs.readFileSync(join(root, 'docs/library-api.md'), 'utf8'),
    report,
    'run node scripts/write-api-report.js',
  )
  assert.match(report, /^### convert\n/m)
  assert.match(report, /^### openImage\n/m)
})

test('every exported function that gives a promise or an async iterator takes an AbortSignal', () => {
  const entry = join(root, 'dist/types/index.d.ts')
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    types: ['node'],
    lib: ['lib.es2023.d.ts'],
  })
  const checker = program.getTypeChecker()
  const module_ = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!
  const missing: string[] = []
  let looked = 0
  for (const exported of checker.getExportsOfModule(module_)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    const declaration = symbol.declarations?.[0]
    if (declaration === undefined || !ts.isFunctionDeclaration(declaration)) continue
    const signature = checker.getSignatureFromDeclaration(declaration)!
    if (!/^(?:Promise|AsyncGenerator)</.test(checker.typeToString(signature.getReturnType()))) continue
    looked++
    const takes = signature.parameters.some(
      (parameter) => checker.getTypeOfSymbol(parameter).getNonNullableType().getProperty('signal') !== undefined,
    )
    if (!takes) missing.push(exported.name)
  }
  assert.ok(looked > 20, `${looked} functions`)
  assert.deepEqual(missing, [])
})
