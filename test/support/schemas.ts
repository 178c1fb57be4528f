import { Ajv, type ValidateFunction } from 'ajv'
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { root } from './cli.js'

const ajv = new Ajv({ allErrors: true, allowUnionTypes: true })
const compiled = new Map<string, ValidateFunction>()

/** Checks a document against docs/schemas/<name>.json. */
export function assertSchema(name: string, document: unknown): void {
  let validate = compiled.get(name)
  if (validate === undefined) {
    validate = ajv.compile(JSON.parse(fs.readFileSync(join(root, 'docs/schemas', `${name}.json`), 'utf8')) as object)
    compiled.set(name, validate)
  }
  assert.ok(validate(document), `${name}: ${ajv.errorsText(validate.errors, { separator: '\n' })}`)
}
