import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join, sep } from 'node:path'
import test from 'node:test'
import { pathToFileURL } from 'node:url'
import { codesOf, kindOf } from '../../src/error-codes.js'
import {
  corrupt,
  exitCodes,
  firstError,
  ImageError,
  isImageError,
  systemError,
  type ErrorKind,
} from '../../src/errors.js'
import { root } from '../support/cli.js'

const source = join(root, 'src')
const files = fs
  .readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !['errors.ts', 'error-codes.ts'].includes(name))
  .map((name) => ({ name: name.split(sep).join('/'), text: fs.readFileSync(join(source, name), 'utf8') }))

/** Constructors of errors, by the kind they make. */
const constructors: Readonly<Record<string, ErrorKind>> = {
  corrupt: 'corrupt',
  unsupported: 'unsupported',
  reference: 'reference',
  usage: 'usage',
  targetError: 'target',
  refused: 'refused',
}

/** Every code that the source names where it makes an error: with the kind it says there, and the place. */
function* namedCodes(): Generator<{ readonly code: string; readonly kind: string; readonly place: string }> {
  for (const { name, text } of files) {
    const place = (index = 0): string => `${name}:${text.slice(0, index).split('\n').length}`
    for (const match of text.matchAll(/\b(\w+)\(\s*'(E_\w+)'/g)) {
      const kind = constructors[match[1] ?? '']
      if (kind !== undefined) yield { code: match[2] ?? '', kind, place: place(match.index) }
    }
    for (const match of text.matchAll(/new ImageError\(\s*'(\w+)',\s*'(E_\w+)'/g))
      yield { code: match[2] ?? '', kind: match[1] ?? '', place: place(match.index) }
    // The guards of disks name the code beside the reason; all of them refuse.
    if (name.includes('device/') && name.includes('guards'))
      for (const match of text.matchAll(/code: '(E_\w+)'/g))
        yield { code: match[1] ?? '', kind: 'refused', place: place(match.index) }
  }
}

test('each code has one kind, and so one exit code', () => {
  const seen = new Map<string, string>()
  for (const [kind, codes] of Object.entries(codesOf)) {
    assert.ok(kind in exitCodes, kind)
    assert.deepEqual(codes, [...codes].sort(), `${kind} is sorted`)
    for (const code of codes) {
      assert.equal(seen.get(code), undefined, `${code} stands under ${seen.get(code) ?? ''} and ${kind}`)
      seen.set(code, kind)
    }
  }
  const found = [...namedCodes()]
  assert.ok(found.length > 500, `only ${found.length} places were found: the search is broken`)
  assert.deepEqual(
    found.filter(({ code, kind }) => kindOf(code) !== kind),
    [],
    'add the code to src/error-codes.ts under its kind, or use another code',
  )
})

test('no code of the table is left over', () => {
  const text = files.map((file) => file.text).join('\n')
  const inErrors = fs.readFileSync(join(source, 'errors.ts'), 'utf8')
  const unused = Object.values(codesOf)
    .flat()
    .filter((code) => !text.includes(`'${code}'`) && !inErrors.includes(`'${code}'`))
  assert.deepEqual(unused, [])
})

test('the kind of a known code comes from the table; that of a plugin is what the plugin says', () => {
  assert.equal(new ImageError('usage', 'E_TRUNCATED', 'x').kind, 'corrupt')
  assert.equal(corrupt('E_TOY', 'x').kind, 'corrupt')
  // @ts-expect-error -- a code of another kind does not compile
  assert.equal(corrupt('E_NO_SPACE', 'x').kind, 'target')
})

test('the first cause is reported, and what failed while closing stands in the hint', () => {
  const first = corrupt('E_READ', 'the disk is broken', { hint: 'Buy another.' })
  const later = Object.assign(new Error('suppressed'), {
    name: 'SuppressedError',
    error: new Error('no space left'),
    suppressed: first,
  })
  const found = firstError(Object.assign(new Error(), { name: 'SuppressedError', error: first, suppressed: later }))
  assert.ok(isImageError(found))
  assert.equal(found.code, 'E_READ')
  assert.equal(found.hint, 'Buy another.\nClosing failed too: no space left')
  assert.equal(firstError(first), first)
})

test('what the system refuses is no bug', () => {
  const failed = (code: string, syscall?: string): string | undefined =>
    systemError(Object.assign(new Error(`${code}: refused`), { code, syscall }))?.code
  assert.equal(failed('EMFILE', 'open'), 'E_OPEN_FILES')
  assert.equal(failed('ENOSPC', 'ftruncate'), 'E_NO_SPACE')
  assert.equal(failed('EDQUOT', 'close'), 'E_NO_SPACE')
  assert.equal(failed('EFBIG', 'ftruncate'), 'E_FILE_TOO_BIG')
  assert.equal(failed('EIO', 'fsync'), 'E_WRITE')
  assert.equal(failed('EIO', 'read'), 'E_READ')
  assert.equal(failed('ENOSPC'), undefined)
  assert.equal(failed('EINVAL', 'open'), undefined)
})

test('docs/errors.md lists every code', async () => {
  const { errorDocs } = (await import(pathToFileURL(join(root, 'scripts/write-error-docs.js')).href)) as {
    errorDocs: (page: string) => string
  }
  const page = fs.readFileSync(join(root, 'docs/errors.md'), 'utf8')
  assert.equal(page, errorDocs(page), 'run node scripts/write-error-docs.js')
})
